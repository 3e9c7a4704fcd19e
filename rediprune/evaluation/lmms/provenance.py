"""What a run was made with: weights, versions, machine. Two runs that differ here are two runs."""

from __future__ import annotations

import hashlib
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("rediprune", "lmms_eval", "transformers", "torch", "accelerate", "av", "numpy", "pillow")
_SHA256 = re.compile("[0-9a-f]{64}")


def weights_sha256(folder: Path) -> str:
    """SHA-256 over the names and the SHA-256 of all weight files in a folder, whatever the folder is called.

    Exact, of the files; `weights_fingerprint` samples a loaded model, which need not come from a folder.
    The Hub's cache files big blobs under their SHA-256, which then need not be made again of gigabytes.
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
    """Of Python and of the packages that answers depend on, as far as they are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> str:
    """Processor architecture and system, such as "x86_64 Linux"; no names of hosts or people."""
    return f"{platform.machine()} {platform.system()}"
