"""A file of either kind: a picture is a still, a video or an animated picture is a clip."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from . import animation
from .image import FORMATS, LoadedImage, MediaError, existing_file, load_image
from .video import LoadedVideo, load_video


def load_media(path: str | os.PathLike, n_frames: int = 8) -> LoadedImage | LoadedVideo:
    """What `load_image` or `load_video` makes of the file, whichever it is for.

    An animated GIF, WebP, PNG or AVIF is a clip; several pages of a TIFF and the preview of a photo are not.

    Args:
        path: a picture or a video.
        n_frames: how many frames are taken of a clip, as in load_video.

    Raises:
        MediaError: neither of them; the sentence is about what its name says that it is.
        ValueError: n_frames out of range.
    """
    file = existing_file(path)
    if (moves := _moves(file)) is not None:
        return load_video(file, n_frames) if moves else load_image(file)
    said = (mimetypes.guess_type(file.name)[0] or "").partition("/")[0]
    if said == "image":
        return load_image(file)
    try:
        return load_video(file, n_frames)
    except MediaError:
        if said in ("video", "audio"):
            raise
        raise MediaError(
            f"{file.name} is neither a picture nor a video that can be read: save it as PNG, JPEG or MP4."
        ) from None


def _moves(file: Path) -> bool | None:
    """Whether a picture is animated; None where Pillow knows no such picture."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            if image.format not in animation.FORMATS:
                return False
            try:
                return image.n_frames > 1
            except Exception:  # broken off: what comes before is a clip
                return True
    except UnidentifiedImageError:
        return None
    except Exception:  # load_image says what is wrong
        return False
