"""Render a street with signs and number plates."""

from __future__ import annotations

import numpy as np
from PIL import ImageDraw

from ..pictures import GRID, PATCH, SIZE, Picture
from ..scenes import COLORS
from .lettering import FONTS
from .sheet import Box, Lettering, Rgb, Sheet, make_generator, mix, paint_gradient, pick, pick_several
from .vocabulary import PLATE_LETTERS, SIGN_WORDS, SPEEDS

MAX_SIGNS = 3
LIGHT_COLORS = ("orange", "yellow", "cyan", "pink")  # too light for white letters

_DARK: Rgb = (28, 28, 40)
_WHITE: Rgb = (252, 252, 250)
_METAL: Rgb = (120, 124, 132)
_ROAD: Rgb = (92, 94, 102)
# The sky from top to bottom.
_SKIES: tuple[tuple[Rgb, Rgb], ...] = (
    ((150, 196, 232), (224, 236, 244)),
    ((178, 206, 226), (244, 230, 212)),
    ((206, 212, 220), (234, 234, 232)),
    ((120, 168, 214), (196, 222, 240)),
    ((236, 196, 168), (248, 228, 204)),
)
_WALLS: tuple[Rgb, ...] = (
    (206, 186, 160), (190, 168, 158), (176, 188, 196), (214, 202, 178), (184, 192, 176), (200, 180, 190),
)  # fmt: skip
_PAVEMENT: tuple[Rgb, ...] = ((182, 178, 170), (160, 176, 140), (190, 184, 168))
_SHAPES = ("plain", "plain", "right", "left")


def render_sign(seed: int) -> Picture:
    """Render a street with one to three signs and at times a car with a number plate.

    The things are each "sign" with its colour and its text, then the "car" with its colour and the "plate"
    with its text, letters before digits: "ab 12". All signs and cars differ in colour.

    Args:
        seed: 0 or more; equal seeds give equal pictures.
    """
    rng = make_generator("sign", seed)
    has_car = rng.random() < 0.5
    count = int(rng.integers(1, MAX_SIGNS + 1))
    colors = pick_several(tuple(COLORS), count + 1, rng)
    texts = _draw_texts(rng, count)
    horizon = int(rng.integers(15, 18)) if has_car else int(rng.integers(17, 21))
    sheet = Sheet(paint_gradient(*pick(_SKIES, rng), np.pi / 2), rng)
    _paint_houses(sheet, horizon, rng)
    _paint_road(sheet, horizon, rng)
    # The signs share the width of the picture; each stands at a random place of its part.
    widths = [len(text) + 2 for text in texts]
    spare = GRID - sum(widths)
    gaps = rng.multinomial(spare, [1 / (count + 1)] * (count + 1)).tolist()
    column = 0
    for color, text, width, gap in zip(colors[:count], texts, widths, gaps[:-1], strict=True):
        column += gap
        row = int(rng.integers(2, horizon - 6))
        _draw_sign(sheet, color, text, column, row, horizon, rng)
        column += width
    if has_car:
        _draw_car(sheet, colors[-1], horizon, rng)
    return sheet.finish("sign", seed, rng)


def _draw_texts(rng: np.random.Generator, count: int) -> list[str]:
    """Draw different texts that fit beside each other, words or speeds."""
    while True:
        texts = [str(pick(SPEEDS if rng.random() < 0.25 else SIGN_WORDS, rng)) for _ in range(count)]
        if len(set(texts)) == count and sum(len(text) + 2 for text in texts) <= GRID:
            return texts


def _paint_houses(sheet: Sheet, horizon: int, rng: np.random.Generator) -> None:
    """Paint a row of houses with windows, all in muted colours."""
    ground = horizon * PATCH
    left = -int(rng.integers(0, 40))
    while left < SIZE:
        width = int(rng.integers(56, 110))
        top = ground - int(rng.integers(70, min(190, ground - 20)))
        wall = pick(_WALLS, rng)
        sheet.pen.rectangle((left, top, left + width - 1, ground), fill=wall)
        if rng.random() < 0.5:
            roof = mix(wall, (110, 70, 60), 0.6)
            peak = top - int(rng.integers(16, 34))
            sheet.pen.polygon(
                [(left - 3, top), (left + width // 2, peak), (left + width + 2, top)], fill=roof
            )
        else:
            sheet.pen.rectangle((left - 2, top - 5, left + width + 1, top), fill=mix(wall, (60, 60, 70), 0.4))
        glass = mix(wall, (96, 118, 140), 0.65)
        step = int(rng.integers(24, 32))
        for x in range(left + 10, left + width - 18, step):
            for y in range(top + 12, ground - 22, 34):
                sheet.pen.rectangle((x, y, x + 11, y + 16), fill=glass)
                sheet.pen.line((x, y + 17, x + 11, y + 17), fill=mix(wall, _WHITE, 0.5), width=2)
        left += width


def _paint_road(sheet: Sheet, horizon: int, rng: np.random.Generator) -> None:
    """Paint a pavement and a road with a broken line."""
    top = horizon * PATCH
    kerb = top + int(rng.integers(20, 34))
    sheet.pen.rectangle((0, top, SIZE, kerb), fill=pick(_PAVEMENT, rng))
    sheet.pen.rectangle((0, kerb, SIZE, kerb + 4), fill=(206, 206, 204))
    sheet.pen.rectangle((0, kerb + 5, SIZE, SIZE), fill=_ROAD)
    y = (kerb + 5 + SIZE) // 2
    for x in range(-int(rng.integers(0, 40)), SIZE, 52):
        sheet.pen.rectangle((x, y, x + 27, y + 4), fill=(226, 226, 220))


def _draw_sign(
    sheet: Sheet, color: str, text: str, column: int, row: int, horizon: int, rng: np.random.Generator
) -> None:
    """Draw a sign on its post and add it as a thing."""
    ink = _DARK if color in LIGHT_COLORS else _WHITE
    left, top = sheet.place(column + 0.4, row - 0.55)
    right, bottom = sheet.place(column + len(text) + 1.6, row + 1.55)
    foot = horizon * PATCH + int(rng.integers(6, 18))
    middle = (left + right) // 2
    sheet.pen.rectangle((middle - 3, top + 4, middle + 2, foot), fill=_METAL)
    sheet.pen.rectangle((middle - 3, top + 4, middle - 2, foot), fill=mix(_METAL, _WHITE, 0.4))
    box = (left, top, right, bottom)
    shape = pick(_SHAPES, rng)
    if shape == "plain":
        cover = sheet.paint_card(box, COLORS[color], corner=5, shadow=False)
        inner = (left + 2, top + 2, right - 3, bottom - 3)
        sheet.pen.rounded_rectangle(inner, 4, outline=ink, width=1)
    else:
        cover = _paint_arrow(sheet, box, COLORS[color], shape)
    style = Lettering(pick(FONTS, rng), ink, bool(rng.random() < 0.6))
    sheet.letter(text, column + 1, row, style)
    sheet.add("sign", color, text, box, cover)


def _paint_arrow(sheet: Sheet, box: Box, color: Rgb, direction: str) -> np.ndarray:
    """Paint a sign that points to the left or to the right, and return how much of its box it covers."""
    width = box[2] - box[0]
    height = box[3] - box[1]
    points = [(0, 0), (width - 10, 0), (width, height / 2), (width - 10, height), (0, height)]
    if direction == "left":
        points = [(width - x, y) for x, y in points]

    def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
        pen.polygon([(x * scale, y * scale) for x, y in points], fill=255)

    return sheet.paint(box, color, draw)


def _draw_car(sheet: Sheet, color: str, horizon: int, rng: np.random.Generator) -> None:
    """Draw a car from behind, with its number plate, and add both as things."""
    letters = pick(PLATE_LETTERS, rng)
    digits = str(int(rng.integers(1, 10 ** int(rng.integers(2, 4)))))
    text = f"{letters} {digits}"
    width = 10  # patches
    column = int(rng.integers(0, GRID - width + 1))
    row = int(rng.integers(horizon + 4, GRID - 2))  # of the plate
    paint = COLORS[color]
    dark = mix(paint, (0, 0, 0), 0.45)
    body = sheet.box(column, row - 1.9, column + width, row + 1.6)
    cabin = sheet.box(column + 1.2, row - 4.4, column + width - 1.2, row - 1)
    # Tyres and shadow first, then the cabin with its window, then the body.
    sheet.paint_card((body[0] + 6, body[3] - 6, body[2] - 6, body[3] + 7), (52, 52, 58), 6, shadow=False)
    for x in (body[0] + 10, body[2] - 30):
        sheet.paint_card((x, body[3] - 8, x + 20, body[3] + 9), (30, 30, 34), 4, shadow=False)
    whole = (body[0], cabin[1], body[2], body[3] + 7)
    cover = np.zeros((whole[3] - whole[1], whole[2] - whole[0]), dtype=np.float32)
    side = cabin[0] - whole[0]
    cover[: cabin[3] - cabin[1], side : side + cabin[2] - cabin[0]] = sheet.paint_card(
        cabin, paint, 14, shadow=False
    )
    window = (cabin[0] + 9, cabin[1] + 7, cabin[2] - 9, cabin[1] + 28)
    sheet.paint_card(window, (178, 206, 222), 7, shadow=False)
    low = body[1] - whole[1]
    cover[low : low + body[3] - body[1]] = sheet.paint_card(body, paint, 9, shadow=False)
    sheet.pen.line((body[0] + 6, body[1] + 12, body[2] - 7, body[1] + 12), fill=dark, width=1)
    for x in (body[0] + 5, body[2] - 20):
        sheet.paint_card((x, body[1] + 5, x + 15, body[1] + 13), (236, 96, 84), 3, shadow=False)
    sheet.pen.rectangle((body[0] + 4, body[3] - 7, body[2] - 5, body[3] - 4), fill=dark)
    sheet.add("car", color, "", whole, cover)
    # The plate.
    start = column + (width - len(text)) // 2
    plate = sheet.box(start - 0.4, row - 0.3, start + len(text) + 0.4, row + 1.2)
    ground = pick((_WHITE, (250, 222, 90)), rng)
    sheet.paint_card(plate, _DARK, 4, shadow=False)
    inner = (plate[0] + 1, plate[1] + 1, plate[2] - 1, plate[3] - 1)
    sheet.paint_card(inner, ground, 3, shadow=False)
    sheet.letter(text, start, row, Lettering(pick(FONTS, rng), _DARK, True))
    sheet.add("plate", "", text, plate)
