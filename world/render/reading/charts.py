"""Render bar charts: upright bars or bars that lie, with labels and with values or an axis."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..pictures import GRID, PATCH, Picture
from ..scenes import COLORS
from .lettering import FONTS, HEADING_ADVANCE
from .sheet import Box, Lettering, Rgb, Sheet, make_generator, mix, paint_gradient, pick, pick_several
from .vocabulary import CHART_TITLES, DAYS, GOODS

MIN_BARS = 3
MAX_BARS = 7
_AXIS_STEPS = (1, 2, 5, 10, 20)  # from one number of an axis to the next
_MAX_TICKS = 7  # numbers of an axis above its zero
_LOWEST_BASE = 21  # the row of patches on whose upper edge upright bars stand, at the lowest
_FIRST_COLUMN = 8  # lying bars begin at the left edge of this column
_LONGEST_LABEL = 6  # letters beside a lying bar

# The ground of the picture, the card, and its ink.
_SHEETS: tuple[tuple[Rgb, Rgb, Rgb], ...] = (
    ((226, 230, 236), (252, 252, 252), (44, 48, 58)),
    ((238, 228, 208), (253, 249, 238), (74, 56, 40)),
    ((206, 222, 214), (245, 251, 246), (34, 66, 54)),
    ((216, 212, 232), (249, 248, 254), (54, 44, 84)),
    ((40, 46, 60), (58, 66, 84), (238, 240, 244)),
)


@dataclass(frozen=True)
class Plan:
    """Hold what a chart says.

    Attributes:
        labels: a word for each bar.
        colors: a name of COLORS for each bar.
        values: a number for each bar; the highest and the lowest occur once.
        step: from one number of the axis to the next; 0 if the values are written at the bars.
    """

    labels: tuple[str, ...]
    colors: tuple[str, ...]
    values: tuple[int, ...]
    step: int


def render_chart(seed: int) -> Picture:
    """Render a bar chart.

    The things are a "title" or none; then for each bar a "bar" with its colour, a "label" with its word and,
    where the chart has no axis, a "value"; then the numbers of the axis, each a "tick". A bar of a chart with
    an axis ends exactly at one of its numbers.

    Args:
        seed: 0 or more; equal seeds give equal pictures.
    """
    rng = make_generator("chart", seed)
    upright = rng.random() < 0.6
    plan = _plan_chart(rng, upright)
    ground, card, ink = pick(_SHEETS, rng)
    sheet = Sheet(paint_gradient(ground, mix(ground, (128, 128, 128), 0.12), rng.uniform(0, 3)), rng)
    sheet.paint_card((5, 5, 331, 331), card, corner=10)
    style = Lettering(pick(FONTS, rng), ink, bool(rng.random() < 0.25))
    if rng.random() < 0.6:
        title = pick(CHART_TITLES, rng)
        column = (GRID - len(title) * HEADING_ADVANCE / PATCH) / 2
        sheet.write_heading(title, column, 0.7, Lettering("mono bold", mix(ink, card, 0.15), style.upper))
    if upright:
        _draw_upright(sheet, plan, style, card, rng)
    else:
        _draw_lying(sheet, plan, style, card)
    return sheet.finish("chart", seed, rng)


def _plan_chart(rng: np.random.Generator, upright: bool) -> Plan:
    """Choose bars whose labels fit under upright bars or beside lying ones."""
    count = int(rng.integers(MIN_BARS, MAX_BARS + 1))
    colors = tuple(pick_several(tuple(COLORS), count, rng))
    # The numbers at the ends of lying bars are never replaced by an axis, nor is there room for one beside
    # seven upright bars.
    step = pick(_AXIS_STEPS, rng) if upright and count < MAX_BARS and rng.random() < 0.4 else 0
    longest = _column_pitch(count, step) - 1 if upright else _LONGEST_LABEL
    style = rng.random()
    fitting = [name for name in GOODS if len(name) <= longest]
    if style < 0.3 and all(len(color) <= longest for color in colors):
        labels = colors
    elif len(fitting) < count + 2 or style > 0.85:
        first = int(rng.integers(0, len(DAYS) - count + 1))
        labels = DAYS[first : first + count]
    else:
        labels = tuple(pick_several(fitting, count, rng))
    return Plan(labels, colors, _draw_values(rng, count, step), step)


def _draw_values(rng: np.random.Generator, count: int, step: int) -> tuple[int, ...]:
    """Draw a value for each bar; the highest and the lowest occur once."""
    if step:
        choices = [step * number for number in range(1, _MAX_TICKS + 1)]
    else:
        choices = pick((range(1, 10), range(1, 21), range(10, 100), range(10, 100, 10)), rng)
    while True:
        values = [int(value) for value in rng.choice(np.array(choices), count)]
        if values.count(max(values)) == 1 and values.count(min(values)) == 1:
            return tuple(values)


def _column_pitch(count: int, step: int) -> int:
    """Return how many patches lie from one upright bar to the next, with an axis of that step or none."""
    room = 18 if step else 22
    return max(3, min(6, room // count))


def _find_scale(values: tuple[int, ...]) -> int:
    """Return the value for which a bar without an axis is as long as it can be."""
    highest = max(values)
    if highest <= 9:
        return 9
    return max(20, math.ceil(highest / 10) * 10)


def _draw_upright(sheet: Sheet, plan: Plan, style: Lettering, card: Rgb, rng: np.random.Generator) -> None:
    """Draw bars that stand side by side, with their labels below them."""
    count = len(plan.values)
    pitch = _column_pitch(count, plan.step)
    base_row = int(rng.integers(_LOWEST_BASE - 3, _LOWEST_BASE + 1))
    margin = 5 if plan.step else 1
    first = margin + (GRID - margin - 1 - (pitch * count - 1)) // 2
    ends = (first - 0.6, first + pitch * count - 0.4)
    # The numbers of an axis stand beside their lines, which thus lie in the middle of a row.
    floor = base_row + 0.5 if plan.step else base_row
    unit = (base_row - 5) * PATCH / _find_scale(plan.values)
    if plan.step:
        unit = 2 * PATCH / plan.step
        for tick in range(1, _MAX_TICKS + 1):
            _draw_line(sheet, ends, floor - 2 * tick, mix(card, style.ink, 0.16), 1)
    width = max(2.0, (pitch - 1) * 0.7)  # patches
    for number, (label, color, value) in enumerate(zip(plan.labels, plan.colors, plan.values, strict=True)):
        slot = first + pitch * number
        written = str(value)
        label_column = slot + (pitch - 1 - len(label)) // 2
        value_column = slot + (pitch - 1 - len(written)) // 2
        anchor = label_column + len(label) / 2
        if not plan.step:
            anchor = (anchor + value_column + len(written) / 2) / 2
        left, base = sheet.place(anchor - width / 2, floor)
        top = base - max(4, round(value * unit))
        _draw_bar(sheet, (left, top, left + round(width * PATCH), base), color)
        sheet.write(label, label_column, base_row + 1, style, "label")
        if not plan.step:
            row = (top - sheet.shift[1] - 2) // PATCH - 1
            sheet.write(written, value_column, row, style, "value")
    _draw_line(sheet, ends, floor, mix(style.ink, card, 0.2), 2)
    if plan.step:
        for tick in range(_MAX_TICKS + 1):
            written = str(tick * plan.step)
            column = first - 1 - len(written)
            sheet.write(written, column, base_row - 2 * tick, style, "tick")


def _draw_line(sheet: Sheet, ends: tuple[float, float], row: float, color: Rgb, width: int) -> None:
    """Draw a line across a chart, from one column to another."""
    x0, y = sheet.place(ends[0], row)
    x1, _ = sheet.place(ends[1], row)
    sheet.pen.line((x0, y, x1, y), fill=color, width=width)


def _draw_lying(sheet: Sheet, plan: Plan, style: Lettering, card: Rgb) -> None:
    """Draw bars that lie one below the other, with their labels on their left."""
    count = len(plan.values)
    pitch = min(4, 18 // count)
    top_row = 4 + (18 - pitch * count) // 2
    unit = 12 * PATCH / _find_scale(plan.values)
    thick = 16 if pitch == 2 else 22
    for number, (label, color, value) in enumerate(zip(plan.labels, plan.colors, plan.values, strict=True)):
        row = top_row + pitch * number + (pitch - 1) // 2
        left, upper = sheet.place(_FIRST_COLUMN, row)
        middle = upper + PATCH // 2
        box = (left, middle - thick // 2, left + max(4, round(value * unit)), middle + thick // 2)
        _draw_bar(sheet, box, color)
        sheet.write(label, _FIRST_COLUMN - 1 - len(label), row, style, "label")
        column = math.ceil((box[2] - sheet.shift[0] + 3) / PATCH)
        sheet.write(str(value), column, row, style, "value")
    x, y0 = sheet.place(_FIRST_COLUMN, top_row - 0.4)
    _, y1 = sheet.place(_FIRST_COLUMN, top_row + pitch * count - 0.2)
    sheet.pen.line((x - 1, y0, x - 1, y1), fill=mix(style.ink, card, 0.2), width=2)


def _draw_bar(sheet: Sheet, box: Box, color: str) -> None:
    """Draw a bar with a lighter edge and add it as a thing."""
    sheet.pen.rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=COLORS[color])
    shine = mix(COLORS[color], (255, 255, 255), 0.25)
    sheet.pen.rectangle((box[0], box[1], box[0] + 2, box[3] - 1), fill=shine)
    sheet.add("bar", color, "", box)
