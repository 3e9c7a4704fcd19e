"""A decoded frame -> RGB as a player shows it: square pixels, upright, sides of at most MAX_SIDE."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from PIL import Image

# Vision towers read 224 to 448 pixels of a frame: this leaves enough for the eye, and for many frames.
MAX_SIDE = 1280

# By the signs of a display matrix [[a, b], [c, d]] (FFmpeg, libavutil/display.h): the point (x, y) of the
# stored picture is shown at (a x + c y, b x + d y), with y downwards.
_TURNS = {
    (1, 0, 0, 1): None,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}


def picture(frame: av.VideoFrame, pixel_shape: Fraction | None, size: tuple[int, int] | None) -> Image.Image:
    """RGB, 8 bits. Scaled by FFmpeg while it converts, so that a full RGB copy of an 8K frame never exists.

    Args:
        frame: any size and pixel format.
        pixel_shape: width / height of one pixel, None or 0 where unknown; the shorter side is stretched.
        size: (width, height) to come out at, upright; None: as large as the frame, at most MAX_SIDE.
    """
    turn = _turn(frame)
    if size is None:
        width, height = _shown_size(frame, pixel_shape)
    else:
        width, height = size if turn not in _QUARTERS else size[::-1]
    smooth = "AREA" if width < frame.width else "BICUBIC"
    image = frame.reformat(width, height, format="rgb24", interpolation=smooth).to_image()
    return image if turn is None else image.transpose(turn)


_QUARTERS = {turn for signs, turn in _TURNS.items() if signs[0] == 0}


def _shown_size(frame: av.VideoFrame, pixel_shape: Fraction | None) -> tuple[int, int]:
    width, height = Fraction(frame.width), Fraction(frame.height)
    if pixel_shape and pixel_shape > 1:
        width *= pixel_shape
    elif pixel_shape:
        height /= pixel_shape
    scale = min(1, MAX_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _turn(frame: av.VideoFrame) -> Image.Transpose | None:
    """How the stored picture is brought upright; turns that are no quarters are left as they are."""
    stored = frame.side_data.get("DISPLAYMATRIX")
    if stored is None:
        return None
    matrix = np.frombuffer(bytes(stored), dtype=np.int32)
    signs = tuple(int(s) for s in np.sign(matrix[[0, 1, 3, 4]]))
    return _TURNS.get(signs)
