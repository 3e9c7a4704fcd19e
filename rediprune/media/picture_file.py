"""Opening a picture file through Pillow, in spite of what no pixel needs."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from PIL import Image

from .file_parts import (
    Data,
    check_parts,
    check_scans,
    copies_without_metadata,
    is_crowded,
    list_parts,
    restore_end_marker,
)
from .limits import LimitedFile, MediaError, ReadingLimit

Result = TypeVar("Result")
OpenFile = Callable[[], AbstractContextManager[Image.Image]]

WITHOUT_METADATA = "Damaged or oversized metadata in the file was left out."
WITHOUT_END = "The file lacks its end marker; all pixels are there."


def read_picture(
    source: Path | bytes | bytearray,
    name: str,
    formats: tuple[str, ...],
    limit: ReadingLimit,
    read: Callable[[OpenFile], Result],
) -> tuple[Result, str | None]:
    """Read a picture file; where that fails, a copy of it that holds only what pixels need.

    Args:
        source: a file that is there and not empty, or its bytes.
        name: what the file is called in error messages.
        formats: Pillow's names of the formats that it may be in.
        limit: checked on the way.
        read: gets a function that opens the picture, as often as wanted, with no pixel decoded yet.

    Returns:
        What `read` returned, and a note where a copy was read.

    Raises:
        MediaError: of `read`, or a file that would take too long.
        Exception: of Pillow or of `read`, where no copy could be read either.
    """
    with _open_bytes(source) as data:
        check_parts(data, name)
        parts = list_parts(data, limit)
        failure = None
        if not is_crowded(data, parts):
            try:
                return read(_opener(source, name, formats, limit)), None
            except MediaError:
                raise
            except Exception as error:  # decoders meet hostile bytes with exceptions of nearly every type
                failure = error
        copy: Data = data
        for copy in copies_without_metadata(data, parts):
            try:
                return read(_opener(copy, name, formats, limit)), WITHOUT_METADATA
            except MediaError:
                raise
            except Exception as error:
                failure = failure or error
        ended = _restored_jpeg(copy, name, formats, limit)
        if ended is not None:
            return read(_opener(ended, name, formats, limit)), WITHOUT_END
        raise failure or ValueError("it holds no pixels")


def _opener(
    source: Path | bytes | bytearray, name: str, formats: tuple[str, ...], limit: ReadingLimit
) -> OpenFile:
    @contextmanager
    def open_file() -> Iterator[Image.Image]:
        limit.check()
        with (
            LimitedFile(source, limit) if isinstance(source, Path) else BytesIO(source) as file,
            Image.open(file, formats=formats) as image,
        ):
            if image.format in ("JPEG", "MPO"):
                with _open_bytes(source) as data:
                    check_scans(data, image.size, name)
            yield image

    return open_file


@contextmanager
def _open_bytes(source: Path | bytes | bytearray) -> Iterator[Data]:
    """Give access to the bytes of a file without reading them all."""
    if not isinstance(source, Path):
        yield source
        return
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield mapped


def _restored_jpeg(data: Data, name: str, formats: tuple[str, ...], limit: ReadingLimit) -> bytes | None:
    def decode(content: bytes) -> bytes:
        with _opener(content, name, formats, limit)() as image:
            return hashlib.blake2b(image.tobytes()).digest()

    try:
        return restore_end_marker(data, decode)
    except MediaError:
        raise
    except Exception:
        return None
