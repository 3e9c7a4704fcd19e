"""Render price lists and receipts: rows of a name and a price, and the sum of the prices on a receipt."""

from __future__ import annotations

import math

import numpy as np

from ..pictures import GRID, PATCH, Picture
from .lettering import FONTS, HEADING_ADVANCE
from .sheet import Lettering, Rgb, Sheet, make_generator, mix, paint_gradient, pick, pick_several
from .vocabulary import GOODS, RECEIPT_TITLES, SHOP_TITLES

MIN_ROWS = 3
MAX_ROWS = 8
HIGHEST_TOTAL = 999
TOTAL = "total"

_TABLES: tuple[tuple[Rgb, Rgb], ...] = (
    ((150, 106, 70), (118, 80, 52)),
    ((196, 160, 118), (164, 126, 88)),
    ((112, 132, 140), (84, 102, 112)),
    ((186, 198, 186), (150, 166, 152)),
    ((206, 184, 176), (176, 148, 142)),
    ((96, 112, 150), (66, 80, 116)),
)
# Paper, ink, and the colour of the band behind a title with the colour of its letters.
_PAPERS: tuple[tuple[Rgb, Rgb, Rgb], ...] = (
    ((252, 251, 246), (40, 40, 48), (176, 58, 46)),
    ((250, 243, 222), (70, 44, 30), (120, 78, 44)),
    ((240, 246, 250), (26, 44, 82), (38, 84, 150)),
    ((242, 248, 236), (32, 66, 42), (58, 120, 72)),
    ((252, 238, 240), (92, 28, 56), (168, 62, 104)),
    ((40, 60, 54), (240, 244, 232), (226, 196, 110)),
    ((38, 42, 58), (244, 240, 228), (240, 160, 90)),
)


def render_receipt(seed: int) -> Picture:
    """Render a price list, or a receipt with a total.

    The things are a "title", then for each row an "item" and its "price"; a receipt ends with an "item" whose
    text is "total" and a thing of kind "total" with the sum.

    Args:
        seed: 0 or more; equal seeds give equal pictures.
    """
    rng = make_generator("receipt", seed)
    is_receipt = rng.random() < 0.5
    names = pick_several(GOODS, int(rng.integers(MIN_ROWS, MAX_ROWS + 1)), rng)
    prices = _draw_prices(rng, len(names))
    lines = [(name, str(price)) for name, price in zip(names, prices, strict=True)]
    if is_receipt:
        lines.append((TOTAL, str(sum(prices))))
    title = pick(RECEIPT_TITLES if is_receipt else SHOP_TITLES, rng)

    # How wide and high the card is, in patches; it stands at a random place.
    widest_name = max(len(name) for name, _ in lines)
    widest_price = max(len(price) for _, price in lines)
    title_width = math.ceil(len(title) * HEADING_ADVANCE / PATCH)
    inner = max(widest_name + int(rng.integers(2, 6)) + widest_price, title_width)
    pitch = int(rng.integers(2, 4)) if len(lines) <= 6 else 2
    height = 4 + pitch * len(lines)
    left = int(rng.integers(2, GRID - inner - 1))
    top = int(rng.integers(0, GRID - height + 1))

    start, end = pick(_TABLES, rng)
    sheet = Sheet(paint_gradient(start, end, rng.uniform(0, math.pi)), rng)
    if rng.random() < 0.5:
        _paint_boards(sheet, end, rng)
    paper, ink, accent = pick(_PAPERS, rng)
    font = pick(FONTS, rng)
    style = Lettering(font, ink, bool(rng.random() < 0.3))
    card = sheet.box(left - 1, top + 0.2, left + inner + 1, top + height - 0.3)
    if is_receipt:
        sheet.paint_card(card, paper)
        _paint_teeth(sheet, card, paper)
    else:
        sheet.paint_card(card, paper, corner=6)
    title_column = left + (inner - len(title) * HEADING_ADVANCE / PATCH) / 2
    heading = Lettering("sans bold" if font == "sans bold" else "mono bold", accent, bool(rng.random() < 0.5))
    sheet.write_heading(title, title_column, top + 0.7, heading)
    faint = mix(paper, ink, 0.25)
    first = top + 3
    rule = sheet.place(0, first - 0.2)[1]
    sheet.pen.line((card[0] + 8, rule, card[2] - 9, rule), fill=faint, width=1)
    has_leaders = rng.random() < 0.6
    for number, (name, price) in enumerate(lines):
        row = first + pitch * number + pitch // 2
        is_total = is_receipt and number == len(lines) - 1
        if is_total:
            y = sheet.place(0, row - 0.6)[1]
            sheet.pen.line((card[0] + 8, y, card[2] - 9, y), fill=mix(paper, ink, 0.7), width=2)
        elif has_leaders:
            _paint_leader(sheet, left + len(name), left + inner - len(price), row, mix(paper, ink, 0.4))
        sheet.write(name, left, row, style, "item")
        column = left + inner - len(price)
        sheet.write(price, column, row, style, "total" if is_total else "price")
    return sheet.finish("receipt", seed, rng)


def _draw_prices(rng: np.random.Generator, count: int) -> list[int]:
    """Draw prices of one digit, of up to two or of up to three, whose sum has at most three digits."""
    highest = pick((9, 9, 30, 99, 240), rng)
    while True:
        prices = rng.integers(1, highest + 1, count).tolist()
        if sum(prices) <= HIGHEST_TOTAL:
            return prices


def _paint_boards(sheet: Sheet, color: Rgb, rng: np.random.Generator) -> None:
    """Paint the joints of a wooden table."""
    step = int(rng.integers(40, 80))
    for y in range(int(rng.integers(0, step)), sheet.image.height, step):
        sheet.pen.line((0, y, sheet.image.width, y), fill=mix(color, (0, 0, 0), 0.25), width=2)


def _paint_teeth(sheet: Sheet, card: tuple[int, int, int, int], paper: Rgb) -> None:
    """Paint the torn lower edge of a receipt."""
    left, _, right, bottom = card
    for x in range(left, right - 3, 8):
        sheet.pen.polygon([(x, bottom), (min(x + 8, right - 1), bottom), (x + 4, bottom + 4)], fill=paper)


def _paint_leader(sheet: Sheet, start: int, end: int, row: int, color: Rgb) -> None:
    """Paint the faint dots that lead from a name to its price."""
    x0, y = sheet.place(start + 0.5, row + 0.75)
    x1, _ = sheet.place(end - 0.3, row)
    for x in range(x0, x1, 7):
        sheet.pen.point((x, y), fill=color)
        sheet.pen.point((x + 1, y), fill=color)
