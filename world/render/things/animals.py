"""Draw animals."""

from __future__ import annotations

from .pen import CREAM, DARK, FOLIAGE, GOLD, INK, LIGHT, WHITE, Pen, mirrored


def draw_cat(pen: Pen) -> None:
    """Draw the head of a cat with pointed ears and whiskers."""
    left_ear = [(0.08, 0.02), (0.46, 0.26), (0.12, 0.56)]
    inner_ear = [(0.15, 0.14), (0.33, 0.26), (0.17, 0.38)]
    for ear in (left_ear, mirrored(left_ear)):
        pen.polygon(ear)
    for ear in (inner_ear, mirrored(inner_ear)):
        pen.polygon(ear, DARK)
    pen.ellipse(0.04, 0.2, 0.96, 0.98)
    pen.ellipse(0.26, 0.6, 0.74, 0.93, LIGHT)
    for x in (0.29, 0.71):
        pen.ellipse(x - 0.1, 0.4, x + 0.1, 0.6, WHITE)
        pen.ellipse(x - 0.05, 0.41, x + 0.05, 0.59, INK)
    pen.polygon([(0.42, 0.65), (0.58, 0.65), (0.5, 0.74)], INK)
    pen.line([(0.5, 0.72), (0.5, 0.82)], 0.03, INK)
    for y, end in ((0.7, 0.66), (0.78, 0.84)):
        pen.line([(0.24, y), (0.0, end)], 0.025, INK)
        pen.line([(0.76, y), (1.0, end)], 0.025, INK)


def draw_dog(pen: Pen) -> None:
    """Draw a dog from the side with a hanging ear and a raised tail."""
    pen.curve([(0.2, 0.56), (0.06, 0.42), (0.08, 0.24)], 0.1)
    pen.rectangle(0.14, 0.44, 0.72, 0.74, corner=0.14)
    for x in (0.16, 0.31, 0.5, 0.63):
        pen.rectangle(x, 0.62, x + 0.11, 0.97, corner=0.04)
    pen.polygon([(0.52, 0.5), (0.6, 0.2), (0.78, 0.3), (0.74, 0.66)])
    pen.ellipse(0.52, 0.08, 0.86, 0.46)
    pen.rectangle(0.68, 0.22, 1.0, 0.45, corner=0.1)
    pen.ellipse(0.9, 0.2, 1.0, 0.31, INK)
    pen.ellipse(0.52, 0.1, 0.67, 0.5, DARK)
    pen.circle(0.75, 0.21, 0.045, INK)
    pen.line([(0.56, 0.54), (0.75, 0.54)], 0.07, INK)


def draw_bird(pen: Pen) -> None:
    """Draw a bird from the side with a beak, a wing and thin legs."""
    for x in (0.44, 0.56):
        pen.line([(x, 0.75), (x, 0.95), (x + 0.1, 0.95)], 0.045, INK)
    pen.polygon([(0.3, 0.5), (0.0, 0.34), (0.02, 0.62), (0.3, 0.7)], DARK)
    pen.ellipse(0.14, 0.3, 0.78, 0.82)
    pen.circle(0.68, 0.28, 0.23)
    pen.polygon([(0.86, 0.2), (1.0, 0.31), (0.86, 0.4)], GOLD)
    pen.blob([(0.24, 0.46), (0.5, 0.42), (0.6, 0.54), (0.44, 0.68), (0.28, 0.64)], DARK)
    pen.circle(0.74, 0.23, 0.05, WHITE)
    pen.circle(0.75, 0.23, 0.035, INK)


def draw_fish(pen: Pen) -> None:
    """Draw a fish with a tail, a fin and an eye."""
    pen.polygon([(0.3, 0.5), (0.0, 0.2), (0.08, 0.5), (0.0, 0.8)], DARK)
    pen.polygon([(0.38, 0.3), (0.56, 0.08), (0.74, 0.3)], DARK)
    pen.polygon([(0.44, 0.7), (0.5, 0.9), (0.66, 0.7)], DARK)
    pen.ellipse(0.2, 0.22, 0.98, 0.78)
    pen.arc((0.5, 0.24, 0.74, 0.76), 280, 80, 0.04, DARK)
    pen.circle(0.81, 0.42, 0.075, WHITE)
    pen.circle(0.83, 0.42, 0.045, INK)


def draw_mouse(pen: Pen) -> None:
    """Draw a mouse from the side with a large round ear and a long tail."""
    pen.curve([(0.14, 0.82), (0.0, 0.72), (0.06, 0.5), (0.0, 0.32)], 0.055, DARK)
    pen.blob([(0.06, 0.86), (0.1, 0.58), (0.36, 0.42), (0.66, 0.44), (1.0, 0.78), (0.92, 0.88)])
    pen.circle(0.54, 0.36, 0.2)
    pen.circle(0.54, 0.36, 0.12, LIGHT)
    pen.circle(0.77, 0.64, 0.045, INK)
    pen.circle(0.96, 0.79, 0.045, INK)
    for x in (0.26, 0.7):
        pen.ellipse(x - 0.09, 0.83, x + 0.09, 0.94, DARK)


def draw_butterfly(pen: Pen) -> None:
    """Draw a butterfly from above with spotted wings."""
    upper = [(0.48, 0.46), (0.34, 0.12), (0.06, 0.06), (0.0, 0.34), (0.16, 0.54)]
    lower = [(0.48, 0.5), (0.16, 0.54), (0.1, 0.78), (0.26, 0.96), (0.44, 0.8)]
    for wing in (upper, lower):
        pen.blob(wing)
        pen.blob(mirrored(wing))
    for x in (0.2, 0.8):
        pen.circle(x, 0.3, 0.08, WHITE)
        pen.circle(0.5 + (x - 0.5) * 0.87, 0.72, 0.06, WHITE)
    pen.rectangle(0.45, 0.22, 0.55, 0.86, INK, corner=0.05)
    pen.curve([(0.48, 0.26), (0.44, 0.12), (0.36, 0.04)], 0.03, INK)
    pen.curve([(0.52, 0.26), (0.56, 0.12), (0.64, 0.04)], 0.03, INK)


def draw_turtle(pen: Pen) -> None:
    """Draw a turtle from the side; its shell has the colour."""
    pen.ellipse(0.74, 0.36, 1.0, 0.64, FOLIAGE)
    pen.rectangle(0.66, 0.52, 0.86, 0.74, FOLIAGE, corner=0.06)
    for x in (0.14, 0.54):
        pen.rectangle(x, 0.66, x + 0.18, 0.9, FOLIAGE, corner=0.06)
    pen.polygon([(0.08, 0.66), (0.0, 0.78), (0.14, 0.76)], FOLIAGE)
    pen.slice((0.04, 0.14, 0.8, 1.24), 180, 360)
    pen.rectangle(0.02, 0.64, 0.82, 0.75, DARK, corner=0.05)
    for x in (0.26, 0.42, 0.58):
        pen.line([(x, 0.26 if x == 0.42 else 0.36), (x, 0.6)], 0.04, DARK)
    pen.line([(0.12, 0.48), (0.72, 0.48)], 0.04, DARK)
    pen.circle(0.9, 0.46, 0.04, INK)


def draw_snail(pen: Pen) -> None:
    """Draw a snail; its shell has the colour."""
    pen.blob(
        [(0.0, 0.92), (0.2, 0.78), (0.66, 0.76), (0.76, 0.4), (0.94, 0.4), (0.98, 0.6), (0.84, 0.94)], CREAM
    )
    pen.line([(0.82, 0.42), (0.76, 0.2)], 0.035, INK)
    pen.line([(0.92, 0.42), (0.98, 0.22)], 0.035, INK)
    pen.circle(0.42, 0.48, 0.36)
    pen.ring(0.42, 0.48, 0.24, 0.045, DARK)
    pen.circle(0.42, 0.48, 0.1, DARK)
    pen.circle(0.89, 0.54, 0.04, INK)


DRAWINGS = {
    "bird": draw_bird,
    "butterfly": draw_butterfly,
    "cat": draw_cat,
    "dog": draw_dog,
    "fish": draw_fish,
    "mouse": draw_mouse,
    "snail": draw_snail,
    "turtle": draw_turtle,
}
