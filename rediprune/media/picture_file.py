"""Open a picture file with Pillow, even if parts that no pixel needs are damaged."""

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
    JPEG_HEAD,
    Data,
    check_parts,
    check_scans,
    copies_without_metadata,
    is_crowded,
    list_parts,
    restore_end_marker,
)
from .limits import LimitedFile, MediaError, ReadingLimit

# What may have passed of the seconds for a file when a damaged picture is tried once more.
SHARE_OF_FIRST_ATTEMPTS = 0.2
# Whether only the end marker is missing takes six decodings to find out; 16 megapixels take 1 s each at most.
MAX_RESTORED_PIXELS = 16_000_000

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
    """Read a picture file; if that fails, read a copy of it without the parts that no pixel needs.

    Args:
        source: a file that exists and is not empty, or its bytes.
        name: name of the file in error messages.
        formats: Pillow's names of the allowed formats.
        limit: checked on the way.
        read: receives a function that opens the picture without decoding it, as often as needed.

    Returns:
        (result of `read`, a note if a copy was read, else None).

    Raises:
        MediaError: raised by `read`, or for a file that would take too long.
        Exception: raised by Pillow or by `read`, if no copy could be read either.
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
            except Exception as error:  # decoders raise nearly every type of exception for hostile bytes
                failure = error
        # Each further attempt decodes the picture once more, which nothing can interrupt.
        copy: Data = data
        for copy in copies_without_metadata(data, parts):
            if failure is not None and limit.is_spent(SHARE_OF_FIRST_ATTEMPTS):
                raise failure
            try:
                return read(_opener(copy, name, formats, limit)), WITHOUT_METADATA
            except MediaError:
                raise
            except Exception as error:
                failure = failure or error
        if failure is not None and limit.is_spent(SHARE_OF_FIRST_ATTEMPTS):
            raise failure
        ended = _restored_jpeg(copy, name, formats, limit)
        if ended is not None:
            return read(_opener(ended, name, formats, limit)), WITHOUT_END
        raise failure or ValueError("it holds no pixels")


def _opener(
    source: Path | bytes | bytearray, name: str, formats: tuple[str, ...], limit: ReadingLimit
) -> OpenFile:
    """Return a function that opens the picture without decoding it, and refuses a JPEG of too many scans."""

    @contextmanager
    def open_file() -> Iterator[Image.Image]:
        """Open the picture for the length of a with block."""
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
    """Yield the bytes of a file, mapped into memory so that they are not all read."""
    if not isinstance(source, Path):
        yield source
        return
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield mapped


def _restored_jpeg(data: Data, name: str, formats: tuple[str, ...], limit: ReadingLimit) -> bytes | None:
    """Return a JPEG with its end marker restored.

    None if anything else is missing, it is no JPEG, or above MAX_RESTORED_PIXELS.
    """

    def decode(content: bytes) -> bytes:
        """Return a hash of the pixels."""
        with _opener(content, name, formats, limit)() as image:
            return hashlib.blake2b(image.tobytes()).digest()

    if data[:3] != JPEG_HEAD:
        return None
    try:
        with _opener(bytes(data), name, formats, limit)() as image:
            if image.width * image.height > MAX_RESTORED_PIXELS:
                return None
        return restore_end_marker(data, decode)
    except MediaError:
        raise
    except Exception:
        return None
