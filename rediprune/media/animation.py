"""An animated picture (GIF, WebP, PNG, AVIF) -> the frames on screen at T moments, through Pillow.

FFmpeg 8 reads no animated WebP and of an animated AVIF only the first frame. A frame builds on the one before
it, so all are decoded, one at a time: once for their times, once for their pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from .image import check_size, to_rgb
from .orientation import MAX_SIDE
from .sampling import MAX_RUN_PIXELS, Clip, chosen

FORMATS = ("AVIF", "GIF", "PNG", "WEBP")
# Browsers show a frame that asks for 10 ms or less for 100 ms, and makers of such files expect it.
LEAST_MS, INSTEAD_MS = 10, 100


def read(path: Path, n: int) -> Clip | None:
    """The animation at `n` moments, or None if the file is none of FORMATS.

    Raises:
        MediaError: too large, or a strip.
        Exception: whatever Pillow meets damaged bytes with, before a first frame.
    """
    try:
        image = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError:
        return None
    with image:
        check_size(image.size, path.name)
        most = max(1, n * MAX_RUN_PIXELS // (image.width * image.height))
        times, now, far, cut = [], Fraction(0), False, False
        try:
            for shown_for in _lengths(image):
                if far := len(times) == most:
                    break
                times.append(now)
                now += shown_for
        except Exception:  # decoders meet hostile bytes with exceptions of nearly every type
            if not times:
                raise
            cut = True
    clip = Clip({}, now, cut=cut, far=far, whole=len(times) <= n)
    with Image.open(path, formats=FORMATS) as image:
        for index in chosen(times, n):
            image.seek(index)
            frame = to_rgb(image, image.format, path.name, clip.notes)
            frame.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
            clip.pictures[times[index]] = frame
    return clip


def _lengths(image: Image.Image) -> Iterator[Fraction]:
    """Decodes frame after frame and gives the time in seconds for which each is shown."""
    for index in count():
        try:
            image.seek(index)
        except EOFError:
            return
        image.load()
        asked = image.info.get("duration") or 0
        yield Fraction(asked if asked > LEAST_MS else INSTEAD_MS) / 1000
