"""Draw things of a home."""

from __future__ import annotations

from .pen import CREAM, DARK, GOLD, INK, LIGHT, METAL, WHITE, WOOD, Pen


def draw_cup(pen: Pen) -> None:
    """Draw a cup with a handle, seen slightly from above."""
    pen.arc((0.56, 0.34, 1.0, 0.76), 270, 90, 0.1)
    pen.rectangle(0.62, 0.34, 0.78, 0.44)
    pen.rectangle(0.62, 0.66, 0.78, 0.76)
    pen.polygon([(0.06, 0.24), (0.76, 0.24), (0.7, 0.86), (0.6, 0.95), (0.22, 0.95), (0.12, 0.86)])
    pen.ellipse(0.06, 0.12, 0.76, 0.36, LIGHT)
    pen.ellipse(0.14, 0.17, 0.68, 0.34, INK)


def draw_clock(pen: Pen) -> None:
    """Draw an alarm clock with bells, feet and a white face."""
    for x in (0.22, 0.78):
        pen.circle(x, 0.16, 0.16, DARK)
        pen.line([(x, 0.84), (x + (x - 0.5) * 0.28, 0.97)], 0.1, DARK)
    pen.circle(0.5, 0.54, 0.43)
    pen.circle(0.5, 0.54, 0.27, WHITE)
    pen.line([(0.5, 0.54), (0.5, 0.34)], 0.06, INK)
    pen.line([(0.5, 0.54), (0.64, 0.6)], 0.06, INK)


def draw_umbrella(pen: Pen) -> None:
    """Draw an open umbrella with a hooked handle."""
    pen.line([(0.5, 0.06), (0.5, 0.86)], 0.055, INK)
    pen.arc((0.26, 0.74, 0.53, 0.99), 0, 180, 0.06, INK)
    pen.slice((0.0, 0.06, 1.0, 1.06), 180, 360)
    pen.polygon([(0.34, 0.56), (0.4, 0.24), (0.5, 0.07), (0.6, 0.24), (0.66, 0.56)], DARK)
    pen.line([(0.5, 0.0), (0.5, 0.1)], 0.05, INK)


def draw_key(pen: Pen) -> None:
    """Draw a key with a ring and two teeth."""
    pen.line([(0.36, 0.5), (0.96, 0.5)], 0.15)
    pen.rectangle(0.66, 0.5, 0.77, 0.78)
    pen.rectangle(0.86, 0.5, 0.99, 0.84)
    pen.circle(0.25, 0.5, 0.25)
    pen.circle(0.22, 0.5, 0.1, INK)


def draw_book(pen: Pen) -> None:
    """Draw an open book with coloured covers and lines on its pages."""
    pen.polygon([(0.0, 0.16), (0.5, 0.26), (1.0, 0.16), (1.0, 0.88), (0.5, 0.98), (0.0, 0.88)])
    left_page = [(0.12, 0.1), (0.46, 0.22), (0.46, 0.62), (0.12, 0.52)]
    pen.polygon(left_page, CREAM)
    pen.polygon([(1 - x, y) for x, y in left_page], CREAM)
    for y in (0.24, 0.36):
        pen.line([(0.19, y), (0.39, y + 0.07)], 0.03, INK)
        pen.line([(0.81, y), (0.61, y + 0.07)], 0.03, INK)
    pen.line([(0.5, 0.24), (0.5, 0.96)], 0.05, DARK)


def draw_chair(pen: Pen) -> None:
    """Draw a chair from the side."""
    pen.line([(0.22, 0.04), (0.26, 0.56), (0.18, 0.96)], 0.13)
    pen.line([(0.8, 0.6), (0.86, 0.96)], 0.12)
    pen.line([(0.46, 0.6), (0.42, 0.92)], 0.08, DARK)
    pen.line([(0.66, 0.6), (0.68, 0.92)], 0.08, DARK)
    pen.rectangle(0.18, 0.5, 0.9, 0.66, corner=0.06)


def draw_lamp(pen: Pen) -> None:
    """Draw a table lamp; its shade has the colour."""
    pen.rectangle(0.45, 0.5, 0.55, 0.9, METAL)
    pen.ellipse(0.24, 0.82, 0.76, 1.0, DARK)
    pen.ellipse(0.36, 0.5, 0.64, 0.68, GOLD)
    pen.polygon([(0.32, 0.03), (0.68, 0.03), (0.98, 0.6), (0.02, 0.6)])
    pen.polygon([(0.32, 0.03), (0.46, 0.03), (0.36, 0.6), (0.02, 0.6)], LIGHT)


def draw_bottle(pen: Pen) -> None:
    """Draw a bottle with a label and a cork."""
    pen.rectangle(0.42, 0.0, 0.58, 0.14, WOOD)
    pen.rectangle(0.4, 0.08, 0.6, 0.42, corner=0.03)
    pen.blob([(0.4, 0.28), (0.6, 0.28), (0.74, 0.48), (0.72, 0.94), (0.5, 0.98), (0.28, 0.94), (0.26, 0.48)])
    pen.rectangle(0.25, 0.56, 0.75, 0.78, CREAM)
    pen.line([(0.36, 0.67), (0.64, 0.67)], 0.035, INK)


def draw_guitar(pen: Pen) -> None:
    """Draw a guitar, its neck up to the right."""
    pen.line([(0.48, 0.52), (0.88, 0.12)], 0.1, WOOD)
    pen.line([(0.86, 0.14), (0.95, 0.05)], 0.15, INK)
    pen.circle(0.29, 0.71, 0.28)
    pen.circle(0.52, 0.5, 0.19)
    pen.circle(0.42, 0.58, 0.1, INK)
    pen.line([(0.18, 0.72), (0.28, 0.82)], 0.06, INK)


def draw_bell(pen: Pen) -> None:
    """Draw a bell with its clapper."""
    pen.ring(0.5, 0.09, 0.09, 0.05)
    pen.circle(0.5, 0.88, 0.11, INK)
    pen.blob(
        [
            (0.5, 0.1),
            (0.7, 0.2),
            (0.78, 0.56),
            (0.94, 0.8),
            (0.5, 0.86),
            (0.06, 0.8),
            (0.22, 0.56),
            (0.3, 0.2),
        ]
    )
    pen.rectangle(0.05, 0.73, 0.95, 0.85, DARK, corner=0.06)
    pen.curve([(0.36, 0.26), (0.31, 0.42), (0.28, 0.58)], 0.06, LIGHT)


def draw_hat(pen: Pen) -> None:
    """Draw a top hat with a band."""
    pen.ellipse(0.0, 0.66, 1.0, 0.94)
    pen.polygon([(0.2, 0.08), (0.8, 0.08), (0.74, 0.78), (0.26, 0.78)])
    pen.ellipse(0.2, 0.02, 0.8, 0.16, DARK)
    pen.polygon([(0.24, 0.54), (0.76, 0.54), (0.74, 0.72), (0.26, 0.72)], INK)


def draw_shoe(pen: Pen) -> None:
    """Draw a sports shoe with a white sole and laces."""
    pen.blob([(0.04, 0.24), (0.3, 0.2), (0.44, 0.4), (0.66, 0.52), (0.96, 0.62), (0.98, 0.78), (0.04, 0.78)])
    pen.rectangle(0.0, 0.74, 1.0, 0.88, WHITE, corner=0.06)
    for x, y in ((0.4, 0.36), (0.52, 0.44), (0.64, 0.5)):
        pen.line([(x, y), (x - 0.1, y + 0.14)], 0.05, WHITE)
    pen.ellipse(0.04, 0.18, 0.32, 0.3, DARK)


def draw_shirt(pen: Pen) -> None:
    """Draw a T-shirt."""
    half = [
        (0.5, 0.16),
        (0.36, 0.06),
        (0.2, 0.1),
        (0.0, 0.34),
        (0.14, 0.5),
        (0.24, 0.42),
        (0.24, 0.96),
        (0.5, 0.96),
    ]
    pen.polygon(half + [(1 - x, y) for x, y in reversed(half)])
    pen.slice((0.34, -0.08, 0.66, 0.22), 0, 180, DARK)
    for x in (0.24, 0.76):
        pen.line([(x, 0.4), (x, 0.6)], 0.03, DARK)


def draw_crown(pen: Pen) -> None:
    """Draw a crown with three spikes and jewels."""
    pen.polygon(
        [(0.06, 0.88), (0.0, 0.24), (0.28, 0.54), (0.5, 0.1), (0.72, 0.54), (1.0, 0.24), (0.94, 0.88)]
    )
    pen.rectangle(0.06, 0.74, 0.94, 0.92, DARK, corner=0.03)
    for x, y in ((0.04, 0.2), (0.5, 0.1), (0.96, 0.2)):
        pen.circle(min(max(x, 0.09), 0.91), y, 0.09, LIGHT)
    for x in (0.26, 0.5, 0.74):
        pen.circle(x, 0.83, 0.05, WHITE)


def draw_gift(pen: Pen) -> None:
    """Draw a wrapped box with a ribbon and a bow."""
    pen.rectangle(0.08, 0.4, 0.92, 0.98)
    pen.rectangle(0.02, 0.3, 0.98, 0.46, DARK, corner=0.02)
    pen.rectangle(0.43, 0.3, 0.57, 0.98, CREAM)
    pen.blob([(0.5, 0.31), (0.3, 0.34), (0.16, 0.2), (0.3, 0.06), (0.44, 0.16)], CREAM)
    pen.blob([(0.5, 0.31), (0.7, 0.34), (0.84, 0.2), (0.7, 0.06), (0.56, 0.16)], CREAM)
    pen.circle(0.5, 0.27, 0.08, INK)


DRAWINGS = {
    "bell": draw_bell,
    "book": draw_book,
    "bottle": draw_bottle,
    "chair": draw_chair,
    "clock": draw_clock,
    "crown": draw_crown,
    "cup": draw_cup,
    "gift": draw_gift,
    "guitar": draw_guitar,
    "hat": draw_hat,
    "key": draw_key,
    "lamp": draw_lamp,
    "shirt": draw_shirt,
    "shoe": draw_shoe,
    "umbrella": draw_umbrella,
}
