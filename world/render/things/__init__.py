"""Draw everyday things of many kinds, each in a colour of its own."""

from .sprites import THING_COLORS, THING_KINDS, Sprite, make_sprite

__all__ = ["THING_COLORS", "THING_KINDS", "Sprite", "make_sprite"]
