"""A file of either kind: a picture is a still, a video or an animated picture is a clip."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Callable
from pathlib import Path

from PIL import UnidentifiedImageError

from . import animation
from .image import FORMATS, LoadedImage, MediaError, existing_file, load_image
from .limits import MAX_SECONDS, ReadingLimit, ReadingStopped, TimeLimitReached
from .picture_file import OpenFile, read_picture
from .video import LoadedVideo, load_video


def load_media(
    path: str | os.PathLike,
    n_frames: int = 8,
    *,
    stop: Callable[[], bool] | None = None,
    seconds: float | None = MAX_SECONDS,
) -> LoadedImage | LoadedVideo:
    """Return what `load_image` or `load_video` makes of the file, whichever it is for.

    An animated GIF, WebP, PNG or AVIF is a clip; several pages of a TIFF and the preview of a photo are not.

    Args:
        path: a picture or a video.
        n_frames: how many frames are taken of a clip, as in load_video.
        stop: ends the reading once it returns True, as in load_image and load_video.
        seconds: how long the reading may take; None: without a limit.

    Raises:
        MediaError: neither of them; the sentence is about what its name says that it is.
        ReadingStopped, TimeLimitReached: kinds of MediaError, see the arguments.
        ValueError: n_frames or seconds out of range.
    """
    file = existing_file(path)
    moves = _is_animated(file, ReadingLimit(file.name, stop, seconds))
    if moves is True:
        return load_video(file, n_frames, stop=stop, seconds=seconds)
    said = (mimetypes.guess_type(file.name)[0] or "").partition("/")[0]
    if moves is False or said == "image":
        return load_image(file, stop=stop, seconds=seconds)
    try:
        return load_video(file, n_frames, stop=stop, seconds=seconds)
    except (ReadingStopped, TimeLimitReached):
        raise
    except MediaError:
        if said in ("video", "audio"):
            raise
        raise MediaError(
            f"{file.name} is neither a picture nor a video that can be read: save it as PNG, JPEG or MP4."
        ) from None


def _is_animated(file: Path, limit: ReadingLimit) -> bool | None:
    """Return whether a picture is animated; None where Pillow knows no such picture."""
    try:
        return read_picture(file, file.name, FORMATS, limit, _is_animation)[0]
    except UnidentifiedImageError:
        return None
    except (ReadingStopped, TimeLimitReached):
        raise
    except Exception:  # load_image says what is wrong
        return False


def _is_animation(open_file: OpenFile) -> bool:
    with open_file() as image:
        return animation.is_animated(image)
