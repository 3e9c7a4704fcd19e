"""Draw vector shapes of one thing into a square, separately for its own colour and its fixed colours.

A drawing does not know the colour of its thing: every paint says how much of that colour it takes and which
fixed colour it adds. One drawing thus serves all colours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

MASTER = 192  # pixels, both sides of the large drawing that all sizes are made of
MARGIN = 22  # pixels of the large drawing around the unit square: room for the outline and for turning

Point = tuple[float, float]


class Paint(NamedTuple):
    """Hold what one stroke is painted with: `weight` x the colour of the thing + a fixed `rgb`."""

    weight: float
    rgb: tuple[int, int, int] = (0, 0, 0)


MAIN = Paint(1.0)
DARK = Paint(0.68)  # the colour of the thing in shade
LIGHT = Paint(0.62, (97, 97, 97))  # the colour of the thing, mixed with white
INK = Paint(0.0, (44, 42, 52))
WHITE = Paint(0.0, (250, 250, 247))
CREAM = Paint(0.0, (246, 234, 205))
GLASS = Paint(0.0, (205, 228, 240))
WOOD = Paint(0.0, (128, 88, 56))
METAL = Paint(0.0, (176, 180, 188))
GOLD = Paint(0.0, (232, 190, 92))
FOLIAGE = Paint(0.0, (96, 138, 88))


class Pen:
    """Draw in a unit square whose y points down; what is drawn later lies on top.

    Attributes:
        fixed: RGB, the part of each pixel that does not depend on the colour of the thing.
        weight: L, how much of the colour of the thing is added, 255 for all of it.
        alpha: L, 255 where the thing is.
    """

    def __init__(self) -> None:
        side = (MASTER, MASTER)
        self.fixed = Image.new("RGB", side)
        self.weight = Image.new("L", side)
        self.alpha = Image.new("L", side)
        self._layers = [ImageDraw.Draw(image) for image in (self.fixed, self.weight, self.alpha)]

    def polygon(self, points: Sequence[Point], paint: Paint = MAIN) -> None:
        """Fill a polygon."""
        corners = [self._place(point) for point in points]
        for layer, fill in self._fills(paint):
            layer.polygon(corners, fill=fill)

    def blob(self, points: Sequence[Point], paint: Paint = MAIN) -> None:
        """Fill the smooth closed curve through the points."""
        self.polygon(_round_off(points), paint)

    def ellipse(self, left: float, top: float, right: float, bottom: float, paint: Paint = MAIN) -> None:
        """Fill the ellipse in a box."""
        corners = [self._place((left, top)), self._place((right, bottom))]
        for layer, fill in self._fills(paint):
            layer.ellipse(corners, fill=fill)

    def circle(self, x: float, y: float, radius: float, paint: Paint = MAIN) -> None:
        """Fill a circle."""
        self.ellipse(x - radius, y - radius, x + radius, y + radius, paint)

    def slice(
        self, box: tuple[float, float, float, float], start: float, end: float, paint: Paint = MAIN
    ) -> None:
        """Fill the sector of the ellipse in a box between two angles, in degrees clockwise from the right."""
        corners = [self._place(box[:2]), self._place(box[2:])]
        for layer, fill in self._fills(paint):
            layer.pieslice(corners, start, end, fill=fill)

    def rectangle(
        self, left: float, top: float, right: float, bottom: float, paint: Paint = MAIN, corner: float = 0.0
    ) -> None:
        """Fill a box whose corners have the radius `corner`."""
        corners = [self._place((left, top)), self._place((right, bottom))]
        for layer, fill in self._fills(paint):
            layer.rounded_rectangle(corners, radius=self._scale(corner), fill=fill)

    def line(self, points: Sequence[Point], width: float, paint: Paint = MAIN) -> None:
        """Draw a line with round joints and ends."""
        corners = [self._place(point) for point in points]
        radius = self._scale(width) / 2
        for layer, fill in self._fills(paint):
            layer.line(corners, fill=fill, width=round(2 * radius))
            for x, y in corners:
                layer.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def curve(self, points: Sequence[Point], width: float, paint: Paint = MAIN) -> None:
        """Draw a smooth line through the points."""
        padded = [points[0], *points, points[-1]]
        self.line(_interpolate(padded), width, paint)

    def ring(self, x: float, y: float, radius: float, width: float, paint: Paint = MAIN) -> None:
        """Draw a circle as a line; its inside is left as it is."""
        corners = [self._place((x - radius, y - radius)), self._place((x + radius, y + radius))]
        for layer, fill in self._fills(paint):
            layer.ellipse(corners, outline=fill, width=round(self._scale(width)))

    def arc(
        self,
        box: tuple[float, float, float, float],
        start: float,
        end: float,
        width: float,
        paint: Paint = MAIN,
    ) -> None:
        """Draw a part of an ellipse as a line; the angles are in degrees clockwise from the right."""
        corners = [self._place(box[:2]), self._place(box[2:])]
        for layer, fill in self._fills(paint):
            layer.arc(corners, start, end, fill=fill, width=round(self._scale(width)))

    def _fills(self, paint: Paint):
        weight = round(255 * paint.weight)
        return zip(self._layers, (paint.rgb, weight, 255), strict=True)

    def _scale(self, length: float) -> float:
        return length * (MASTER - 2 * MARGIN)

    def _place(self, point: Point) -> Point:
        return (MARGIN + self._scale(point[0]), MARGIN + self._scale(point[1]))


def turned(points: Sequence[Point], degrees: float, center: Point = (0.5, 0.5)) -> list[Point]:
    """Return the points, turned clockwise about a centre."""
    cosine = math.cos(math.radians(degrees))
    sine = math.sin(math.radians(degrees))
    moved = [(x - center[0], y - center[1]) for x, y in points]
    return [(center[0] + x * cosine - y * sine, center[1] + x * sine + y * cosine) for x, y in moved]


def mirrored(points: Sequence[Point]) -> list[Point]:
    """Return the points, mirrored left to right."""
    return [(1 - x, y) for x, y in points]


def _round_off(points: Sequence[Point]) -> list[Point]:
    return _interpolate([points[-1], *points, points[0], points[1]])


def _interpolate(points: Sequence[Point]) -> list[Point]:
    """Return points on the Catmull-Rom curve from the second to the last but one of the points."""
    dots = np.array(points, dtype=float)
    steps = np.linspace(0, 1, 9)[:, None]
    pieces = []
    for before, start, end, after in zip(dots, dots[1:], dots[2:], dots[3:], strict=False):
        cubic = -before + 3 * start - 3 * end + after
        square = 2 * before - 5 * start + 4 * end - after
        linear = end - before
        pieces.append(start + 0.5 * steps * (linear + steps * (square + steps * cubic)))
    return [(float(x), float(y)) for x, y in np.concatenate(pieces)]
