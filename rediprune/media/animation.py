"""An animated picture (GIF, WebP, PNG, AVIF) -> the frames on screen at T moments, through Pillow.

FFmpeg 8 reads no animated WebP and of an animated AVIF only the first frame. A frame builds on the one before
it, so all are decoded, one at a time: once for their times, once for their pixels.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from .image import MediaError, check_size, to_rgb, transparent_colour, upright_transpose
from .limits import ReadingLimit, ReadingStopped, TimeLimitReached
from .orientation import MAX_SIDE
from .picture_file import OpenFile, read_picture
from .sampling import DecodedClip, select_frames

FORMATS = ("AVIF", "GIF", "PNG", "WEBP")
# Twice 4K. Every frame is put together on a canvas of this size, several of which are in memory at a time.
MAX_CANVAS = 16_000_000
# Decoded in one pass over the file at most: 238 frames of 1080p, or 20,000 that are next to nothing.
MAX_PASS_PIXELS = 5 * 10**8
PIXELS_PER_FRAME = 25_000  # counted beside the canvas for what a frame of any size costs
# Browsers show a frame that asks for 10 ms or less for 100 ms, and makers of such files expect it.
LEAST_MS, INSTEAD_MS = 10, 100


def read(path: Path, n: int, limit: ReadingLimit) -> DecodedClip | None:
    """Return the animation at `n` moments, or None if the file is none of FORMATS.

    Raises:
        MediaError: too large, or a strip; see ReadingLimit.check.
        Exception: whatever Pillow meets damaged bytes with, before a first frame.
    """
    try:
        clip, note = read_picture(
            path, path.name, FORMATS, limit, lambda open_file: _read(open_file, n, limit)
        )
    except UnidentifiedImageError:
        return None
    if note is not None:
        clip.note(note)
    return clip


def is_animated(image: Image.Image) -> bool:
    """Return whether an opened picture has several frames that are shown one after the other."""
    if image.format not in FORMATS:
        return False
    try:
        return image.is_animated
    except MediaError:
        raise
    except Exception:  # broken off: what comes before is a clip
        return True


def _read(open_file: OpenFile, n: int, limit: ReadingLimit) -> DecodedClip:
    with open_file() as image:
        check_size(image.size, limit.name)
        if image.width * image.height > MAX_CANVAS and is_animated(image):
            most = MAX_CANVAS // 10**6
            raise MediaError(
                f"{limit.name} has more than {most} megapixels a frame: save a smaller copy and give that."
            )
        clip, times = _read_times(image, limit)
    clip.has_all_frames = len(times) <= n
    notes: list[str] = []
    with open_file() as image:
        transparent = transparent_colour(image)
        if transparent is not None:  # Pillow lays the next frame over this one by it
            image.info["transparency"] = transparent
        image.load()
        turn = upright_transpose(image, notes)
        for index in select_frames(times, n):
            try:
                limit.check()
                image.seek(index)
                image.load()
                shown = image.info.get("transparency")
                frame = to_rgb(image, image.format, limit.name, notes, shown, MAX_SIDE)
            except TimeLimitReached:
                if not clip.pictures:
                    raise
                clip.hit_time_limit = True
                break
            if turn:
                frame = frame.transpose(turn)
            frame.info = {}
            clip.pictures[times[index]] = frame
    for sentence in notes:
        clip.note(sentence)
    return clip


def _read_times(image: Image.Image, limit: ReadingLimit) -> tuple[DecodedClip, list[Fraction]]:
    """Decode frame after frame; return a clip without pictures and when each frame appears, in seconds."""
    most = max(1, MAX_PASS_PIXELS // (image.width * image.height + PIXELS_PER_FRAME))
    clip = DecodedClip({}, Fraction(0))
    times: list[Fraction] = []
    try:
        while True:
            limit.check(share=0.4)  # the second pass takes as long
            try:
                image.seek(len(times))
            except EOFError:
                break
            if len(times) == most:
                clip.note(
                    f"Only the first {most} frames were read: the animation has too many or too large ones."
                )
                break
            image.load()
            asked = image.info.get("duration") or 0
            times.append(clip.duration)
            clip.duration += Fraction(asked if asked > LEAST_MS else INSTEAD_MS) / 1000
    except ReadingStopped:
        raise
    except TimeLimitReached:
        if not times:
            raise
        clip.hit_time_limit = True
    except Exception:  # decoders meet hostile bytes with exceptions of nearly every type
        if not times:
            raise
        clip.is_truncated = True
    return clip, times
