"""Write a file completely or not at all: under another name in the same folder, then moved to its place.

A full disk, a limit on file sizes or a kill leaves the file that was there before, or none. A kill may also
leave the unfinished file behind, under a name that begins with ".rediprune-".
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

UNFINISHED = ".rediprune-"  # prefix of the names of unfinished files


@contextmanager
def replace_file(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a path to write to; that file becomes `path` when the block ends without an error.

    The yielded path is in the same folder and has the same suffix. A symbolic link stays a link, and the file
    that it leads to is replaced. For anything but a regular file, such as /dev/stdout or a pipe, `path`
    itself is yielded.

    Raises:
        OSError: `path` cannot be written, or its folder is missing.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        yield target  # a pipe or a device has no contents to protect, and must not become a file
        return
    if target.exists() and not os.access(target, os.W_OK):  # read-only files are protected on purpose
        raise PermissionError(13, "Permission denied", str(path))
    part = target.with_name(f"{UNFINISHED}{secrets.token_hex(6)}{target.suffix}")
    try:
        part.touch(exist_ok=False)
    except OSError as error:  # the message names the file that was asked for, not the temporary one
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        if target.exists():
            shutil.copymode(target, part)
        yield part
        _flush_to_disk(part)
        os.replace(part, target)
    except OSError as error:
        if error.filename is None or error.errno is None or os.fspath(error.filename) != str(part):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: str | os.PathLike, data: bytes) -> Path:
    """Write bytes to a file and return its path.

    Raises:
        OSError: the file cannot be written.
    """
    with replace_file(path) as part:
        part.write_bytes(data)
    return Path(path)


def write_text(path: str | os.PathLike, text: str) -> Path:
    """Write a UTF-8 text file and return its path.

    Raises:
        OSError: the file cannot be written.
    """
    return write_bytes(path, text.encode("utf-8"))


@contextmanager
def replace_files(folder: Path) -> Iterator[Path]:
    """Yield an empty folder whose files move into `folder` when the block ends without an error.

    For libraries that choose the names of the files they write. Each file in `folder` is then the complete
    old or the complete new one. Other files there stay as they are. `folder` is created if it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=UNFINISHED) as made:
        yield Path(made)
        files = sorted(path for path in Path(made).rglob("*") if path.is_file())
        for file in files:
            _flush_to_disk(file)
        for file in files:
            target = folder / file.relative_to(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(file, target)


def check_outputs(*files: Path | None, inputs: Iterable[str | Path | None] = ()) -> None:
    """Refuse files that cannot or must not be written, before any work is done for them.

    Args:
        files: where results will be written; None is skipped.
        inputs: files that are read; none of them may be overwritten, whatever name leads to it.

    Raises:
        ValueError: a folder, a folder that is missing or not writable, a read-only file, an input, or one
            file for two results.
    """
    read = [Path(path) for path in inputs if path]
    written: list[Path] = []
    for path in filter(None, files):
        if path.is_dir():
            raise ValueError(f"{path} is a folder: name a file in it")
        if not path.parent.is_dir():
            raise ValueError(f"there is no folder {path.parent} to write {path.name} into")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise ValueError(f"{path} cannot be written: name a file in a folder of your own")
        if clash := next((other for other in read if same_file(path, other)), None):
            raise ValueError(f"{path} would overwrite {clash}, which is read: name another file")
        if clash := next((other for other in written if same_file(path, other)), None):
            raise ValueError(f"{path} and {clash} are the same file: give each result a file of its own")
        written.append(path)


def same_file(a: Path, b: Path) -> bool:
    """Return whether two paths lead to one file, by spelling, symbolic link or hard link."""
    try:
        return a.samefile(b)
    except OSError:  # one of them does not exist, so only the names can be compared
        return os.path.realpath(a) == os.path.realpath(b)


def _flush_to_disk(path: Path) -> None:
    """Flush the contents to disk, so that a move that survives a power cut does not show an empty file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
