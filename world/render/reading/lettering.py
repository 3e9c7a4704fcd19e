"""Draw single characters, each made to fit into one patch.

Every character is as wide as it can be within 12 of the 14 pixels of its patch, so that text set with an
advance of one patch does not look spaced out.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..pictures import PATCH

_FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
_FILES = {
    "mono": "DejaVuSansMono.ttf",
    "mono bold": "DejaVuSansMono-Bold.ttf",
    "sans bold": "DejaVuSans-Bold.ttf",
    "plain": "",  # the font that Pillow carries
}
FONTS = tuple(_FILES)
HEADING = 28  # pixels, height of the letters of a heading with its ascenders and descenders
HEADING_ADVANCE = 20  # pixels
_SUPERSAMPLE = 8  # characters are drawn this many times larger and averaged, which makes their edges smooth
_STRETCH = 1.25  # characters of a monospaced font are made wider by this factor
_WIDEST = 12.4  # pixels of the 14 that a character may take
_BASELINE = 11.0  # pixels from the top of the patch
_LOWER_SIZE = 14.2  # pixels, font size of small letters, whose descenders must fit below the baseline
_UPPER_SIZE = 15.4  # pixels, font size of capitals and digits


@lru_cache(maxsize=64)
def _load_font(font: str, size: float) -> ImageFont.FreeTypeFont:
    if _FILES[font]:
        return ImageFont.truetype(str(_FOLDER / _FILES[font]), size)
    return ImageFont.load_default(size)


def _draw_character(character: str, font: str, scale: float) -> tuple[np.ndarray, int]:
    """Return the ink of a character cropped to its columns, uint8 [h, w], and the row of its baseline."""
    size = _LOWER_SIZE if character.islower() else _UPPER_SIZE
    face = _load_font(font, size * scale)
    side = round(3 * PATCH * scale)
    baseline = round(2 * PATCH * scale)
    big = Image.new("L", (side, side), 0)
    ImageDraw.Draw(big).text((side // 3, baseline), character, fill=255, font=face, anchor="ls")
    ink = np.asarray(big)
    columns = np.flatnonzero(ink.any(axis=0))
    return ink[:, columns[0] : columns[-1] + 1], baseline


@lru_cache(maxsize=2048)
def draw_glyph(character: str, font: str) -> Image.Image:
    """Return how much of each pixel of a patch a character covers, as a grey picture of 14 x 14 pixels.

    Args:
        character: a letter, a digit or a punctuation mark, as it is to be seen.
        font: one of FONTS.
    """
    return _fit(character, font, PATCH, PATCH, 1.0, _STRETCH)


@lru_cache(maxsize=512)
def draw_heading_glyph(character: str, font: str) -> Image.Image:
    """Return how much of each pixel a large character covers, as a grey picture of 20 x 28 pixels."""
    return _fit(character, font, HEADING_ADVANCE, HEADING, HEADING / PATCH, 1.0)


def _fit(character: str, font: str, width: int, height: int, enlarge: float, stretch: float) -> Image.Image:
    """Draw a character in the middle of a cell, on the baseline."""
    ink, baseline = _draw_character(character, font, enlarge * _SUPERSAMPLE)
    widest = width * _WIDEST / PATCH * _SUPERSAMPLE
    target = min(ink.shape[1] * stretch, widest)
    drawn = Image.fromarray(ink).resize((max(1, round(target)), ink.shape[0]), Image.BILINEAR)
    cell = Image.new("L", (width * _SUPERSAMPLE, height * _SUPERSAMPLE), 0)
    left = (cell.width - drawn.width) // 2
    top = round(_BASELINE * enlarge * _SUPERSAMPLE) - baseline
    cell.paste(drawn, (left, top))
    return cell.reduce(_SUPERSAMPLE)
