"""Keep visitors' files in a folder of this process alone, and remove those of processes that have ended.

Gradio keeps them in one folder for all its programs and removes them by age, but only while it runs: files of
a killed process would stay there, and the next process would serve them. With one folder per process, nothing
of an earlier process is served. A lock, which ends with its process, tells which folders are in use.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PARENT = "rediprune"  # in Gradio's folder
PREFIX = "page-"
LOCK = "in-use.lock"
GRACE = 3600  # seconds until a folder without a lock counts as left behind


def new_folder(variables: Mapping[str, str]) -> Path:
    """Return a new path in the folder that Gradio would use; nothing is made yet."""
    chosen = variables.get("GRADIO_TEMP_DIR") or Path(tempfile.gettempdir()) / "gradio"
    return Path(chosen).resolve() / PARENT / f"{PREFIX}{secrets.token_hex(8)}"


def claim(folder: Path) -> FileLock:
    """Make the folder, in use until the returned lock is released or the process ends.

    Raises:
        OSError: it cannot be made or written there; one sentence for whoever starts the page.
    """
    with _one_sentence(folder):
        folder.mkdir(mode=0o700, parents=True)
        lock = FileLock(folder / LOCK)
        lock.acquire(timeout=0)
    return lock


def check_writable(folder: Path) -> None:
    """Check that files can be written into the folder; make it if it is not there.

    Raises:
        OSError: they cannot; one sentence for whoever starts the page.
    """
    with _one_sentence(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".check") as probe:
            probe.write(bytes(4096))
            probe.flush()


@contextmanager
def _one_sentence(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(
            f"The folder for uploads, {folder}, cannot be written ({error.strerror}): make room, make it "
            "writable, or name another one in the variable GRADIO_TEMP_DIR."
        ) from None


def remove(folder: Path, lock: FileLock) -> None:
    """Remove the folder of this process, at its end."""
    lock.release()
    shutil.rmtree(folder, ignore_errors=True)


def remove_left_behind(parent: Path) -> list[Path]:
    """Remove the folders in `parent` whose processes have ended; return their paths.

    Only what `claim` made is removed: a folder with a name of this kind, not a link, of the same user, whose
    lock is free. A folder without a lock may be about to get one; it is removed when it is older than GRACE.
    """
    removed = []
    for folder in sorted(parent.glob(f"{PREFIX}*")):
        if folder.is_symlink() or not folder.is_dir() or not _is_ours(folder):
            continue
        if not (folder / LOCK).is_file():
            if time.time() - folder.stat().st_mtime < GRACE or any(folder.iterdir()):
                continue
        elif _is_in_use(folder / LOCK):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        removed.append(folder)
    return removed


def _is_ours(folder: Path) -> bool:
    return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()


def _is_in_use(path: Path) -> bool:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False
