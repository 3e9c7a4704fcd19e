"""Load a file of either kind: a picture as a still, a video or an animated picture as a clip."""

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
    """Load a picture with `load_image`, or a video with `load_video`.

    An animated GIF, WebP, PNG or AVIF is a video. A TIFF of several pages and a photo with a preview are
    pictures.

    Args:
        path: a picture or a video.
        n_frames: number of frames of a video, as in load_video.
        stop: ends the reading once it returns True, as in load_image and load_video.
        seconds: how long the reading may take; None: without a limit.

    Raises:
        MediaError: neither of them, or one that cannot be read; the sentence fits the suffix of the file's
            name.
        ReadingStopped, TimeLimitReached: subclasses of MediaError, see the arguments.
        ValueError: n_frames or seconds out of range.
    """
    file = existing_file(path)
    animated = _is_animated(file, ReadingLimit(file.name, stop, seconds))
    if animated is True:
        return load_video(file, n_frames, stop=stop, seconds=seconds)
    kind_by_name = (mimetypes.guess_type(file.name)[0] or "").partition("/")[0]
    if animated is False or kind_by_name == "image":
        return load_image(file, stop=stop, seconds=seconds)
    try:
        return load_video(file, n_frames, stop=stop, seconds=seconds)
    except (ReadingStopped, TimeLimitReached):
        raise
    except MediaError:
        if kind_by_name in ("video", "audio"):
            raise
        raise MediaError(
            f"{file.name} is neither a picture nor a video that can be read: save it as PNG, JPEG or MP4."
        ) from None


def _is_animated(file: Path, limit: ReadingLimit) -> bool | None:
    """Return whether a picture is animated; None if Pillow does not know the format."""
    try:
        return read_picture(file, file.name, FORMATS, limit, _opens_animated)[0]
    except UnidentifiedImageError:
        return None
    except (ReadingStopped, TimeLimitReached):
        raise
    except Exception:  # load_image will say what is wrong
        return False


def _opens_animated(open_file: OpenFile) -> bool:
    """Open a picture and return whether it is animated."""
    with open_file() as image:
        return animation.is_animated(image)
