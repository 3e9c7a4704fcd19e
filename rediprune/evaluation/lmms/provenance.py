"""Describe what a run was made with: weights, versions, machine. Runs that differ here are different runs."""

from __future__ import annotations

import hashlib
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("rediprune", "lmms_eval", "transformers", "torch", "accelerate", "av", "numpy", "pillow")
_SHA256 = re.compile("[0-9a-f]{64}")


def weights_sha256(folder: Path) -> str:
    """Hash the names and contents of all weight files in a folder by SHA-256, whatever the folder is called.

    The hash covers every byte; `explainer.fingerprint` samples a loaded model, which need not come from a
    folder. The Hub's cache names big files by their SHA-256, which then need not be computed again over
    gigabytes.
    """
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.safetensors")] or [*folder.glob("*.bin")]):
        real = file.resolve()
        if _SHA256.fullmatch(real.name):
            content = real.name
        else:
            with real.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"{file.name} {content}\n".encode())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that answers depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> str:
    """Return processor architecture and system, such as "x86_64 Linux"; no names of hosts or people."""
    return f"{platform.machine()} {platform.system()}"
