"""Paint backgrounds, grey clutter, anti-aliased shapes and digits on a canvas.

A canvas is float32 [side, side, 3] in sRGB values from 0 to 255 and is changed in place. Nothing here knows
the patches of a model.
"""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SUPERSAMPLE = 4  # masks are drawn this many times larger and averaged, which makes their edges smooth
_DIGIT_SIDE = 16  # pixels
_FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"


def paint_background(rng: np.random.Generator, side: int) -> np.ndarray:
    """Paint a new canvas with a muted gradient, soft blotches and sometimes a faint wave.

    Returns:
        float32 [side, side, 3].
    """
    angle = rng.uniform(0, 2 * math.pi)
    yy, xx = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    t = np.clip((math.cos(angle) * xx + math.sin(angle) * yy) + 0.5, 0, 1)[..., None]
    start = np.clip(rng.uniform(70, 235) + rng.normal(0, 9, 3), 0, 255)
    end = np.clip(start + rng.normal(0, 16, 3), 0, 255)
    canvas = (start * (1 - t) + end * t).astype(np.float32)
    cells = int(rng.integers(3, 12))
    coarse = Image.fromarray(rng.normal(0, 1, (cells, cells)).astype(np.float32))
    canvas += np.asarray(coarse.resize((side, side), Image.BICUBIC))[..., None] * rng.uniform(3, 16)
    if rng.random() < 0.4:
        period = rng.uniform(6, 22)  # pixels
        slant = rng.uniform(0, math.pi)
        wave = np.sin((math.cos(slant) * xx + math.sin(slant) * yy) * side * 2 * math.pi / period)
        canvas += wave[..., None] * rng.uniform(2, 9)
    return canvas


def paint_clutter(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """Paint grey scratches, rings and specks, which no question asks about."""
    side = len(canvas)
    layer = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(layer)
    for _ in range(int(rng.integers(0, 9))):
        x, y, dx, dy = (int(v) for v in (*rng.integers(0, side, 2), *rng.integers(-40, 41, 2)))
        kind = int(rng.integers(0, 3))
        strength = int(rng.integers(60, 190))
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
def shape_mask(shape: str, radius: int, rotation: int) -> np.ndarray:
    """Return how much of each pixel a shape covers, [0, 1].

    Args:
        shape: a name of scenes.SHAPES.
        radius: in pixels.
        rotation: in degrees.

    Returns:
        float32 [2 * (radius + 2), 2 * (radius + 2)], with the shape in the middle.

    Raises:
        ValueError: there is no shape of that name.
    """
    half = radius + 2
    big = Image.new("L", (2 * half * _SUPERSAMPLE,) * 2, 0)
    pen = ImageDraw.Draw(big)
    center = half * _SUPERSAMPLE
    r = radius * _SUPERSAMPLE
    if shape == "circle":
        pen.ellipse((center - 0.9 * r, center - 0.9 * r, center + 0.9 * r, center + 0.9 * r), fill=255)
    else:
        cosine = math.cos(math.radians(rotation))
        sine = math.sin(math.radians(rotation))
        rotated = [(x * cosine - y * sine, x * sine + y * cosine) for x, y in _outline(shape)]
        pen.polygon([(center + r * x, center + r * y) for x, y in rotated], fill=255)
    return np.asarray(big.resize((2 * half, 2 * half), Image.BOX), dtype=np.float32) / 255


def _outline(shape: str) -> list[tuple[float, float]]:
    """Return the corners (x, y) of a shape with radius 1; y points down."""
    if shape == "square":
        return [(-0.78, -0.78), (0.78, -0.78), (0.78, 0.78), (-0.78, 0.78)]
    if shape == "triangle":
        return [(0, -1.0), (0.95, 0.72), (-0.95, 0.72)]
    if shape == "cross":
        w = 0.36  # half the width of an arm
        return [
            (-w, -1), (w, -1), (w, -w), (1, -w), (1, w), (w, w),
            (w, 1), (-w, 1), (-w, w), (-1, w), (-1, -w), (-w, -w),
        ]  # fmt: skip
    if shape == "star":
        spikes = [(1.05 if i % 2 == 0 else 0.5, math.pi * i / 5 - math.pi / 2) for i in range(10)]
        return [(q * math.cos(a), q * math.sin(a)) for q, a in spikes]
    if shape == "heart":
        turns = np.linspace(0, 2 * math.pi, 60, endpoint=False)
        x = np.sin(turns) ** 3
        y = -(13 * np.cos(turns) - 5 * np.cos(2 * turns) - 2 * np.cos(3 * turns) - np.cos(4 * turns)) / 16
        return list(zip(x.tolist(), (y - 0.05).tolist(), strict=True))
    raise ValueError(f"unknown shape {shape!r}: there is no outline for it")


def paste_shape(
    canvas: np.ndarray, mask: np.ndarray, color: np.ndarray, x: int, y: int, light: float
) -> np.ndarray:
    """Blend a shape into the canvas, lit from above, and return what it covers.

    Args:
        canvas: float32 [side, side, 3], changed in place.
        mask: float32 [s, s] from shape_mask.
        color: [3], sRGB values from 0 to 255.
        x: centre of the shape in pixels.
        y: centre of the shape in pixels.
        light: by what share the top is brighter, and the bottom darker.

    Returns:
        How much of each pixel is covered, float32 [side, side] in [0, 1].
    """
    side = len(canvas)
    half = mask.shape[0] // 2
    # The part of the mask that lies inside the canvas.
    covered = np.zeros((side, side), dtype=np.float32)
    y0, x0 = max(0, y - half), max(0, x - half)
    y1, x1 = min(side, y + half), min(side, x + half)
    part = mask[y0 - y + half : y1 - y + half, x0 - x + half : x1 - x + half]
    covered[y0:y1, x0:x1] = part
    ramp = np.linspace(1 + light, 1 - light, y1 - y0, dtype=np.float32)[:, None, None]
    window = canvas[y0:y1, x0:x1]
    window += part[..., None] * (np.clip(color * ramp, 0, 255) - window)
    return covered


@lru_cache(maxsize=64)
def _digit_mask(digit: str) -> np.ndarray:
    """Return how much of each pixel a digit covers, float32 [16, 16] in [0, 1]."""
    big_side = _DIGIT_SIDE * _SUPERSAMPLE
    font = ImageFont.truetype(str(_FONT), big_side)
    big = Image.new("L", (big_side, big_side), 0)
    ImageDraw.Draw(big).text((big_side // 2, big_side // 2), digit, fill=255, font=font, anchor="mm")
    return np.asarray(big.resize((_DIGIT_SIDE, _DIGIT_SIDE), Image.BOX), dtype=np.float32) / 255


def write_digit(canvas: np.ndarray, digit: str, x: int, y: int, dark: bool) -> None:
    """Write a digit with its centre at (x, y) in pixels, in dark ink or in white."""
    ink = np.array((24, 24, 40) if dark else (255, 255, 255), dtype=np.float32)
    half = _DIGIT_SIDE // 2
    window = canvas[y - half : y + half, x - half : x + half]
    window += _digit_mask(digit)[..., None] * (ink - window)
