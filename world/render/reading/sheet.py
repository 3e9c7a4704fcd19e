"""Hold a picture while it is being drawn: its pixels, its things and what each patch shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from ..pictures import GRID, MIN_COVER, N_PATCHES, NOTHING, PATCH, SIZE, Picture, Thing
from .lettering import HEADING, HEADING_ADVANCE, draw_glyph, draw_heading_glyph

Rgb = tuple[int, int, int]
Box = tuple[int, int, int, int]

JITTER = 2  # pixels by which the text of a picture may lie off the grid of patches, in both directions
_SUPERSAMPLE = 4  # figures are drawn this many times larger and averaged, which makes their edges smooth
_PICTURE_KINDS = ("receipt", "chart", "sign", "clock", "board")


def make_generator(kind: str, seed: int) -> np.random.Generator:
    """Return the random generator of a picture; every kind of picture has a stream of its own.

    Raises:
        ValueError: the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed={seed} is negative: a picture's seed is 0 or more")
    return np.random.default_rng([_PICTURE_KINDS.index(kind), seed])


@dataclass(frozen=True)
class Lettering:
    """Hold how a text is set.

    Attributes:
        font: one of lettering.FONTS.
        ink: sRGB.
        upper: whether small letters are shown as capitals.
    """

    font: str
    ink: Rgb
    upper: bool = False

    def show(self, text: str) -> str:
        """Return the text as it is to be seen."""
        if self.upper:
            return text.upper()
        return text


class Sheet:
    """Draw on a picture and keep the ground truth of what was drawn.

    Columns and rows count patches; the grid on which text is set may lie `shift` pixels off the patches.

    Attributes:
        image: RGB, what has been drawn so far.
        pen: draws on `image` without smoothing.
        shift: pixels to the right and down by which the grid of the text is moved, each at most JITTER.
    """

    def __init__(self, image: Image.Image, rng: np.random.Generator) -> None:
        self.image = image
        self.pen = ImageDraw.Draw(image)
        dx, dy = rng.integers(-JITTER, JITTER + 1, 2).tolist()
        self.shift = (dx, dy)
        self._things: list[
            Thing
        ] = []  # their patches are found at the end, when all that hides them is there
        self._shares: list[np.ndarray] = []
        self._glyphs = [""] * N_PATCHES

    def place(self, column: float, row: float) -> tuple[int, int]:
        """Return the pixel (x, y) of the upper left corner of a cell of the text's grid."""
        return round(column * PATCH) + self.shift[0], round(row * PATCH) + self.shift[1]

    def box(self, left: float, top: float, right: float, bottom: float) -> Box:
        """Return the pixels of a box given in columns and rows."""
        return (*self.place(left, top), *self.place(right, bottom))

    def letter(self, text: str, column: int, row: int, style: Lettering) -> Box:
        """Write a text with one character a patch and note the characters; return its box.

        Raises:
            ValueError: the text does not fit into the picture, or another one stands there.
        """
        if not (column >= 0 and column + len(text) <= GRID and 0 <= row < GRID):
            raise ValueError(f"text {text!r} at column {column}, row {row} does not fit into the picture")
        for offset, character in enumerate(text):
            if character == " ":
                continue
            patch = row * GRID + column + offset
            if self._glyphs[patch]:
                raise ValueError(f"text {text!r} at column {column}, row {row} covers another text")
            self._glyphs[patch] = character
            seen = style.show(character)
            self.image.paste(style.ink, self.place(column + offset, row), draw_glyph(seen, style.font))
        return self.box(column, row, column + len(text), row + 1)

    def write(
        self, text: str, column: int, row: int, style: Lettering, kind: str, box: Box | None = None
    ) -> None:
        """Write a text with one character a patch and add it as a thing; its box is the text's by default."""
        text_box = self.letter(text, column, row, style)
        share = np.zeros(N_PATCHES)
        for offset, character in enumerate(text):
            if character != " ":
                share[row * GRID + column + offset] = 1.0
        self._keep(Thing(kind, "", text, box or text_box, ()), share)

    def write_heading(self, text: str, column: float, row: float, style: Lettering) -> None:
        """Write large letters, which span several patches, and add them as a thing of kind "title"."""
        x, y = self.place(column, row)
        for offset, character in enumerate(text):
            at = (x + offset * HEADING_ADVANCE, y)
            self.image.paste(style.ink, at, draw_heading_glyph(style.show(character), style.font))
        box = (x, y, x + len(text) * HEADING_ADVANCE, y + HEADING)
        self.add("title", "", text, box)

    def add(self, kind: str, color: str, text: str, box: Box, cover: np.ndarray | None = None) -> None:
        """Add a thing that has been drawn; it hides what lies below it.

        Args:
            kind: see Thing.
            color: see Thing.
            text: see Thing.
            box: of the whole thing, in pixels; clipped to the picture.
            cover: how much of each pixel of the box it covers, [height, width] in [0, 1]; None for all.
        """
        share = share_per_patch(box, cover)
        left, top, right, bottom = box
        clipped = (max(0, left), max(0, top), min(SIZE, right), min(SIZE, bottom))
        self._keep(Thing(kind, color, text, clipped, ()), share)

    def _keep(self, thing: Thing, share: np.ndarray) -> None:
        for hidden in self._shares:
            hidden *= 1 - share
        self._things.append(thing)
        self._shares.append(share)

    def paint(self, box: Box, color: Rgb, draw: Callable[[ImageDraw.ImageDraw, int], None]) -> np.ndarray:
        """Paint a figure with smooth edges.

        Args:
            box: pixels within which the figure lies; parts outside the picture are left out.
            color: sRGB.
            draw: draws the figure with the fill 255; its arguments are a pen whose origin is the corner of
                the box, and the factor by which all its coordinates are to be multiplied.

        Returns:
            How much of each pixel of the box is covered, float32 [height, width] in [0, 1].
        """
        width = box[2] - box[0]
        height = box[3] - box[1]
        big = Image.new("L", (width * _SUPERSAMPLE, height * _SUPERSAMPLE), 0)
        draw(ImageDraw.Draw(big), _SUPERSAMPLE)
        mask = big.reduce(_SUPERSAMPLE)
        self.image.paste(color, box[:2], mask)
        return np.asarray(mask, dtype=np.float32) / 255

    def paint_mask(self, mask: np.ndarray, color: Rgb, x: int, y: int) -> None:
        """Paint a figure by how much it covers, [height, width] in [0, 1], with its middle at (x, y)."""
        grey = Image.fromarray((mask * 255).astype(np.uint8))
        self.image.paste(color, (x - grey.width // 2, y - grey.height // 2), grey)

    def paint_card(self, box: Box, color: Rgb, corner: int = 0, shadow: bool = True) -> np.ndarray:
        """Paint a rectangle with round corners, with a soft shadow where wanted; return its cover."""
        if shadow:
            for reach, strength in ((7, 14), (5, 22), (3, 34)):
                left, top, right, bottom = box
                around = (left - reach + 2, top - reach + 4, right + reach, bottom + reach + 1)
                size = (around[2] - around[0], around[3] - around[1])
                mask = Image.new("L", size, 0)
                ImageDraw.Draw(mask).rounded_rectangle(
                    (0, 0, size[0] - 1, size[1] - 1), corner + reach, fill=strength
                )
                self.image.paste((20, 20, 30), around[:2], mask)

        def draw(pen: ImageDraw.ImageDraw, scale: int) -> None:
            corners = (0, 0, (box[2] - box[0]) * scale - 1, (box[3] - box[1]) * scale - 1)
            pen.rounded_rectangle(corners, corner * scale, fill=255)

        return self.paint(box, color, draw)

    def finish(self, kind: str, seed: int, rng: np.random.Generator) -> Picture:
        """Add grain to the pixels and return the picture with its ground truth."""
        pixels = np.asarray(self.image).astype(np.int16)
        pixels += _crop_grain(rng)
        np.clip(pixels, 0, 255, out=pixels)
        owner = np.full(N_PATCHES, NOTHING, dtype=np.int16)
        if self._shares:
            shares = np.stack(self._shares)  # [things, 576]
            best = shares.argmax(axis=0)
            shown = shares.max(axis=0) >= MIN_COVER
            owner[shown] = best[shown]
        things = [
            replace(thing, patches=tuple(np.flatnonzero(share >= MIN_COVER).tolist()))
            for thing, share in zip(self._things, self._shares, strict=True)
        ]
        return Picture(kind, seed, pixels.astype(np.uint8), tuple(things), owner, tuple(self._glyphs))


def share_per_patch(box: Box, cover: np.ndarray | None = None) -> np.ndarray:
    """Return which share of each patch a figure covers, [576].

    Args:
        box: in pixels; parts outside the picture are left out.
        cover: how much of each pixel of the box is covered, [height, width]; None for all of it.
    """
    left, top, right, bottom = box
    x0, y0, x1, y1 = max(0, left), max(0, top), min(SIZE, right), min(SIZE, bottom)
    full = np.zeros((SIZE, SIZE), dtype=np.float32)
    if cover is None:
        full[y0:y1, x0:x1] = 1.0
    else:
        full[y0:y1, x0:x1] = cover[y0 - top : y1 - top, x0 - left : x1 - left]
    return full.reshape(GRID, PATCH, GRID, PATCH).mean(axis=(1, 3)).reshape(-1)


@lru_cache(maxsize=1)
def _make_grain() -> np.ndarray:
    """Return noise larger than a picture, [400, 400]: cutting from it is quicker than drawing it anew."""
    return np.random.default_rng(0).normal(0, 1, (SIZE + 64, SIZE + 64)).astype(np.float32)


def _crop_grain(rng: np.random.Generator) -> np.ndarray:
    """Return grain of random strength for a picture, int16 [336, 336, 1]."""
    x, y = rng.integers(0, 64, 2).tolist()
    strength = rng.uniform(0.5, 3.5)
    return (_make_grain()[y : y + SIZE, x : x + SIZE, None] * strength).astype(np.int16)


@lru_cache(maxsize=1)
def _make_ramps() -> tuple[np.ndarray, np.ndarray]:
    """Return the columns and the rows of all pixels, each float32 [336, 336] from -0.5 to 0.5."""
    yy, xx = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) / SIZE - 0.5
    return xx, yy


def paint_gradient(start: Rgb, end: Rgb, angle: float) -> Image.Image:
    """Return a picture that goes from one colour to another; an angle of 0 goes right, of pi / 2 down."""
    xx, yy = _make_ramps()
    part = np.float32(255 * math.cos(angle)) * xx + np.float32(255 * math.sin(angle)) * yy
    part += 127.5
    np.clip(part, 0, 255, out=part)
    image = Image.fromarray(part.astype(np.uint8))
    levels = np.arange(256) / 255
    tables = [np.round(a + (b - a) * levels).astype(int).tolist() for a, b in zip(start, end, strict=True)]
    return Image.merge("RGB", [image.point(table) for table in tables])


def mix(first: Rgb, second: Rgb, part: float) -> Rgb:
    """Return a colour between two, the first one for a part of 0."""
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(first, second, strict=True))
    return red, green, blue


def pick(items, rng: np.random.Generator):
    """Return a random item of a sequence."""
    return items[int(rng.integers(len(items)))]


def pick_several(items, count: int, rng: np.random.Generator) -> list:
    """Return several different random items of a sequence, in random order."""
    return [items[int(i)] for i in rng.permutation(len(items))[:count]]
