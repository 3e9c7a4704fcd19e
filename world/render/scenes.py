"""Scenes: a few coloured shapes on a quiet, noisy background, with the ground truth of every patch.

Drawn so that a very small vision tower can learn to read them: every shape is centred on a patch (with
jitter), so that the digit it may carry lies mostly inside one patch. Nothing here knows a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from .drawing import background, clutter, paste, shape_mask, write

IMAGE_SIZE = 224  # pixels, both sides
PATCH_SIZE = 16  # pixels, both sides
GRID_SIZE = IMAGE_SIZE // PATCH_SIZE
N_PATCHES = GRID_SIZE * GRID_SIZE

# sRGB. Saturated, against backgrounds that are not: colour is meant to be the easy question.
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
MIN_COVER = 0.2  # a patch "holds" a shape when at least this share of it is covered
MIN_TOUCH = 0.02  # and a shape "touches" it when more than this share is
MIN_SHAPES, MAX_SHAPES = 3, 6
ROTATIONS = (-12, -6, 0, 6, 12)  # degrees
_DARK_INK = ("orange", "yellow", "cyan", "pink")  # colours too light for a white digit


@dataclass(frozen=True)
class Shape:
    """One shape of a scene.

    Attributes:
        color, shape: names from COLORS and SHAPES.
        digit: "0".."9" written on it, or "" for none.
        x, y: centre in pixels.
        radius: in pixels.
        patches: indices (raster order) of the patches that it covers by at least MIN_COVER.
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
        return f"{self.color} {self.shape}"


@dataclass(frozen=True)
class Scene:
    """An image and what is in it.

    Attributes:
        pixels: uint8 [224, 224, 3].
        shapes: in reading order of their centres (row of patches, then column).
        touched: bool [196], patches that some shape covers by more than MIN_TOUCH; those of them that no
            shape holds are neither clearly background nor clearly a shape.
        seed: what `render_scene` was given.
    """

    pixels: np.ndarray = field(repr=False)
    shapes: tuple[Shape, ...]
    touched: np.ndarray = field(repr=False)
    seed: int

    @property
    def image(self) -> Image.Image:
        return Image.fromarray(self.pixels)


def render_scene(seed: int) -> Scene:
    """Draw the scene of a seed; the same seed gives the same pixels."""
    rng = np.random.default_rng(seed)
    canvas = background(rng, IMAGE_SIZE)
    clutter(canvas, rng)
    shapes, touched = [], np.zeros(N_PATCHES, dtype=bool)
    for x, y, radius in _places(rng, int(rng.integers(MIN_SHAPES, MAX_SHAPES + 1))):
        color, shape = str(rng.choice(list(COLORS))), str(rng.choice(SHAPES))
        digit = str(rng.choice(DIGITS)) if radius > RADII[0] and rng.random() < 0.75 else ""
        mask = shape_mask(shape, radius, int(rng.choice(ROTATIONS)))
        tint = np.array(COLORS[color]) + rng.normal(0, 7, 3)
        share = mean_per_patch(paste(canvas, mask, tint, x, y, light=rng.uniform(0.05, 0.2)))
        if digit:
            write(canvas, digit, x, y, dark=color in _DARK_INK)
        touched |= share > MIN_TOUCH
        held = np.flatnonzero(share >= MIN_COVER)
        shapes.append(Shape(color, shape, digit, x, y, radius, tuple(held.tolist())))
    shapes.sort(key=lambda s: (s.y // PATCH_SIZE, s.x // PATCH_SIZE))
    grain = rng.normal(0, rng.uniform(1, 7), canvas.shape).astype(np.float32)
    pixels = np.clip(canvas + grain, 0, 255).astype(np.uint8)
    return Scene(pixels, tuple(shapes), touched, seed)


def mean_per_patch(covered: np.ndarray) -> np.ndarray:
    """Mean of [224, 224] over each patch, [196]."""
    return covered.reshape(GRID_SIZE, PATCH_SIZE, GRID_SIZE, PATCH_SIZE).mean(axis=(1, 3)).reshape(-1)


def _places(rng: np.random.Generator, count: int) -> list[tuple[int, int, int]]:
    """Centres and radii that do not touch each other, each near a patch centre."""
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
