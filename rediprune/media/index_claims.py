"""Refuse an MP4 whose index claims more frames than can be, before FFmpeg makes room for them.

FFmpeg keeps 70 bytes in memory for each frame that the index names. Where all frames have one size, the index
is a single number: 2 KB of file may claim a billion frames, and the program is ended for want of memory.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from .image import MediaError

# Far above what a film of ten hours has; 280 MB of FFmpeg's memory. Only sound of constant size has more.
MOST_CLAIMED = 4_000_000
# Boxes of pixels and sound, in which FFmpeg looks for no index.
PAYLOAD = (b"mdat", b"free", b"skip", b"wide")
PER_FRAME_FIELDS = 0xF00  # flags of a "trun" that says something of each frame, and so takes bytes for it


def check_index(path: Path) -> None:
    """Check the numbers of frames that a file of MP4's kind claims without listing them.

    Raises:
        MediaError: more than the file has bytes, or than MOST_CLAIMED of anything but sound.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        claimed = 0
        for start, end in _described(data):
            claimed += sum(_constant_sizes(data, start, end)) + sum(_bare_runs(data, start, end))
        if claimed > len(data):
            raise MediaError(f"{path.name} claims more frames than it can hold: save it again.")
        if claimed > MOST_CLAIMED:
            raise MediaError(f"{path.name} claims {claimed:,} frames, too many to read: give a shorter one.")


def _described(data: mmap.mmap) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of the parts of a file of boxes that hold no payload; none of another file."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if at == 0 and not kind.isalnum():
            return
        end = at + size if size >= 8 else len(data)
        if kind not in PAYLOAD:
            yield at, min(end, len(data))
        at = end


def _constant_sizes(data: mmap.mmap, start: int, end: int) -> Iterator[int]:
    """Yield the number of frames of each track whose frames have one size ("stsz")."""
    at = data.find(b"stsz", start, end)
    while at >= 0 and at + 16 <= len(data):
        size, count = struct.unpack_from(">II", data, at + 8)
        # Sound of one tick a sample is kept by chunks, not by samples.
        ticks = b"stts" + struct.pack(">IIII", 0, 1, count, 1)
        if size and data.find(ticks, start, end) < 0:
            yield count
        at = data.find(b"stsz", at + 4, end)


def _bare_runs(data: mmap.mmap, start: int, end: int) -> Iterator[int]:
    """Yield the number of frames of each run of a fragment that says nothing of each frame ("trun")."""
    at = data.find(b"trun", start, end)
    while at >= 0 and at + 12 <= len(data):
        flags, count = struct.unpack_from(">II", data, at + 4)
        if not flags & PER_FRAME_FIELDS:
            yield count
        at = data.find(b"trun", at + 4, end)
