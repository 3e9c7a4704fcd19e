"""Scenes: a few coloured shapes on a quiet, noisy background, with the ground truth of every patch.

Drawn so that a very small vision tower can learn to read them: every shape is centred on a patch (with jitter),
so that the digit it may carry lies mostly inside one patch. Nothing here knows a model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIZE = 224  # pixels, both sides
PATCH = 16  # pixels, both sides
GRID = SIZE // PATCH
N_PATCHES = GRID * GRID

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
COVER = 0.2  # a patch "holds" a shape when at least this share of it is covered
MIN_SHAPES, MAX_SHAPES = 3, 6
_SUPERSAMPLE = 4
_ROTATIONS = (-12, -6, 0, 6, 12)  # degrees
_FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"


@dataclass(frozen=True)
class Shape:
    """One shape of a scene.

    Attributes:
        color, shape: names from COLORS and SHAPES.
        digit: "0".."9" written on it, or "" for none.
        x, y: centre in pixels.
        radius: in pixels.
        patches: indices (raster order) of the patches that it covers by at least COVER.
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
        touched: bool [196], patches that any shape touches at all; between `touched` and a shape's `patches`
            lie the patches that are neither clearly background nor clearly the shape.
        seed: what `make_scene` was given.
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
    canvas = _background(rng)
    _distractors(canvas, rng)
    shapes, touched = [], np.zeros(N_PATCHES, dtype=bool)
    for x, y, radius in _places(rng, int(rng.integers(MIN_SHAPES, MAX_SHAPES + 1))):
        color, shape = str(rng.choice(list(COLORS))), str(rng.choice(SHAPES))
        digit = str(rng.choice(DIGITS)) if radius > RADII[0] and rng.random() < 0.75 else ""
        mask = _mask(shape, radius, int(rng.choice(_ROTATIONS)))
        coverage = _paste(
            canvas, mask, np.array(COLORS[color]) + rng.normal(0, 7, 3), x, y, rng.uniform(0.05, 0.2)
        )
        if digit:
            _write(canvas, digit, x, y, dark=color in ("orange", "yellow", "cyan", "pink"))
        held = np.flatnonzero(coverage >= COVER)
        touched |= coverage > 0.02
        shapes.append(Shape(color, shape, digit, x, y, radius, tuple(int(i) for i in held)))
    shapes.sort(key=lambda s: (s.y // PATCH, s.x // PATCH))
    grain = rng.normal(0, rng.uniform(1, 7), canvas.shape).astype(np.float32)
    pixels = np.clip(canvas + grain, 0, 255).astype(np.uint8)
    return Scene(pixels, tuple(shapes), touched, seed)


def _places(rng: np.random.Generator, count: int) -> list[tuple[int, int, int]]:
    """Centres and radii that do not touch each other, each near a patch centre."""
    placed: list[tuple[int, int, int]] = []
    for _ in range(200):
        if len(placed) == count:
            break
        radius = int(rng.choice(RADII)) + int(rng.integers(-1, 2))
        low, high = math.ceil((radius - PATCH / 2) / PATCH), GRID - math.ceil((radius - PATCH / 2) / PATCH)
        x, y = (
            int(rng.integers(low, high)) * PATCH + PATCH // 2 + int(rng.integers(-JITTER, JITTER + 1))
            for _ in range(2)
        )
        if all(math.hypot(x - a, y - b) > radius + r + 5 for a, b, r in placed):
            placed.append((x, y, radius))
    return placed


def _background(rng: np.random.Generator) -> np.ndarray:
    """Muted gradient, soft blotches, sometimes a faint weave; float32 [224, 224, 3]."""

    def muted() -> np.ndarray:
        grey = rng.uniform(70, 235)
        return np.clip(grey + rng.normal(0, 9, 3), 0, 255)

    angle = rng.uniform(0, 2 * math.pi)
    yy, xx = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE - 0.5
    t = np.clip((math.cos(angle) * xx + math.sin(angle) * yy) + 0.5, 0, 1)[..., None]
    start = muted()
    end = np.clip(start + rng.normal(0, 16, 3), 0, 255)
    canvas = (start * (1 - t) + end * t).astype(np.float32)
    cells = int(rng.integers(3, 12))
    blotches = Image.fromarray(rng.normal(0, 1, (cells, cells)).astype(np.float32)).resize(
        (SIZE, SIZE), Image.BICUBIC
    )
    canvas += np.asarray(blotches)[..., None] * rng.uniform(3, 16)
    if rng.random() < 0.4:
        period, slant = rng.uniform(6, 22), rng.uniform(0, math.pi)
        wave = np.sin((math.cos(slant) * xx + math.sin(slant) * yy) * SIZE * 2 * math.pi / period)
        canvas += wave[..., None] * rng.uniform(2, 9)
    return canvas


def _distractors(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """Grey scratches, rings and specks, which no question asks about."""
    layer = Image.new("L", (SIZE, SIZE), 0)
    pen = ImageDraw.Draw(layer)
    for _ in range(int(rng.integers(0, 9))):
        x, y, dx, dy = (int(v) for v in (*rng.integers(0, SIZE, 2), *rng.integers(-40, 41, 2)))
        kind, strength = int(rng.integers(0, 3)), int(rng.integers(60, 190))
        if kind == 0:
            pen.line((x, y, x + dx, y + dy), fill=strength, width=int(rng.integers(1, 3)))
        elif kind == 1:
            r = int(rng.integers(3, 9))
            pen.ellipse((x - r, y - r, x + r, y + r), outline=strength)
        else:
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=strength)
    tone = rng.uniform(0, 255)
    alpha = np.asarray(layer, dtype=np.float32)[..., None] / 255 * 0.6
    canvas += alpha * (tone - canvas)


@lru_cache(maxsize=4096)
def _mask(shape: str, radius: int, rotation: int) -> np.ndarray:
    """Anti-aliased coverage of a shape, float32 [s, s] in 0..1, centred."""
    half = radius + 2
    s = _SUPERSAMPLE
    big = Image.new("L", (2 * half * s, 2 * half * s), 0)
    pen = ImageDraw.Draw(big)
    c, r = half * s, radius * s

    def polygon(points: list[tuple[float, float]]) -> None:
        a = math.radians(rotation)
        turned = [(x * math.cos(a) - y * math.sin(a), x * math.sin(a) + y * math.cos(a)) for x, y in points]
        pen.polygon([(c + r * x, c + r * y) for x, y in turned], fill=255)

    if shape == "circle":
        pen.ellipse((c - 0.9 * r, c - 0.9 * r, c + 0.9 * r, c + 0.9 * r), fill=255)
    elif shape == "square":
        polygon([(-0.78, -0.78), (0.78, -0.78), (0.78, 0.78), (-0.78, 0.78)])
    elif shape == "triangle":
        polygon([(0, -1.0), (0.95, 0.72), (-0.95, 0.72)])
    elif shape == "cross":
        w = 0.36
        polygon(
            [
                (-w, -1),
                (w, -1),
                (w, -w),
                (1, -w),
                (1, w),
                (w, w),
                (w, 1),
                (-w, 1),
                (-w, w),
                (-1, w),
                (-1, -w),
                (-w, -w),
            ]
        )
    elif shape == "star":
        spikes = [(1.05 if i % 2 == 0 else 0.5, math.pi * i / 5 - math.pi / 2) for i in range(10)]
        polygon([(q * math.cos(a), q * math.sin(a)) for q, a in spikes])
    elif shape == "heart":
        turns = np.linspace(0, 2 * math.pi, 60, endpoint=False)
        x = np.sin(turns) ** 3
        y = -(13 * np.cos(turns) - 5 * np.cos(2 * turns) - 2 * np.cos(3 * turns) - np.cos(4 * turns)) / 16
        polygon(list(zip(x.tolist(), (y - 0.05).tolist(), strict=True)))
    else:
        raise ValueError(f"unknown shape {shape!r}: choose one of {', '.join(SHAPES)}")
    return np.asarray(big.resize((2 * half, 2 * half), Image.BOX), dtype=np.float32) / 255


def _paste(
    canvas: np.ndarray, mask: np.ndarray, color: np.ndarray, x: int, y: int, light: float
) -> np.ndarray:
    """Blend a softly lit shape in; the share of each patch that it covers, float32 [196]."""
    half = mask.shape[0] // 2
    full = np.zeros((SIZE, SIZE), dtype=np.float32)
    y0, x0 = max(0, y - half), max(0, x - half)
    y1, x1 = min(SIZE, y + half), min(SIZE, x + half)
    part = mask[y0 - y + half : y1 - y + half, x0 - x + half : x1 - x + half]
    full[y0:y1, x0:x1] = part
    ramp = np.linspace(1 + light, 1 - light, y1 - y0, dtype=np.float32)[:, None, None]
    window = canvas[y0:y1, x0:x1]
    window += part[..., None] * (np.clip(color * ramp, 0, 255) - window)
    return full.reshape(GRID, PATCH, GRID, PATCH).mean(axis=(1, 3)).reshape(-1)


@lru_cache(maxsize=64)
def _digit_mask(digit: str) -> np.ndarray:
    font = ImageFont.truetype(str(_FONT), 16 * _SUPERSAMPLE)
    big = Image.new("L", (16 * _SUPERSAMPLE, 16 * _SUPERSAMPLE), 0)
    ImageDraw.Draw(big).text((8 * _SUPERSAMPLE, 8 * _SUPERSAMPLE), digit, fill=255, font=font, anchor="mm")
    return np.asarray(big.resize((16, 16), Image.BOX), dtype=np.float32) / 255


def _write(canvas: np.ndarray, digit: str, x: int, y: int, dark: bool) -> None:
    ink = np.array((24, 24, 40) if dark else (255, 255, 255), dtype=np.float32)
    window = canvas[y - 8 : y + 8, x - 8 : x + 8]
    window += _digit_mask(digit)[..., None] * (ink - window)
