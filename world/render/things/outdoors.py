"""Draw plants, buildings and other things found outdoors, with the star, the heart and the ball."""

from __future__ import annotations

import math

from .pen import CREAM, DARK, FOLIAGE, GLASS, GOLD, INK, LIGHT, WHITE, WOOD, Pen, mirrored


def draw_house(pen: Pen) -> None:
    """Draw a house with a dark roof, a door and two windows."""
    pen.rectangle(0.68, 0.06, 0.8, 0.34, INK)
    pen.rectangle(0.1, 0.42, 0.9, 0.98)
    pen.polygon([(0.5, 0.02), (1.0, 0.48), (0.0, 0.48)], DARK)
    pen.rectangle(0.42, 0.64, 0.6, 0.98, WOOD)
    for x in (0.18, 0.68):
        pen.rectangle(x, 0.58, x + 0.15, 0.76, GLASS)


def draw_tree(pen: Pen) -> None:
    """Draw a round tree with a brown trunk."""
    pen.polygon([(0.42, 0.56), (0.58, 0.56), (0.62, 0.99), (0.38, 0.99)], WOOD)
    for x, y, radius in ((0.26, 0.46, 0.24), (0.74, 0.46, 0.24), (0.5, 0.26, 0.27), (0.5, 0.5, 0.24)):
        pen.circle(x, y, radius)
    for x, y in ((0.34, 0.36), (0.6, 0.22), (0.66, 0.5)):
        pen.circle(x, y, 0.07, LIGHT)


def draw_flower(pen: Pen) -> None:
    """Draw a flower with five petals on a stalk with leaves."""
    pen.line([(0.5, 0.4), (0.5, 0.97)], 0.06, FOLIAGE)
    pen.blob([(0.5, 0.88), (0.3, 0.88), (0.18, 0.7), (0.38, 0.72)], FOLIAGE)
    pen.blob([(0.5, 0.88), (0.7, 0.88), (0.82, 0.7), (0.62, 0.72)], FOLIAGE)
    for step in range(5):
        turn = math.radians(72 * step - 90)
        pen.circle(0.5 + 0.2 * math.cos(turn), 0.33 + 0.2 * math.sin(turn), 0.15)
    pen.circle(0.5, 0.33, 0.11, CREAM)
    pen.circle(0.5, 0.33, 0.05, INK)


def draw_mushroom(pen: Pen) -> None:
    """Draw a mushroom; its spotted cap has the colour."""
    pen.blob([(0.38, 0.5), (0.62, 0.5), (0.7, 0.92), (0.5, 0.98), (0.3, 0.92)], CREAM)
    pen.slice((0.0, 0.04, 1.0, 1.1), 180, 360)
    pen.ellipse(0.0, 0.48, 1.0, 0.66)
    for x, y, radius in ((0.28, 0.36, 0.09), (0.56, 0.2, 0.08), (0.74, 0.42, 0.08)):
        pen.circle(x, y, radius, WHITE)


def draw_snowman(pen: Pen) -> None:
    """Draw a snowman with a hat, buttons and arms."""
    pen.line([(0.3, 0.56), (0.06, 0.42)], 0.05, WOOD)
    pen.line([(0.7, 0.56), (0.94, 0.42)], 0.05, WOOD)
    pen.circle(0.5, 0.74, 0.26)
    pen.circle(0.5, 0.47, 0.19)
    pen.circle(0.5, 0.24, 0.15)
    pen.rectangle(0.3, 0.13, 0.7, 0.18, INK)
    pen.rectangle(0.37, 0.0, 0.63, 0.16, INK)
    for x in (0.44, 0.56):
        pen.circle(x, 0.24, 0.028, INK)
    for y in (0.5, 0.66, 0.8):
        pen.circle(0.5, y, 0.035, INK)
    pen.polygon([(0.5, 0.27), (0.68, 0.31), (0.5, 0.33)], GOLD)


def draw_star(pen: Pen) -> None:
    """Draw a star with five spikes."""
    points = []
    for step in range(10):
        radius = 0.53 if step % 2 == 0 else 0.24
        turn = math.radians(36 * step - 90)
        points.append((0.5 + radius * math.cos(turn), 0.53 + radius * math.sin(turn)))
    pen.polygon(points)
    pen.polygon([points[0], points[1], (0.5, 0.53), points[9]], LIGHT)


def draw_heart(pen: Pen) -> None:
    """Draw a heart."""
    points = []
    for step in range(60):
        turn = 2 * math.pi * step / 60
        height = 13 * math.cos(turn) - 5 * math.cos(2 * turn) - 2 * math.cos(3 * turn) - math.cos(4 * turn)
        points.append((0.5 + 0.5 * math.sin(turn) ** 3, 0.46 - height / 34))
    pen.polygon(points)
    pen.ellipse(0.16, 0.17, 0.34, 0.36, LIGHT)


def draw_ball(pen: Pen) -> None:
    """Draw a beach ball with white stripes."""
    pen.circle(0.5, 0.5, 0.48)
    for start in (200, 320, 80):
        pen.slice((0.02, 0.02, 0.98, 0.98), start, start + 40, WHITE)
    pen.circle(0.5, 0.5, 0.11, DARK)


def draw_apple(pen: Pen) -> None:
    """Draw an apple with a stalk and a leaf."""
    right = [(0.7, 0.22), (0.92, 0.36), (0.9, 0.7), (0.7, 0.97)]
    pen.blob([(0.5, 0.3), *right, (0.5, 0.93), *reversed(mirrored(right))])
    pen.line([(0.5, 0.34), (0.54, 0.06)], 0.06, WOOD)
    pen.blob([(0.54, 0.2), (0.68, 0.02), (0.9, 0.04), (0.78, 0.2)], FOLIAGE)
    pen.ellipse(0.2, 0.38, 0.36, 0.6, LIGHT)


def draw_leaf(pen: Pen) -> None:
    """Draw a leaf with veins."""
    pen.line([(0.2, 0.8), (0.04, 0.97)], 0.07, DARK)
    pen.blob([(0.14, 0.84), (0.1, 0.42), (0.5, 0.08), (0.99, 0.0), (0.9, 0.5), (0.56, 0.88)])
    pen.line([(0.16, 0.84), (0.84, 0.16)], 0.045, DARK)
    for x, y in ((0.36, 0.64), (0.56, 0.44)):
        pen.line([(x, y), (x, y - 0.24)], 0.04, DARK)
        pen.line([(x, y), (x + 0.24, y)], 0.04, DARK)


def draw_moon(pen: Pen) -> None:
    """Draw a crescent moon."""
    points = []
    for step in range(41):
        turn = math.radians(40 + 7 * step)
        points.append((0.46 + 0.48 * math.cos(turn), 0.5 + 0.48 * math.sin(turn)))
    for step in range(41):
        turn = math.radians(300 - 5.75 * step)
        points.append((0.66 + 0.33 * math.cos(turn), 0.5 + 0.39 * math.sin(turn)))
    pen.polygon(points)
    pen.circle(0.2, 0.4, 0.05, DARK)
    pen.circle(0.28, 0.68, 0.06, DARK)


def draw_cactus(pen: Pen) -> None:
    """Draw a cactus with two arms in a pot."""
    pen.line([(0.5, 0.52), (0.18, 0.52), (0.18, 0.3)], 0.15)
    pen.line([(0.5, 0.42), (0.82, 0.42), (0.82, 0.2)], 0.15)
    pen.rectangle(0.36, 0.0, 0.64, 0.8, corner=0.14)
    for x in (0.45, 0.55):
        pen.line([(x, 0.12), (x, 0.68)], 0.03, DARK)
    pen.polygon([(0.24, 0.74), (0.76, 0.74), (0.68, 0.99), (0.32, 0.99)], WOOD)


DRAWINGS = {
    "apple": draw_apple,
    "ball": draw_ball,
    "cactus": draw_cactus,
    "flower": draw_flower,
    "heart": draw_heart,
    "house": draw_house,
    "leaf": draw_leaf,
    "moon": draw_moon,
    "mushroom": draw_mushroom,
    "snowman": draw_snowman,
    "star": draw_star,
    "tree": draw_tree,
}
