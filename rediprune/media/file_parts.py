"""Find the parts of a picture file that pixels need, and copy the file without the others.

Pillow reads every part of a file, and refuses the file for one that it cannot read: a long text in a PNG, a
wrong checksum of a comment, an empty colour profile. None of these changes a pixel here, as colour profiles
are not applied. So a file that Pillow refuses is tried again without them.

Sources: PNG (Third Edition) 5.6 and 11; ITU-T T.81 annex B; GIF89a; TIFF 6.0; the WebP container
specification; ISO/IEC 14496-12 8.11.6 (item information of AVIF).
"""

from __future__ import annotations

import mmap
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import NamedTuple

from .limits import MediaError, ReadingLimit

Data = bytes | bytearray | mmap.mmap

PNG_HEAD = b"\x89PNG\r\n\x1a\n"
JPEG_HEAD = b"\xff\xd8\xff"
GIF_HEADS = (b"GIF87a", b"GIF89a")
# Chunks of a PNG, strips or tiles of a TIFF. A TIFF of 80 megapixels in rows of one pixel and four planes has
# about 250,000.
MAX_PIECES = 300_000
MAX_GIF_BLOCKS = 2_000_000  # a block has at most 255 bytes; a GIF of 100 MB has 400,000 blocks
MAX_TILE_PIXELS = 80_000_000
# A progressive JPEG has about ten scans. A scan costs time for every pixel even if it holds almost no data:
# 31 bytes cost 50 ms at 16 megapixels.
MAX_SCAN_PIXELS = 2 * 10**9
PIXELS_PER_SCAN = 1000  # added for each scan, whatever the size of the picture
# The time that Pillow needs for comments in a GIF grows with the square of their length: 9 s for 4 MB.
MAX_PARTS_UNUSED = 10_000
MAX_GIF_COMMENT = 2**18


class Use(IntEnum):
    """Name what a part of a file is needed for, in ascending order of importance."""

    NOTHING = 0
    ORIENTATION = 1
    PIXELS = 2


class Part(NamedTuple):
    """Hold a range of bytes, `start` to `end`, of a file, and what it is needed for."""

    start: int
    end: int
    use: Use


def check_parts(data: Data, name: str) -> None:
    """Refuse a TIFF with so many or so large segments that Pillow would need minutes or gigabytes.

    Raises:
        MediaError: too many strips or tiles, or too large a tile.
    """
    # Tags of TIFF 6.0: 273 and 324 list strips and tiles, 322 and 323 are width and height of a tile.
    values = {tag: (count, value) for tag, count, value, _ in _tiff_entries(data)}
    segments = max((values[tag][0] for tag in (273, 324) if tag in values), default=0)
    tile = values.get(322, (1, 1))[1] * values.get(323, (1, 1))[1]
    if segments > MAX_PIECES or tile > MAX_TILE_PIXELS:
        raise _too_many(name)


def _too_many(name: str) -> MediaError:
    """Make the error for a file of too many or too large parts."""
    return MediaError(f"{name} is cut into too many or too large pieces: save it again as PNG or MP4.")


def check_scans(data: Data, size: tuple[int, int], name: str) -> None:
    """Refuse a JPEG whose many scans would take minutes to decode.

    Raises:
        MediaError: more than MAX_SCAN_PIXELS.
    """
    most = MAX_SCAN_PIXELS // (size[0] * size[1] + PIXELS_PER_SCAN)
    for number, _ in enumerate(re.finditer(rb"\xff\xda", data)):
        if number > most:
            raise MediaError(f"{name} is a JPEG of too many scans: save it again as a plain JPEG or PNG.")


def list_parts(data: Data, limit: ReadingLimit) -> list[Part]:
    """List the parts of a PNG, JPEG or GIF after its signature; [] for other formats.

    Raises:
        MediaError: more parts than Pillow can read in seconds.
    """
    if data[:8] == PNG_HEAD:
        return list(_png_parts(data, limit))
    if data[:3] == JPEG_HEAD:
        return list(_jpeg_parts(data))
    if data[:6] in GIF_HEADS:
        return list(_gif_parts(data, limit))
    return []


def is_crowded(data: Data, parts: list[Part]) -> bool:
    """Return whether a file has so much metadata that Pillow would need a long time for it."""
    unused = [part.end - part.start for part in parts if part.use is Use.NOTHING]
    return len(unused) > MAX_PARTS_UNUSED or (data[:6] in GIF_HEADS and sum(unused) > MAX_GIF_COMMENT)


def copies_without_metadata(data: Data, parts: list[Part]) -> Iterator[bytes]:
    """Yield a copy with only the parts for pixels and orientation, then one with those for pixels only.

    Nothing is yielded for formats whose parts are unknown here (BMP, PPM), and no copy that equals the file
    or the copy before.

    Args:
        data: a complete file.
        parts: its parts, from `list_parts`.
    """
    previous = None
    for least in (Use.ORIENTATION, Use.PIXELS):
        copy = _copy(data, parts, least)
        if copy is not None and copy != previous and (len(copy) != len(data) or copy != data[:]):
            yield copy
            previous = copy


def _copy(data: Data, parts: list[Part], least: Use) -> bytes | None:
    """Copy a file without the parts needed for less than `least`; None for unknown formats."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_copy(data, least)
    if data[4:8] == b"ftyp" and re.search(rb"avi[fs]", data[8:64]):
        return _avif_copy(data)
    if data[:2] in (b"II", b"MM"):
        return _tiff_copy(data, least)
    if not parts:
        return None
    kept = [data[part.start : part.end] for part in parts if part.use >= least]
    return b"".join([data[: parts[0].start], *kept])


# Chunks of a PNG that pixels need although they are optional, and the beginning of chunks that may hold EXIF
# or XMP.
_PNG_PIXELS = (b"tRNS", b"acTL", b"fcTL", b"fdAT")
_PNG_ORIENTATION = {
    b"eXIf": b"",
    b"iTXt": b"XML:com.adobe.xmp\0",
    b"tEXt": b"Raw profile type exif\0",
    b"zTXt": b"Raw profile type exif\0",
}


def _png_parts(data: Data, limit: ReadingLimit) -> Iterator[Part]:
    """Yield the chunks of a PNG."""
    position = 8
    number = 0
    while position + 8 <= len(data):
        number += 1
        if number > MAX_PIECES:
            raise _too_many(limit.name)
        length, kind = struct.unpack_from(">I4s", data, position)
        end = min(position + 12 + length, len(data))
        use = Use.NOTHING
        if kind[:1].isupper() or kind in _PNG_PIXELS or not kind.isalpha():
            use = Use.PIXELS
        elif kind in _PNG_ORIENTATION and data[position + 8 : end].startswith(_PNG_ORIENTATION[kind]):
            checksum = struct.pack(">I", zlib.crc32(data[position + 4 : end - 4]))
            use = Use.ORIENTATION if data[end - 4 : end] == checksum else Use.NOTHING
        yield Part(position, end, use)
        position = end


def _jpeg_parts(data: Data) -> Iterator[Part]:
    """Yield the segments of a JPEG before its first scan, then the rest as one part."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # a fill byte
            yield Part(position, position + 1, Use.PIXELS)
            position += 1
            continue
        if marker == 0xDA:
            break
        end = position + 2
        if not (marker == 1 or 0xD0 <= marker <= 0xD9):
            end += struct.unpack_from(">H", data, position + 2)[0]
        if end > len(data):
            break
        yield Part(position, end, _jpeg_use(marker, bytes(data[position + 4 : end])))
        position = end
    yield Part(position, len(data), Use.PIXELS)


def _jpeg_use(marker: int, body: bytes) -> Use:
    """Return what a segment of a JPEG is needed for."""
    if marker == 0xE1 and body.startswith((b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0")):
        return Use.ORIENTATION
    # libjpeg reads from JFIF and Adobe segments which colours the components stand for.
    if marker == 0xE0 and body.startswith(b"JFIF\0"):
        return Use.PIXELS if len(body) >= 14 else Use.NOTHING
    if marker == 0xEE and body.startswith(b"Adobe"):
        return Use.PIXELS if len(body) >= 12 else Use.NOTHING
    return Use.NOTHING if 0xE0 <= marker <= 0xEF or marker == 0xFE else Use.PIXELS


def _gif_parts(data: Data, limit: ReadingLimit) -> Iterator[Part]:
    """Yield the extensions and pictures of a GIF."""
    if len(data) < 13:
        return
    position = 13 + _gif_palette(data[10])
    blocks = 0
    while position < len(data):
        start = position
        use = Use.PIXELS
        if data[start] == 0x21 and start + 2 < len(data):
            if data[start + 1] in (0x01, 0xFE, 0xFF):  # plain text, comment, application
                use = Use.NOTHING
            position = start + 2
        elif data[start] == 0x2C and start + 10 < len(data):
            position = start + 11 + _gif_palette(data[start + 9])
        else:  # the end of the file, or something unknown
            yield Part(start, len(data), use)
            return
        length = 1
        while length and position < len(data):  # sub-blocks, up to an empty one
            length = data[position]
            position += 1 + length
            blocks += 1
            if blocks > MAX_GIF_BLOCKS:
                raise _too_many(limit.name)
        position = min(position, len(data))
        yield Part(start, position, use)


def _gif_palette(flags: int) -> int:
    """Return the length in bytes of the palette that the flags announce, 0 for none."""
    if not flags & 0x80:
        return 0
    return 3 << (flags & 7) + 1


# Bit of each optional chunk in the flags of VP8X, and the chunks that pixels need.
_WEBP_FLAGS = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
_WEBP_PIXELS = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF")


def _webp_copy(data: Data, least: Use) -> bytes:
    """Copy a WebP without the chunks needed for less than `least`, and correct its flags and length."""
    kept = []
    flags = 0
    position = 12
    while position + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, position)
        end = position + 8 + length + length % 2
        orientation = kind in (b"EXIF", b"XMP ") and least <= Use.ORIENTATION and end <= len(data)
        if orientation or kind in _WEBP_PIXELS:
            kept.append(bytearray(data[position:end]))
            flags |= _WEBP_FLAGS.get(kind, 0)
        position = end
    for part in kept:
        if part[:4] == b"VP8X" and len(part) > 8:
            part[8] = part[8] & ~0x2C | flags
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _avif_copy(data: Data) -> bytes:
    """Rename the items that hold EXIF and XMP, so that no reader looks at them; all lengths stay.

    The orientation of an AVIF is a property of its picture, not part of EXIF.
    """
    end = 65_536  # bytes; items are listed at the beginning
    head = re.sub(rb"(infe[\x02\x03]...(?:..|....)\0\0)(?:Exif|mime)", rb"\1free", data[:end], flags=re.S)
    return head + data[end:]


# Tags of TIFF 6.0 that pixels need, beside 512 to 521 (JPEG) and 529 to 532 (YCbCr); 274 is the orientation.
_TIFF_PIXELS = {254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320}
_TIFF_PIXELS |= {322, 323, 324, 325, 332, 333, 334, 338, 339, 340, 341, 347}
_TIFF_PIXELS |= {*range(512, 522), *range(529, 533)}


class _TiffEntry(NamedTuple):
    """Hold an entry of a TIFF directory, and where it starts in the file."""

    tag: int
    n_values: int
    value: int
    start: int


def _tiff_layout(data: Data) -> tuple[str, int, str, str] | None:
    """Return (byte order, offset of the first directory, struct formats of its count and of an entry)."""
    if len(data) < 16 or data[:2] not in (b"II", b"MM"):
        return None
    order = "<" if data[:2] == b"II" else ">"
    if 43 in (data[2], data[3]):
        return order, struct.unpack_from(order + "Q", data, 8)[0], order + "Q", order + "HHQQ"
    return order, struct.unpack_from(order + "I", data, 4)[0], order + "H", order + "HHII"


def _tiff_entries(data: Data) -> Iterator[_TiffEntry]:
    """Yield the entries of the first directory; `value` is read as an integer stored in the entry."""
    layout = _tiff_layout(data)
    if layout is None:
        return
    order, start, count_format, entry_format = layout
    position = start + struct.calcsize(count_format)
    if position > len(data):
        return
    size = struct.calcsize(entry_format)
    for _ in range(min(struct.unpack_from(count_format, data, start)[0], 65_536)):
        if position + size > len(data):
            return
        tag, kind, count, value = struct.unpack_from(entry_format, data, position)
        if kind == 3:  # a short is stored at the front of the field
            value = struct.unpack_from(order + "H", data, position + struct.calcsize(entry_format[:-1]))[0]
        yield _TiffEntry(tag, count, value, position)
        position += size


def _tiff_copy(data: Data, least: Use) -> bytes | None:
    """Copy a TIFF with a first directory that has only the entries for pixels, and orientation if wanted."""
    layout = _tiff_layout(data)
    entries = list(_tiff_entries(data))
    if layout is None or not entries:
        return None
    _, start, count_format, entry_format = layout
    size = struct.calcsize(entry_format)
    wanted = _TIFF_PIXELS | ({274} if least <= Use.ORIENTATION else set())
    kept = [data[entry.start : entry.start + size] for entry in entries if entry.tag in wanted]
    end = entries[-1].start + size
    follows = data[end : end + struct.calcsize(entry_format[-1])]  # offset of the next directory
    directory = struct.pack(count_format, len(kept)) + b"".join(kept) + follows
    return bytes(data[:start]) + directory + bytes(data[start + len(directory) :])


def restore_end_marker(data: Data, decode: Callable[[bytes], bytes]) -> bytes | None:
    """Add the end marker to a JPEG that lacks only this; return None if pixels are missing as well.

    libjpeg fills in missing pixels. So the file is decoded several times: with the marker right behind the
    data, and with other bytes in between. Bytes behind the last pixel change nothing. Bytes read as pixels do
    change the picture, at least some of them: they begin with different bits, since one beginning may encode
    just what is filled in.

    Args:
        data: a complete file.
        decode: returns a value that identifies the pixels of a file.
    """
    if data[:3] != JPEG_HEAD or data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda"):
        return None
    begun = bytes(data).rstrip(b"\xff")
    marker = b"\xff\xd9"
    pixels = decode(begun + marker)
    for first in (0x2B, 0x6D, 0xB3, 0xE7):
        others = bytes((first + 89 * number) % 255 for number in range(4096))
        if decode(begun + others + marker) != pixels:
            return None
    return begun + marker
