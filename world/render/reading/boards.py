"""Render boards of named cells and plans of named rooms, which hold marks, words and numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..drawing import shape_mask
from ..pictures import GRID, Picture
from ..scenes import COLORS, SHAPES
from .lettering import FONTS
from .sheet import Box, Lettering, Rgb, Sheet, make_generator, mix, paint_gradient, pick, pick_several
from .vocabulary import BOARD_WORDS, COLUMNS, ROOMS, ROWS

CELL = 4  # patches, both sides of a cell of a board
_HIGHEST_NUMBER = 99
_RADII = (13, 16, 19)  # pixels, of a mark

# Two colours of the cells, the lines, and the ink.
_BOARDS: tuple[tuple[Rgb, Rgb, Rgb, Rgb], ...] = (
    ((252, 250, 244), (236, 230, 216), (120, 100, 80), (60, 46, 36)),
    ((248, 250, 252), (224, 232, 240), (90, 106, 128), (36, 46, 66)),
    ((246, 250, 242), (222, 234, 216), (88, 116, 84), (34, 60, 36)),
    ((54, 74, 66), (46, 64, 58), (150, 170, 156), (244, 246, 236)),
    ((250, 244, 250), (236, 224, 238), (126, 98, 130), (66, 36, 74)),
)
_FLOORS: tuple[Rgb, ...] = (
    (240, 228, 206), (226, 234, 220), (220, 230, 240), (242, 224, 220), (234, 228, 240), (246, 240, 220),
)  # fmt: skip


@dataclass(frozen=True)
class Content:
    """Hold what lies in a cell or a room.

    Attributes:
        kind: "mark", "word" or "number".
        color: a name of COLORS for a mark, "" for the others.
        text: the name of a shape for a mark, else what is written.
    """

    kind: str
    color: str
    text: str


def render_board(seed: int) -> Picture:
    """Render a board with letters above its columns and digits beside its rows, or a plan of rooms.

    The things of a board are each "column" and each "row" with its letter or digit, then what the cells hold:
    a "mark" (its text is its shape), a "word" or a "number". The things of a plan are for each room a "room",
    whose box is the whole room and whose patches are those of its name, and after it what the room holds.

    Args:
        seed: 0 or more; equal seeds give equal pictures.
    """
    rng = make_generator("board", seed)
    if rng.random() < 0.65:
        sheet = _draw_grid(rng)
    else:
        sheet = _draw_plan(rng)
    return sheet.finish("board", seed, rng)


def _draw_contents(rng: np.random.Generator, count: int, longest: int) -> list[Content]:
    """Draw what lies in the cells: different things, words of at most `longest` letters."""
    style = rng.random()
    kinds = ["mark", "word", "number"]
    if style < 0.4:
        kinds = ["mark"]
    # Few different shapes half of the time, so that there are several of one shape to count.
    shapes = pick_several(SHAPES, 2 if rng.random() < 0.5 else len(SHAPES), rng)
    marks = [Content("mark", color, shape) for color in COLORS for shape in shapes]
    fitting = [word for word in BOARD_WORDS if len(word) <= longest]
    words = [Content("word", "", word) for word in pick_several(fitting, count, rng)]
    numbers = [
        Content("number", "", str(number + 1)) for number in rng.permutation(_HIGHEST_NUMBER)[:count].tolist()
    ]
    pools = {"mark": pick_several(marks, count, rng), "word": words, "number": numbers}
    return [pools[pick(kinds, rng)][place] for place in range(count)]


def _draw_content(
    sheet: Sheet, content: Content, column: float, row: float, style: Lettering, rng: np.random.Generator
) -> None:
    """Draw what lies in a cell, with its middle at the middle of a patch, and add it as a thing."""
    if content.kind != "mark":
        first = math.floor(column - len(content.text) / 2 + 0.5)
        sheet.write(content.text, first, math.floor(row), style, content.kind)
        return
    x, y = sheet.place(column, row)
    radius = pick(_RADII, rng)
    mask = shape_mask(content.text, radius, pick((-10, 0, 10), rng))
    half = mask.shape[0] // 2
    box = (x - half, y - half, x + half, y + half)
    sheet.paint_mask(mask, COLORS[content.color], x, y)
    sheet.add("mark", content.color, content.text, box, mask)


def _draw_grid(rng: np.random.Generator) -> Sheet:
    """Draw a board of cells with the letters of its columns and the digits of its rows."""
    columns = int(rng.integers(2, len(COLUMNS) + 1))
    rows = int(rng.integers(2, len(ROWS) + 1))
    # The lines of the cells lie between the patches' edges, so that a word of three letters and a mark stand
    # in the middle of a cell.
    left = int(rng.integers(2, GRID - CELL * columns)) + 0.5
    top = int(rng.integers(2, GRID - CELL * rows)) + 0.5
    first, second, line, ink = pick(_BOARDS, rng)
    table = mix(line, (200, 190, 170), 0.5)
    sheet = Sheet(paint_gradient(table, mix(table, (0, 0, 0), 0.2), rng.uniform(0, math.pi)), rng)
    frame = sheet.box(left - 1.9, top - 1.9, left + CELL * columns + 0.5, top + CELL * rows + 0.5)
    sheet.paint_card(frame, mix(second, line, 0.12), corner=8)
    style = Lettering(pick(FONTS, rng), ink, bool(rng.random() < 0.4))
    head = Lettering("mono bold", mix(ink, line, 0.2), True)
    checkered = rng.random() < 0.6
    for column in range(columns):
        for row in range(rows):
            x0, y0, x1, y1 = _cell_box(sheet, left, top, column, row)
            fill = second if checkered and (column + row) % 2 else first
            sheet.pen.rectangle((x0, y0, x1, y1), fill=fill, outline=line)
    for column in range(columns):
        sheet.write(COLUMNS[column], int(left + CELL * (column + 0.5)), int(top - 1), head, "column")
    for row in range(rows):
        sheet.write(ROWS[row], int(left - 1), int(top + CELL * (row + 0.5)), head, "row")
    cells = [(column, row) for column in range(columns) for row in range(rows)]
    count = int(rng.integers(min(3, len(cells)), min(9, len(cells)) + 1))
    contents = _draw_contents(rng, count, CELL - 1)
    for (column, row), content in zip(pick_several(cells, count, rng), contents, strict=True):
        middle = (left + CELL * (column + 0.5), top + CELL * (row + 0.5))
        _draw_content(sheet, content, *middle, style, rng)
    return sheet


def _cell_box(sheet: Sheet, left: float, top: float, column: int, row: int) -> Box:
    """Return the pixels of a cell of a board."""
    start = (left + CELL * column, top + CELL * row)
    return sheet.box(*start, start[0] + CELL, start[1] + CELL)


def _draw_plan(rng: np.random.Generator) -> Sheet:
    """Draw a plan of rooms, each with its name and mostly with something in it."""
    columns = int(rng.integers(2, 4))
    rows = int(rng.integers(2, 4))
    width = (GRID - 2) // columns if columns == 2 else 7
    height = (GRID - 2) // rows
    names = [name for name in pick_several(ROOMS, len(ROOMS), rng) if len(name) <= width - 2]
    wall = pick(((70, 70, 82), (96, 78, 64), (58, 76, 92)), rng)
    ground = pick(((206, 214, 196), (212, 208, 200), (198, 208, 216)), rng)
    sheet = Sheet(paint_gradient(ground, mix(ground, (0, 0, 0), 0.1), rng.uniform(0, math.pi)), rng)
    left = (GRID - width * columns) // 2
    top = (GRID - height * rows) // 2
    style = Lettering(pick(FONTS, rng), (44, 42, 52), bool(rng.random() < 0.4))
    outside = sheet.box(left - 0.3, top - 0.3, left + width * columns + 0.3, top + height * rows + 0.3)
    sheet.paint_card(outside, wall)
    boxes: list[Box] = []
    for place in range(columns * rows):
        x = left + width * (place % columns)
        y = top + height * (place // columns)
        box = sheet.box(x, y, x + width, y + height)
        sheet.pen.rectangle((box[0] + 2, box[1] + 2, box[2] - 3, box[3] - 3), fill=pick(_FLOORS, rng))
        boxes.append(box)
    _paint_doors(sheet, boxes, columns)
    contents = _draw_contents(rng, columns * rows, CELL)
    for place, content in enumerate(contents):
        x = left + width * (place % columns)
        y = top + height * (place // columns)
        name_column = x + (width - len(names[place])) // 2
        sheet.write(names[place], name_column, y + 1, style, "room", box=boxes[place])
        if rng.random() < 0.85:
            _draw_content(sheet, content, x + (width // 2) + 0.5, y + 1.5 + height // 2, style, rng)
    return sheet


def _paint_doors(sheet: Sheet, boxes: list[Box], columns: int) -> None:
    """Paint a door between neighbours."""
    light = (250, 248, 240)
    for place, box in enumerate(boxes):
        if (place + 1) % columns:
            y = box[3] - 34
            sheet.pen.rectangle((box[2] - 3, y, box[2] + 2, y + 20), fill=light)
        if place + columns < len(boxes):
            x = (box[0] + box[2]) // 2 + 14
            sheet.pen.rectangle((x, box[3] - 3, x + 20, box[3] + 2), fill=light)
