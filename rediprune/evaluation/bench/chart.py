"""Draw small line charts as SVG: panels side by side on one scale, a key above, a claim as a dotted line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from ...draw import palette

WIDTH, HEIGHT, GAP, TOP, EDGE = 240, 210, 46, 92, 46  # of a panel's plot and its margins, in pixels
INK, QUIET, LINE = palette.INK, palette.MEANINGS["quiet"].light, "#d5dae1"
FONT = "font-family='system-ui, sans-serif'"


@dataclass(frozen=True)
class Curve:
    """Hold the points (x, y) of a line in one colour ("#rrggbb"), solid or dashed."""

    points: tuple[tuple[float, float], ...]
    colour: str
    dashed: bool = False


@dataclass(frozen=True)
class Panel:
    """Hold one plot: its title, its curves, and the level that is claimed somewhere, or None."""

    title: str
    curves: tuple[Curve, ...]
    claim: float | None = None


def chart(
    title: str, panels: Sequence[Panel], key: Sequence[tuple[str, str]], note: str, axes: tuple[str, str]
) -> str:
    """Draw the chart as SVG text.

    Args:
        title: what the chart plots, in one line.
        panels: at least one, drawn in one row; x and y begin at 0 and end at the largest of all points.
        key: (label, colour) of every kind of curve.
        note: what solid and dashed lines mean, and the like.
        axes: what x and y are, with their units.
    """
    points = [point for panel in panels for curve in panel.curves for point in curve.points]
    most = max(x for x, _ in points), max(y for _, y in points)
    width = EDGE + len(panels) * (WIDTH + GAP)
    height = TOP + HEIGHT + 62
    out = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' {FONT} font-size='13'>",
        f"<title>{escape(title)}</title>",
        f"<rect width='{width}' height='{height}' fill='{palette.PAPER}'/>",
        _text(EDGE, 22, title, size=16),
    ]
    x = EDGE
    for label, colour in key:
        out.append(f"<line x1='{x}' y1='40' x2='{x + 22}' y2='40' stroke='{colour}' stroke-width='3'/>")
        out.append(_text(x + 28, 45, label))
        x += 50 + 7 * len(label)
    for i, panel in enumerate(panels):
        out += _panel(panel, EDGE + i * (WIDTH + GAP), most, first=i == 0)
    out.append(_text(EDGE, height - 26, f"Across: {axes[0]}. Upwards: {axes[1]}.", QUIET))
    out.append(_text(EDGE, height - 8, note, QUIET))
    return "\n".join([*out, "</svg>", ""])


def _panel(panel: Panel, left: float, most: tuple[float, float], first: bool) -> list[str]:
    def place(x: float, y: float) -> tuple[float, float]:
        return left + WIDTH * x / most[0], TOP + HEIGHT * (1 - y / most[1])

    out = [_text(left, TOP - 16, panel.title, size=14)]
    for y in range(0, int(most[1]) + 1):
        at = place(0, y)[1]
        out.append(f"<line x1='{left}' y1='{at:.1f}' x2='{left + WIDTH}' y2='{at:.1f}' stroke='{LINE}'/>")
        if first and y % 2 == 0:
            out.append(_text(left - 8, at + 4, f"{y}x", QUIET, anchor="end"))
    for part in range(5):
        value = most[0] * part / 4
        out.append(_text(place(value, 0)[0], TOP + HEIGHT + 16, f"{value:g}", QUIET, anchor="middle"))
    if panel.claim is not None:
        at = place(0, panel.claim)[1]
        out.append(
            f"<line x1='{left}' y1='{at:.1f}' x2='{left + WIDTH}' y2='{at:.1f}' stroke='{INK}' "
            "stroke-width='1.5' stroke-dasharray='2 4'/>"
        )
    for curve in panel.curves:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in curve.points))
        dash = " stroke-dasharray='7 4'" if curve.dashed else ""
        out.append(
            f"<polyline points='{path}' fill='none' stroke='{curve.colour}' stroke-width='2.2'{dash}/>"
        )
    return out


def _text(x: float, y: float, text: str, colour: str = INK, size: int = 13, anchor: str = "start") -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' fill='{colour}' font-size='{size}' text-anchor='{anchor}'>"
        f"{escape(text)}</text>"
    )
