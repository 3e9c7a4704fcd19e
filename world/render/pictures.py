"""Hold what every picture of the everyday world consists of: pixels, things, and what each patch shows.

A picture has 336 x 336 pixels and 24 x 24 patches of 14 pixels, as LLaVA-1.5 sees it. Nothing here knows a
model.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

SIZE = 336  # pixels, both sides
PATCH = 14  # pixels, both sides
GRID = SIZE // PATCH
N_PATCHES = GRID * GRID
MIN_COVER = 0.2  # a patch shows a thing if the visible part of the thing covers at least this share of it
NOTHING = -1  # owner of a patch that shows no thing


@dataclass(frozen=True)
class Thing:
    """Hold one thing of a picture: an object, a word, a number or a bar.

    Attributes:
        kind: what it is, one word of a closed list: "boat", "word", "number", "bar".
        color: a name of the palette; "" where it has none of its own.
        text: what can be read on it, in lower case; "" for nothing.
        box: left, top, right and bottom in pixels, of the whole thing, hidden parts included.
        patches: sorted raster indices of the patches whose visible part shows it.
    """

    kind: str
    color: str
    text: str
    box: tuple[int, int, int, int]
    patches: tuple[int, ...]


@dataclass(frozen=True)
class Picture:
    """Hold a rendered picture and its ground truth.

    Attributes:
        kind: which renderer made it: "crowd", "receipt", "chart", ...
        seed: the argument of that renderer; equal seeds give equal pixels.
        pixels: uint8 [336, 336, 3], sRGB.
        things: in the order of the renderer.
        owner: int16 [576], index in `things` of the thing that each patch shows most of, NOTHING for none.
        glyphs: for each of the 576 patches the character that it shows, in lower case, "" for none.
    """

    kind: str
    seed: int
    pixels: np.ndarray = field(repr=False)
    things: tuple[Thing, ...]
    owner: np.ndarray = field(repr=False)
    glyphs: tuple[str, ...] = field(repr=False)

    @property
    def image(self) -> Image.Image:
        """Return the picture, RGB."""
        return Image.fromarray(self.pixels)


def mean_per_patch(values: np.ndarray) -> np.ndarray:
    """Return the mean of [336, 336] over each patch, [576] in raster order."""
    return values.reshape(GRID, PATCH, GRID, PATCH).mean(axis=(1, 3)).reshape(-1)
