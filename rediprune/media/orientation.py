"""Convert a decoded frame to RGB as a player shows it: square pixels, upright, sides up to MAX_SIDE."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
from PIL import Image

from .image import ON_WHITE

# Vision towers read 224 to 448 pixels of a frame. This is enough for the eye, and small enough for many
# frames.
MAX_SIDE = 1280

# The signs of a display matrix [[a, b], [c, d]] (FFmpeg, libavutil/display.h) -> the operation that applies
# it: the point (x, y) of the stored picture is shown at (a x + c y, b x + d y), with y downwards.
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

# Number of a YUV matrix in ITU-T H.273 -> the matrix that swscale converts it with. Constant luminance (10)
# is read as non-constant luminance (9), as players do.
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 6, 7: 7, 9: 9, 10: 9}
_RGB, _UNSTATED = 0, 2
_BT709, _BT601, _BT2020 = 1, 5, 9
# From this size up a picture is high definition. If its file states no matrix, that means BT.709.
HD_WIDTH, HD_HEIGHT = 1280, 720


def to_upright_rgb(
    frame: av.VideoFrame,
    pixel_shape: Fraction | None,
    size: tuple[int, int] | None,
    codec: str,
    note: Callable[[str], None],
) -> Image.Image:
    """Convert a frame to 8-bit RGB, upright, with alpha laid on white.

    FFmpeg scales while it converts, so that a full RGB copy of an 8K frame never exists. A frame with alpha
    is laid on white before it is scaled, because colours behind transparent pixels must not bleed into their
    neighbours.

    Args:
        frame: any size and pixel format.
        pixel_shape: width / height of one pixel, None or 0 where unknown; the shorter side is stretched.
        size: (width, height) of the upright result; None: the size of the frame, at most MAX_SIDE.
        codec: FFmpeg's name of the codec.
        note: called with a sentence for the reader if the result looks different from the file.
    """
    turn = _upright_turn(frame)
    # (width, height) before the turn.
    if size is None:
        width, height = _display_size(frame, pixel_shape)
    elif turn in _QUARTERS:
        height, width = size
    else:
        width, height = size
    stated = frame.colorspace
    try:
        frame.colorspace = _matrix(frame, codec, note)
        if _has_alpha(frame):
            image = _lay_on_white(Image.fromarray(frame.reformat(format="rgba").to_ndarray()), note)
            if image.size != (width, height):
                image = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
        else:
            interpolation = "AREA" if width < frame.width else "BICUBIC"
            image = frame.reformat(width, height, format="rgb24", interpolation=interpolation).to_image()
    finally:
        frame.colorspace = stated
    return image if turn is None else image.transpose(turn)


def _matrix(frame: av.VideoFrame, codec: str, note: Callable[[str], None]) -> int:
    """Return the number of the matrix to convert the frame's YUV with, one that swscale knows."""
    stated = int(frame.colorspace)
    if frame.format.is_rgb:
        return stated if stated == _RGB else _UNSTATED
    if stated in _MATRICES:
        return _MATRICES[stated]
    if stated not in (_RGB, _UNSTATED):
        note("The file's colours are coded in a way that is not known here: they may look other than meant.")
    if codec == "vp8":  # VP8 has no other matrix (RFC 6386, 9.2)
        return _BT601
    if int(frame.color_primaries) == _BT2020:
        return _BT2020
    is_hd = frame.width >= HD_WIDTH or frame.height >= HD_HEIGHT
    return _BT709 if is_hd else _BT601


def _has_alpha(frame: av.VideoFrame) -> bool:
    """Return whether a frame has an alpha channel, or a palette, which may hold alpha."""
    return frame.format.has_palette or any(component.is_alpha for component in frame.format.components)


def _lay_on_white(image: Image.Image, note: Callable[[str], None]) -> Image.Image:
    """Convert RGBA to RGB on a white background; note if anything was transparent."""
    alpha = image.getchannel("A")
    if alpha.getextrema()[0] < 255:
        note(ON_WHITE)
    opaque = Image.new("RGB", image.size, "white")
    opaque.paste(image.convert("RGB"), mask=alpha)
    return opaque


# The operations that swap width and height.
_QUARTERS = {turn for signs, turn in _TURNS.items() if signs[0] == 0}


def _display_size(frame: av.VideoFrame, pixel_shape: Fraction | None) -> tuple[int, int]:
    """Return (width, height) of the frame in square pixels, before the turn, with sides up to MAX_SIDE."""
    width, height = Fraction(frame.width), Fraction(frame.height)
    if pixel_shape and pixel_shape > 1:
        width *= pixel_shape
    elif pixel_shape:
        height /= pixel_shape
    scale = min(Fraction(1), MAX_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _upright_turn(frame: av.VideoFrame) -> Image.Transpose | None:
    """Return the operation that turns the frame upright; None for none, and for odd angles."""
    stored = frame.side_data.get("DISPLAYMATRIX")
    if stored is None:
        return None
    matrix = np.frombuffer(bytes(stored), dtype=np.int32)
    across, down, left, up = (int(s) for s in np.sign(matrix[[0, 1, 3, 4]]))
    return _TURNS.get((across, down, left, up))
