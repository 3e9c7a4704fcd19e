"""Make sprites: things of any kind at any size, mirrored or slightly turned, kept for the next picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from ..scenes import COLORS
from . import animals, household, outdoors, vehicles
from .pen import MASTER, Pen

_DRAWINGS = {**animals.DRAWINGS, **household.DRAWINGS, **outdoors.DRAWINGS, **vehicles.DRAWINGS}
THING_KINDS = tuple(sorted(_DRAWINGS))
# sRGB. The colours of the scenes and four without a hue.
THING_COLORS = {
    **COLORS,
    "brown": (124, 74, 36),
    "black": (40, 40, 46),
    "grey": (132, 136, 142),
    "white": (246, 246, 246),
}
_OUTLINE = 9  # pixels of the large drawing, both sides of the filter that widens a thing
_OUTLINE_WEIGHT = 0.42  # of the colour of the thing
_LIT = (1.08, 0.88)  # brightness at the top and at the bottom


@dataclass(frozen=True)
class Sprite:
    """Hold a thing without its colour.

    Attributes:
        fixed: float32 [h, w, 3] in [0, 255], what does not depend on the colour, times alpha.
        weight: float32 [h, w, 1] in [0, 1], how much of the colour of the thing is added, times alpha.
        alpha: float32 [h, w, 1] in [0, 1], how much of each pixel the thing covers.
        mask: bool [h, w], the pixels that the thing covers by at least half.
    """

    fixed: np.ndarray = field(repr=False)
    weight: np.ndarray = field(repr=False)
    alpha: np.ndarray = field(repr=False)
    mask: np.ndarray = field(repr=False)

    def paint(self, window: np.ndarray, color: np.ndarray) -> None:
        """Blend the thing into a window of the canvas.

        Args:
            window: float32 [h, w, 3] in [0, 255], changed in place.
            color: float32 [3] in [0, 255].
        """
        window *= 1 - self.alpha
        window += self.fixed
        window += self.weight * color


def make_sprite(kind: str, size: int, flipped: bool = False, turn: int = 0) -> Sprite:
    """Return the sprite of a kind.

    Args:
        kind: one of THING_KINDS.
        size: of the longer side of what is visible, in pixels.
        flipped: mirror it left to right, after turning it.
        turn: in degrees, anticlockwise.

    Raises:
        ValueError: there is no drawing of that kind.
    """
    sprite = _shrink_master(kind, size, turn)
    if not flipped:
        return sprite
    return Sprite(*(part[:, ::-1] for part in (sprite.fixed, sprite.weight, sprite.alpha, sprite.mask)))


@lru_cache(maxsize=4096)
def _shrink_master(kind: str, size: int, turn: int) -> Sprite:
    """Return the large drawing of a kind, turned, at its final size."""
    layers = _turn_master(kind, turn)
    # Cut off the empty margin, so that `size` is the size of the thing and not of its square.
    left, top, right, bottom = layers[2].point(lambda value: 255 * (value > 127)).getbbox()
    scale = size / max(right - left, bottom - top)
    shape = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    small = [
        np.asarray(layer.resize(shape, Image.Resampling.BOX, (left, top, right, bottom)), dtype=np.float32)
        for layer in layers
    ]
    light = np.linspace(*_LIT, shape[1], dtype=np.float32)[:, None, None]
    alpha = small[2][..., None] / 255
    weight = small[1][..., None] / 255 * light
    fixed = np.minimum(small[0] * light, 255 * alpha)
    return Sprite(fixed, np.minimum(weight, alpha), alpha, alpha[..., 0] >= 0.5)


@lru_cache(maxsize=8 * len(THING_KINDS))
def _turn_master(kind: str, turn: int) -> list[Image.Image]:
    """Return the large drawing of a kind, turned by some degrees."""
    layers = _draw_master(kind)
    return [layer.rotate(turn, Image.Resampling.BILINEAR) for layer in layers] if turn else layers


@lru_cache(maxsize=len(THING_KINDS))
def _draw_master(kind: str) -> list[Image.Image]:
    """Return the large drawing of a kind with its outline: fixed colours, weight and alpha."""
    if kind not in _DRAWINGS:
        raise ValueError(
            f"unknown kind {kind!r}: there is no drawing of it, only of {', '.join(THING_KINDS)}"
        )
    pen = Pen()
    _DRAWINGS[kind](pen)
    alpha = pen.alpha.filter(ImageFilter.MaxFilter(_OUTLINE))
    outline = Image.new("L", (MASTER, MASTER), round(255 * _OUTLINE_WEIGHT))
    weight = Image.composite(pen.weight, outline, pen.alpha)
    weight = Image.composite(weight, Image.new("L", (MASTER, MASTER)), alpha)
    return [pen.fixed, weight, alpha]
