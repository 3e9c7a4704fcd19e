"""Read the frames on screen at T moments from an animated picture (GIF, WebP, PNG, AVIF) with Pillow.

FFmpeg 8 cannot read an animated WebP, and reads only the first frame of an animated AVIF. A frame depends on
the one before it, so all are decoded one at a time: once for their times, once for their pixels.
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
# Pixels; twice 4K. Frames are composed on canvases of this size, several of which are in memory at a time.
MAX_CANVAS = 16_000_000
# Pixels decoded in one pass over the file at most: 238 frames of 1080p, or 20,000 tiny frames.
MAX_PASS_PIXELS = 5 * 10**8
PIXELS_PER_FRAME = 25_000  # added for each frame, for the fixed cost of decoding one
# Browsers show a frame with a duration of 10 ms or less for 100 ms, and authors of such files expect it.
LEAST_MS, INSTEAD_MS = 10, 100


def read(path: Path, n: int, limit: ReadingLimit) -> DecodedClip | None:
    """Read the animation at `n` moments; return None if the file is in none of FORMATS.

    Raises:
        MediaError: too large, or a strip; see ReadingLimit.check.
        Exception: any type that Pillow raises for damaged bytes before a first frame.
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
    """Return whether an opened picture has several frames that are shown one after another."""
    if image.format not in FORMATS:
        return False
    try:
        return image.is_animated
    except MediaError:
        raise
    except Exception:  # cut off: the frames before that are a clip
        return True


def _read(open_file: OpenFile, n: int, limit: ReadingLimit) -> DecodedClip:
    """Read the times of all frames, then the pictures of the frames at `n` moments."""
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
        if transparent is not None:  # Pillow composes the next frame with it
            image.info["transparency"] = transparent
        image.load()
        turn = upright_transpose(image, notes)
        for index in select_frames(times, n):
            try:
                limit.check()
                image.seek(index)
                image.load()
                transparent = image.info.get("transparency")
                frame = to_rgb(image, image.format, limit.name, notes, transparent, MAX_SIDE)
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
    """Decode all frames; return a clip without pictures, and the time of each frame in seconds."""
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
            milliseconds = image.info.get("duration") or 0
            if milliseconds <= LEAST_MS:
                milliseconds = INSTEAD_MS
            times.append(clip.duration)
            clip.duration += Fraction(milliseconds) / 1000
    except ReadingStopped:
        raise
    except TimeLimitReached:
        if not times:
            raise
        clip.hit_time_limit = True
    except Exception:  # decoders raise nearly every type of exception for hostile bytes
        if not times:
            raise
        clip.is_truncated = True
    return clip, times
