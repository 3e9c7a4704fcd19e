"""Render scenes: coloured shapes on a noisy background, with the ground truth of every patch.

A very small vision tower can learn to read them: every shape is centred on a patch, with jitter, so the
digit that it may carry lies mostly inside one patch. Nothing here knows a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from .drawing import paint_background, paint_clutter, paste_shape, shape_mask, write_digit

IMAGE_SIZE = 224  # pixels, both sides
PATCH_SIZE = 16  # pixels, both sides
GRID_SIZE = IMAGE_SIZE // PATCH_SIZE
N_PATCHES = GRID_SIZE * GRID_SIZE

# sRGB. The colours are saturated and the backgrounds are not, so that colour is the easy question.
COLORS = {
    "red": (214, 39, 40),
    "orange": (245, 132, 20),
    "yellow": (244, 212, 30),
    "green": (44, 150, 60),
    "cyan": (40, 200, 210),
    "blue": (38, 84, 204),
    "purple": (130, 60, 180),
    "pink": (245, 130, 190),
}
SHAPES = ("circle", "square", "triangle", "star", "heart", "cross")
DIGITS = tuple("0123456789")
RADII = (14, 20, 27)  # pixels: a shape covers about 3 to 11 patches
JITTER = 3  # pixels around the patch centre
MIN_COVER = 0.2  # a patch holds a shape if the shape covers at least this share of it
MIN_TOUCH = 0.02  # a shape touches a patch if it covers more than this share of it
MIN_SHAPES = 3
MAX_SHAPES = 6
ROTATIONS = (-12, -6, 0, 6, 12)  # degrees
_DARK_INK = ("orange", "yellow", "cyan", "pink")  # colours too light for a white digit


@dataclass(frozen=True)
class Shape:
    """One shape of a scene.

    Attributes:
        color: a name of COLORS.
        shape: a name of SHAPES.
        digit: "0" to "9", written on it; "" for none.
        x: centre in pixels.
        y: centre in pixels.
        radius: in pixels.
        patches: indices, in raster order, of the patches that it covers by at least MIN_COVER.
    """

    color: str
    shape: str
    digit: str
    x: int
    y: int
    radius: int
    patches: tuple[int, ...]

    @property
    def name(self) -> str:
        """Return the colour and the form: "red star"."""
        return f"{self.color} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """A picture and its ground truth.

    Attributes:
        pixels: uint8 [224, 224, 3].
        shapes: in reading order of their centres: by row of patches, then by column.
        touched: bool [196], patches that some shape covers by more than MIN_TOUCH; those of them that no
            shape holds are neither clearly background nor clearly a shape.
        seed: the argument of render_scene.
    """

    pixels: np.ndarray = field(repr=False)
    shapes: tuple[Shape, ...]
    touched: np.ndarray = field(repr=False)
    seed: int

    @property
    def image(self) -> Image.Image:
        """Return the picture, RGB."""
        return Image.fromarray(self.pixels)


def render_scene(seed: int) -> Scene:
    """Render the scene of a seed, a whole number of at least 0; equal seeds give equal pixels."""
    rng = np.random.default_rng(seed)
    canvas = paint_background(rng, IMAGE_SIZE)
    paint_clutter(canvas, rng)
    shapes = []
    touched = np.zeros(N_PATCHES, dtype=bool)
    n_shapes = int(rng.integers(MIN_SHAPES, MAX_SHAPES + 1))
    for x, y, radius in _place_shapes(rng, n_shapes):
        color = str(rng.choice(list(COLORS)))
        shape = str(rng.choice(SHAPES))
        digit = ""
        if radius > RADII[0] and rng.random() < 0.75:
            digit = str(rng.choice(DIGITS))
        mask = shape_mask(shape, radius, int(rng.choice(ROTATIONS)))
        tint = np.array(COLORS[color]) + rng.normal(0, 7, 3)
        covered = paste_shape(canvas, mask, tint, x, y, light=rng.uniform(0.05, 0.2))
        share = mean_per_patch(covered)
        if digit:
            write_digit(canvas, digit, x, y, dark=color in _DARK_INK)
        touched |= share > MIN_TOUCH
        patches = tuple(np.flatnonzero(share >= MIN_COVER).tolist())
        shapes.append(Shape(color, shape, digit, x, y, radius, patches))
    shapes.sort(key=lambda s: (s.y // PATCH_SIZE, s.x // PATCH_SIZE))
    grain = rng.normal(0, rng.uniform(1, 7), canvas.shape).astype(np.float32)
    pixels = np.clip(canvas + grain, 0, 255).astype(np.uint8)
    return Scene(pixels, tuple(shapes), touched, seed)


def mean_per_patch(covered: np.ndarray) -> np.ndarray:
    """Return the mean of [224, 224] over each patch, [196] in raster order."""
    return covered.reshape(GRID_SIZE, PATCH_SIZE, GRID_SIZE, PATCH_SIZE).mean(axis=(1, 3)).reshape(-1)


def _place_shapes(rng: np.random.Generator, count: int) -> list[tuple[int, int, int]]:
    """Draw (x, y, radius) of shapes that do not touch, each near the centre of a patch.

    Fewer than `count` are returned if the scene becomes too crowded.
    """
    placed: list[tuple[int, int, int]] = []
    for _ in range(200):
        if len(placed) == count:
            break
        radius = int(rng.choice(RADII)) + int(rng.integers(-1, 2))
        low = math.ceil((radius - PATCH_SIZE / 2) / PATCH_SIZE)
        high = GRID_SIZE - low
        x, y = (
            int(rng.integers(low, high)) * PATCH_SIZE
            + PATCH_SIZE // 2
            + int(rng.integers(-JITTER, JITTER + 1))
            for _ in range(2)
        )
        if all(math.hypot(x - a, y - b) > radius + r + 5 for a, b, r in placed):
            placed.append((x, y, radius))
    return placed
