"""Paint the backgrounds of crowded scenes: muted, with structure, and nothing that a question asks about."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .pictures import SIZE

_BLUR = 0.8  # pixels: softens the edges, so that the things in front stand out


class _Brush:
    """Draw muted shapes on a background whose light and tint vary from picture to picture."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.light = rng.uniform(0.93, 1.1)
        self.tint = rng.normal(0, 4, 3)
        self.image = Image.new("RGB", (SIZE, SIZE))
        self.draw = ImageDraw.Draw(self.image)

    def mix(self, *rgb: float) -> tuple[int, int, int]:
        """Return a fixed colour in the light and the tint of this picture."""
        values = np.clip(np.array(rgb) * self.light + self.tint, 0, 255)
        return tuple(int(value) for value in values)

    def fade(self, top: int, bottom: int, start: tuple[float, ...], end: tuple[float, ...]) -> None:
        """Fill the rows from `top` to `bottom` with a gradient."""
        ramp = np.linspace(self.mix(*start), self.mix(*end), bottom - top).round().astype(np.uint8)
        strip = Image.fromarray(ramp[:, None, :]).resize((SIZE, bottom - top), Image.Resampling.NEAREST)
        self.image.paste(strip, (0, top))


def paint_backdrop(rng: np.random.Generator) -> np.ndarray:
    """Paint a new canvas: meadow, room, table, street or water.

    Returns:
        float32 [336, 336, 3] in [0, 255].
    """
    brush = _Brush(rng)
    _PLACES[int(rng.integers(len(_PLACES)))](brush)
    canvas = np.asarray(brush.image.filter(ImageFilter.BoxBlur(_BLUR)), dtype=np.float32)
    # Soft blotches of light, and grain.
    coarse = Image.fromarray(rng.normal(0, 1, (5, 5)).astype(np.float32))
    canvas = canvas + np.asarray(coarse.resize((SIZE, SIZE), Image.Resampling.BICUBIC))[..., None] * 4
    canvas += rng.standard_normal((SIZE, SIZE), dtype=np.float32)[..., None] * np.float32(rng.uniform(0.5, 3))
    return canvas


def _paint_meadow(brush: _Brush) -> None:
    """Paint sky, clouds, hills and grass."""
    rng = brush.rng
    horizon = int(rng.integers(110, 190))
    brush.fade(0, horizon + 40, (176, 200, 216), (216, 224, 222))
    _paint_clouds(brush, horizon)
    for layer in range(2):
        swing = rng.uniform(8, 22)
        base = horizon - 14 + 12 * layer
        phase = rng.uniform(0, 2 * math.pi)
        crest = [(x, base + swing * math.sin(x / rng.uniform(54, 58) + phase)) for x in range(0, SIZE + 8, 8)]
        shade = brush.mix(150 + 8 * layer, 170 + 4 * layer, 150 - 8 * layer)
        brush.draw.polygon([(0, SIZE), *crest, (SIZE, SIZE)], fill=shade)
    brush.fade(horizon + 18, SIZE, (158, 178, 140), (132, 156, 116))
    for _ in range(70):
        x = int(rng.integers(0, SIZE))
        y = int(rng.integers(horizon + 22, SIZE))
        shade = brush.mix(118, 144, 106) if rng.random() < 0.5 else brush.mix(172, 188, 150)
        for lean in (-3, 0, 3):
            brush.draw.line((x, y, x + lean, y - 6), fill=shade)


def _paint_clouds(brush: _Brush, horizon: int) -> None:
    """Paint a few pale clouds above the horizon."""
    rng = brush.rng
    for _ in range(int(rng.integers(2, 5))):
        x = int(rng.integers(0, SIZE))
        y = int(rng.integers(10, max(horizon - 30, 11)))
        width = int(rng.integers(18, 36))
        for shift in (-0.7, 0.0, 0.7):
            middle = x + shift * width
            height = width * (0.5 if shift else 0.75)
            box = (middle - width * 0.7, y - height / 2, middle + width * 0.7, y + height / 2)
            brush.draw.ellipse(box, fill=brush.mix(228, 233, 234))


def _paint_room(brush: _Brush) -> None:
    """Paint a wall with a pattern, a window or a picture frame, a skirting board and floor boards."""
    rng = brush.rng
    floor = int(rng.integers(190, 250))
    wall = [(214, 204, 190), (196, 206, 204), (208, 198, 206), (200, 208, 190)][int(rng.integers(4))]
    brush.fade(0, floor, wall, tuple(0.93 * value for value in wall))
    paper = brush.mix(*(0.955 * value for value in wall))
    pattern = int(rng.integers(3))
    step = int(rng.integers(22, 40))
    for x in range(step // 2, SIZE, step):
        if pattern == 0:
            brush.draw.rectangle((x, 0, x + step // 3, floor), fill=paper)
        elif pattern == 1:
            for y in range(step // 2, floor, step):
                brush.draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=paper)
    left = int(rng.integers(20, 220))
    width = int(rng.integers(70, 100))
    brush.draw.rectangle((left, 24, left + width, 130), fill=brush.mix(232, 226, 216))
    brush.draw.rectangle((left + 6, 30, left + width - 6, 124), fill=brush.mix(190, 206, 214))
    brush.draw.rectangle(
        (left + width // 2 - 2, 30, left + width // 2 + 2, 124), fill=brush.mix(232, 226, 216)
    )
    brush.draw.rectangle((left + 6, 75, left + width - 6, 79), fill=brush.mix(232, 226, 216))
    brush.fade(floor, SIZE, (176, 156, 134), (158, 136, 114))
    for x in range(-SIZE, 2 * SIZE, 42):
        end = SIZE / 2 + (x - SIZE / 2) * 1.7
        brush.draw.line((x, floor, end, SIZE), fill=brush.mix(148, 126, 106), width=2)
    brush.draw.rectangle((0, floor - 8, SIZE, floor), fill=brush.mix(226, 220, 210))
    if rng.random() < 0.6:
        middle = int(rng.integers(110, 230))
        rug = brush.mix(*[(178, 150, 146), (150, 160, 172), (160, 168, 146)][int(rng.integers(3))])
        deep = (floor + SIZE) // 2
        brush.draw.ellipse((middle - 100, deep - 28, middle + 100, deep + 28), fill=rug)
        brush.draw.ellipse((middle - 84, deep - 21, middle + 84, deep + 21), outline=paper, width=3)


def _paint_table(brush: _Brush) -> None:
    """Paint a table top seen from above: wooden planks, or a chequered cloth."""
    rng = brush.rng
    if rng.random() < 0.5:
        wood = [(196, 172, 144), (176, 152, 128), (206, 190, 166)][int(rng.integers(3))]
        edge = 0
        while edge < SIZE:
            height = int(rng.integers(36, 60))
            shade = rng.uniform(0.95, 1.04)
            brush.fade(
                edge, edge + height, tuple(shade * v for v in wood), tuple(0.97 * shade * v for v in wood)
            )
            for _ in range(5):
                x = int(rng.integers(-40, SIZE))
                y = edge + int(rng.integers(4, height))
                grain = brush.mix(*(0.93 * value for value in wood))
                brush.draw.line((x, y, x + int(rng.integers(40, 150)), y), fill=grain)
            brush.draw.line((0, edge, SIZE, edge), fill=brush.mix(*(0.8 * value for value in wood)), width=2)
            edge += height
        return
    cloth = [(222, 210, 204), (206, 214, 222), (210, 218, 204)][int(rng.integers(3))]
    brush.fade(0, SIZE, cloth, tuple(0.97 * value for value in cloth))
    step = int(rng.choice([28, 34, 42]))
    band = [tuple(0.955 * value for value in cloth), tuple(0.9 * value for value in cloth)]
    for x in range(0, SIZE, step):
        brush.draw.rectangle((x, 0, x + step // 2, SIZE), fill=brush.mix(*band[0]))
        brush.draw.rectangle((0, x, SIZE, x + step // 2), fill=brush.mix(*band[0]))
    for x in range(0, SIZE, step):
        for y in range(0, SIZE, step):
            brush.draw.rectangle((x, y, x + step // 2, y + step // 2), fill=brush.mix(*band[1]))


def _paint_street(brush: _Brush) -> None:
    """Paint a row of pale house fronts, a pavement and a road with markings."""
    rng = brush.rng
    kerb = int(rng.integers(130, 170))
    brush.fade(0, kerb, (204, 212, 218), (218, 220, 218))
    x = -int(rng.integers(0, 40))
    while x < SIZE:
        width = int(rng.integers(46, 86))
        top = int(rng.integers(10, 70))
        front = [(196, 186, 178), (186, 192, 196), (204, 196, 182), (190, 180, 186)][int(rng.integers(4))]
        brush.draw.rectangle((x, top, x + width - 2, kerb), fill=brush.mix(*front))
        pane = brush.mix(*(0.87 * value for value in front))
        for row in range(top + 10, kerb - 24, 26):
            for column in range(x + 9, x + width - 16, 20):
                brush.draw.rectangle((column, row, column + 9, row + 14), fill=pane)
        x += width
    road = kerb + 34
    brush.fade(kerb, road, (186, 184, 178), (176, 174, 170))
    for x in range(0, SIZE, 30):
        brush.draw.line((x, kerb, x - 10, road), fill=brush.mix(166, 164, 160))
    brush.draw.rectangle((0, road - 4, SIZE, road), fill=brush.mix(200, 198, 194))
    brush.fade(road, SIZE, (152, 154, 158), (138, 140, 146))
    stripe = (road + SIZE) // 2
    for x in range(int(rng.integers(-40, 0)), SIZE, 62):
        brush.draw.polygon(
            [(x, stripe), (x + 34, stripe), (x + 30, stripe + 7), (x - 4, stripe + 7)],
            fill=brush.mix(198, 198, 192),
        )


def _paint_water(brush: _Brush) -> None:
    """Paint sky, a far shore, water with waves and a beach."""
    rng = brush.rng
    horizon = int(rng.integers(70, 130))
    beach = int(rng.integers(250, 310))
    brush.fade(0, horizon, (190, 206, 216), (222, 224, 218))
    _paint_clouds(brush, horizon)
    shore = [(x, horizon - 7 - 6 * math.sin(x / 47 + rng.uniform(0, 0.6))) for x in range(0, SIZE + 12, 12)]
    brush.draw.polygon([(0, horizon), *shore, (SIZE, horizon)], fill=brush.mix(156, 172, 164))
    brush.fade(horizon, beach + 6, (160, 184, 192), (176, 200, 200))
    for y in range(horizon + 8, beach - 6, 13):
        for x in range(int(rng.integers(-40, 0)), SIZE, 58):
            start = x + int(rng.integers(0, 20))
            brush.draw.arc((start, y, start + 14, y + 7), 200, 340, fill=brush.mix(200, 216, 218), width=2)
            brush.draw.arc(
                (start + 13, y, start + 27, y + 7), 200, 340, fill=brush.mix(200, 216, 218), width=2
            )
    foam = [(x, beach + 4 * math.sin(x / 21)) for x in range(0, SIZE + 8, 8)]
    brush.draw.polygon([(0, SIZE), *foam, (SIZE, SIZE)], fill=brush.mix(212, 202, 178))
    brush.draw.line(foam, fill=brush.mix(230, 234, 230), width=4)
    for _ in range(60):
        x = int(rng.integers(0, SIZE))
        y = int(rng.integers(beach + 8, SIZE))
        brush.draw.point((x, y), fill=brush.mix(184, 172, 148))


_PLACES: tuple[Callable[[_Brush], None], ...] = (
    _paint_meadow, _paint_room, _paint_table, _paint_street, _paint_water,
)  # fmt: skip
