"""Draw things that drive, sail or fly."""

from __future__ import annotations

from .pen import DARK, GLASS, GOLD, INK, LIGHT, METAL, WHITE, WOOD, Pen


def draw_wheel(pen: Pen, x: float, y: float, radius: float) -> None:
    """Draw a dark tyre with a bright hub."""
    pen.circle(x, y, radius, INK)
    pen.circle(x, y, radius * 0.45, METAL)


def draw_car(pen: Pen) -> None:
    """Draw a car from the side."""
    pen.polygon([(0.16, 0.5), (0.3, 0.24), (0.68, 0.24), (0.86, 0.5)])
    pen.rectangle(0.0, 0.46, 1.0, 0.76, corner=0.1)
    pen.polygon([(0.26, 0.47), (0.35, 0.31), (0.47, 0.31), (0.47, 0.47)], GLASS)
    pen.polygon([(0.53, 0.47), (0.53, 0.31), (0.65, 0.31), (0.76, 0.47)], GLASS)
    pen.rectangle(0.9, 0.52, 1.0, 0.6, GOLD)
    draw_wheel(pen, 0.25, 0.75, 0.13)
    draw_wheel(pen, 0.76, 0.75, 0.13)


def draw_bus(pen: Pen) -> None:
    """Draw a long bus with a row of windows."""
    pen.rectangle(0.0, 0.16, 1.0, 0.8, corner=0.08)
    for x in (0.06, 0.26, 0.46):
        pen.rectangle(x, 0.25, x + 0.15, 0.46, GLASS, corner=0.02)
    pen.rectangle(0.68, 0.25, 0.8, 0.78, DARK)
    pen.rectangle(0.86, 0.25, 1.0, 0.5, GLASS)
    pen.rectangle(0.0, 0.56, 0.66, 0.62, WHITE)
    draw_wheel(pen, 0.2, 0.8, 0.12)
    draw_wheel(pen, 0.78, 0.8, 0.12)


def draw_truck(pen: Pen) -> None:
    """Draw a lorry: a large box behind a lower cab."""
    pen.rectangle(0.0, 0.12, 0.6, 0.72, corner=0.03)
    pen.line([(0.08, 0.3), (0.52, 0.3)], 0.05, DARK)
    pen.line([(0.08, 0.48), (0.52, 0.48)], 0.05, DARK)
    pen.polygon([(0.64, 0.32), (0.84, 0.32), (1.0, 0.54), (1.0, 0.76), (0.64, 0.76)], LIGHT)
    pen.polygon([(0.7, 0.38), (0.82, 0.38), (0.92, 0.54), (0.7, 0.54)], GLASS)
    pen.rectangle(0.0, 0.7, 1.0, 0.79, INK)
    for x in (0.15, 0.42, 0.82):
        draw_wheel(pen, x, 0.8, 0.125)


def draw_boat(pen: Pen) -> None:
    """Draw a sailing boat with a coloured hull and a coloured sail."""
    pen.line([(0.5, 0.04), (0.5, 0.72)], 0.05, WOOD)
    pen.polygon([(0.55, 0.04), (0.55, 0.6), (0.96, 0.6)])
    pen.polygon([(0.45, 0.14), (0.45, 0.6), (0.12, 0.6)], WHITE)
    pen.polygon([(0.0, 0.67), (1.0, 0.67), (0.82, 0.97), (0.18, 0.97)])
    pen.rectangle(0.08, 0.74, 0.92, 0.79, DARK)


def draw_bicycle(pen: Pen) -> None:
    """Draw a bicycle with coloured wheels and frame."""
    for x in (0.22, 0.78):
        pen.circle(x, 0.66, 0.22, INK)
        pen.circle(x, 0.66, 0.155, LIGHT)
    frame = [(0.22, 0.66), (0.36, 0.34), (0.68, 0.34), (0.48, 0.66), (0.22, 0.66)]
    pen.line(frame, 0.1)
    pen.line([(0.36, 0.34), (0.48, 0.66)], 0.1)
    pen.line([(0.78, 0.66), (0.66, 0.2)], 0.1)
    pen.line([(0.58, 0.18), (0.8, 0.16)], 0.075, INK)
    pen.line([(0.26, 0.25), (0.45, 0.25)], 0.09, INK)
    pen.line([(0.35, 0.25), (0.37, 0.36)], 0.06)


def draw_rocket(pen: Pen) -> None:
    """Draw a rocket with fins, a round window and a flame."""
    pen.blob([(0.4, 0.8), (0.5, 0.99), (0.6, 0.8)], GOLD)
    pen.polygon([(0.34, 0.5), (0.12, 0.74), (0.14, 0.94), (0.36, 0.8)], DARK)
    pen.polygon([(0.66, 0.5), (0.88, 0.74), (0.86, 0.94), (0.64, 0.8)], DARK)
    pen.blob([(0.5, 0.0), (0.7, 0.24), (0.72, 0.56), (0.64, 0.84), (0.36, 0.84), (0.28, 0.56), (0.3, 0.24)])
    pen.circle(0.5, 0.38, 0.12, WHITE)
    pen.circle(0.5, 0.38, 0.08, INK)


def draw_plane(pen: Pen) -> None:
    """Draw an aeroplane from above, its nose up."""
    pen.polygon([(0.44, 0.34), (0.0, 0.6), (0.0, 0.72), (0.44, 0.6)], DARK)
    pen.polygon([(0.56, 0.34), (1.0, 0.6), (1.0, 0.72), (0.56, 0.6)], DARK)
    pen.polygon([(0.46, 0.76), (0.24, 0.9), (0.24, 1.0), (0.5, 0.93), (0.76, 1.0), (0.76, 0.9), (0.54, 0.76)])
    pen.rectangle(0.39, 0.0, 0.61, 0.94, corner=0.11)
    pen.slice((0.42, 0.08, 0.58, 0.26), 180, 360, GLASS)


def draw_balloon(pen: Pen) -> None:
    """Draw a toy balloon on a string."""
    pen.curve([(0.5, 0.74), (0.58, 0.84), (0.44, 0.92), (0.52, 0.99)], 0.035, INK)
    pen.polygon([(0.5, 0.66), (0.4, 0.79), (0.6, 0.79)], DARK)
    pen.ellipse(0.2, 0.0, 0.8, 0.72)
    pen.ellipse(0.3, 0.1, 0.46, 0.3, LIGHT)


def draw_kite(pen: Pen) -> None:
    """Draw a kite with a tail of bows."""
    pen.curve([(0.44, 0.66), (0.36, 0.8), (0.2, 0.82), (0.08, 0.98)], 0.035, INK)
    for x, y in ((0.33, 0.8), (0.14, 0.88)):
        pen.polygon([(x - 0.09, y - 0.07), (x + 0.09, y + 0.07), (x + 0.09, y - 0.07), (x - 0.09, y + 0.07)])
    pen.polygon([(0.86, 0.0), (0.94, 0.44), (0.42, 0.7), (0.36, 0.2)])
    pen.polygon([(0.86, 0.0), (0.94, 0.44), (0.7, 0.32)], DARK)
    pen.polygon([(0.42, 0.7), (0.36, 0.2), (0.7, 0.32)], LIGHT)


DRAWINGS = {
    "balloon": draw_balloon,
    "bicycle": draw_bicycle,
    "boat": draw_boat,
    "bus": draw_bus,
    "car": draw_car,
    "kite": draw_kite,
    "plane": draw_plane,
    "rocket": draw_rocket,
    "truck": draw_truck,
}
