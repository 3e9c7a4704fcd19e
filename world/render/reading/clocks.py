"""Render analogue clocks that show full and half hours."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

from ..pictures import GRID, PATCH, SIZE, Picture
from ..scenes import COLORS
from .lettering import FONTS
from .sheet import Lettering, Rgb, Sheet, make_generator, mix, paint_gradient, pick, pick_several
from .vocabulary import CITIES, name_time

MAX_CLOCKS = 3
RADII = {1: (56, 76, 98), 2: (44, 56, 70), 3: (40, 44, 50)}  # pixels, by the number of clocks

_WALLS: tuple[Rgb, ...] = (
    (222, 214, 200), (196, 210, 216), (206, 216, 198), (228, 208, 200), (86, 104, 126), (110, 92, 84),
    (210, 204, 222),
)  # fmt: skip
_FACES: tuple[Rgb, ...] = ((254, 254, 250), (252, 246, 228), (240, 246, 252))
_INK: Rgb = (34, 34, 44)
_SUPERSAMPLE = 3


def render_clock(seed: int) -> Picture:
    """Render one to three clocks on a wall, at times with the name of a city below each.

    The things are for each clock, from left to right, a "clock" with the colour of its rim and its time in
    words as its text, then a "label" with the city, where there is one. Clocks differ in colour; their times
    may be equal.

    Args:
        seed: 0 or more; equal seeds give equal pictures.
    """
    rng = make_generator("clock", seed)
    count = int(rng.integers(1, MAX_CLOCKS + 1))
    colors = pick_several(tuple(COLORS), count, rng)
    labels = [city for city in pick_several(CITIES, len(CITIES), rng) if len(city) <= GRID // count - 1]
    has_labels = rng.random() < 0.6
    wall = pick(_WALLS, rng)
    sheet = Sheet(paint_gradient(mix(wall, (255, 255, 255), 0.15), mix(wall, (0, 0, 0), 0.08), 1.2), rng)
    _paint_wall(sheet, wall, rng)
    light_wall = sum(wall) > 3 * 150
    style = Lettering(pick(FONTS, rng), _INK if light_wall else (250, 250, 246), bool(rng.random() < 0.5))
    radius = pick(RADII[count], rng)
    slot = SIZE // count
    below = 3 * PATCH if has_labels else PATCH
    for number, color in enumerate(colors):
        spare = slot / 2 - radius - 5
        x = round(slot * (number + 0.5) + rng.uniform(-spare, spare))
        y = int(rng.integers(radius + 8, SIZE - radius - below - 6))
        hour = int(rng.integers(1, 13))
        half = bool(rng.random() < 0.5)
        face = pick(_FACES, rng)
        rim = COLORS[color]
        cover = _paint_clock(sheet, (x, y), radius, hour, half, rim, face)
        box = (x - radius, y - radius, x + radius, y + radius)
        sheet.add("clock", color, name_time(hour, half), box, cover)
        if has_labels:
            text = labels[number]
            column = round(x / PATCH - len(text) / 2)
            first = slot * number // PATCH + 1  # one patch stays free between neighbours
            last = min(slot * (number + 1) // PATCH, GRID - 1) - len(text)
            row = math.ceil((y + radius + 8) / PATCH)
            sheet.write(text, min(max(column, first), last), row, style, "label")
    return sheet.finish("clock", seed, rng)


def _paint_wall(sheet: Sheet, wall: Rgb, rng: np.random.Generator) -> None:
    """Paint faint stripes or bricks on the wall, or leave it plain."""
    faint = mix(wall, (0, 0, 0), 0.07)
    style = rng.random()
    if style < 0.35:
        for x in range(int(rng.integers(0, 28)), SIZE, 28):
            sheet.pen.rectangle((x, 0, x + 13, SIZE), fill=mix(wall, (255, 255, 255), 0.06))
    elif style < 0.7:
        for line, y in enumerate(range(0, SIZE, 24)):
            sheet.pen.line((0, y, SIZE, y), fill=faint, width=1)
            for x in range(line % 2 * 28, SIZE, 56):
                sheet.pen.line((x, y, x, y + 24), fill=faint, width=1)


def _paint_clock(
    sheet: Sheet, center: tuple[int, int], radius: int, hour: int, half: bool, rim: Rgb, face: Rgb
) -> np.ndarray:
    """Paint a clock and return how much of each pixel of its box it covers."""
    scale = _SUPERSAMPLE
    r = radius * scale
    side = 2 * r
    big = Image.new("RGB", (side, side), rim)
    pen = ImageDraw.Draw(big)
    border = max(5, radius // 8) * scale
    pen.ellipse((border, border, side - border, side - border), fill=face)
    for tick in range(12):
        angle = math.radians(30 * tick)
        is_quarter = tick % 3 == 0
        inner = (r - border) * (0.78 if is_quarter else 0.86)
        width = (3 if is_quarter else 2) * scale
        _draw_hand(pen, r, angle, inner, (r - border) * 0.93, width)
    minute_angle = math.pi if half else 0.0
    hour_angle = math.radians(30 * (hour + 0.5 * half))
    _draw_hand(pen, r, hour_angle, 0, (r - border) * 0.5, max(6, radius // 10) * scale)
    _draw_hand(pen, r, minute_angle, 0, (r - border) * 0.8, max(3, radius // 18) * scale)
    pen.ellipse((r - 4 * scale, r - 4 * scale, r + 4 * scale, r + 4 * scale), fill=rim)
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).ellipse((0, 0, side - 1, side - 1), fill=255)
    small = mask.reduce(scale)
    x, y = center
    # A soft shadow below, then the clock.
    for step, strength in ((6, 18), (4, 26), (2, 36)):
        faint = small.point([level * strength // 255 for level in range(256)])
        sheet.image.paste((20, 20, 30), (x - radius + step // 2, y - radius + step), faint)
    sheet.image.paste(big.reduce(scale), (x - radius, y - radius), small)
    return np.asarray(small, dtype=np.float32) / 255


def _draw_hand(
    pen: ImageDraw.ImageDraw, center: float, angle: float, start: float, end: float, width: int
) -> None:
    """Draw a line with round ends from the middle of a clock outwards, at an angle from twelve o'clock."""
    points = [(center + math.sin(angle) * reach, center - math.cos(angle) * reach) for reach in (start, end)]
    pen.line(points, fill=_INK, width=width)
    for x, y in points:
        half = width / 2 - 0.5
        pen.ellipse((x - half, y - half, x + half, y + half), fill=_INK)
