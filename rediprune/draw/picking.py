"""Draw the selection pick by pick: the kept set grows, its newest tokens marked, its size written below."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from ..tokens import Geometry, VisionTokens
from ..trace import Selection
from . import palette
from .film import picture_index, resize_to, scale_geometry
from .marks import mark_kept
from .sheet import GAP, sheet

PICKING_FPS = 10.0
GROWING, RESTING = 60, 15  # pictures of the film for any number of picks: 6 seconds, and 1.5 at its end
STAGES = 6  # moments on the still sheet
LEAST = 256  # pixels: in narrower pictures the numbers would wrap to different numbers of lines
ACROSS = 4  # frames of a clip in one row; more if there are more than ACROSS squared


def picking(
    images: Sequence[Image.Image],
    vision: VisionTokens,
    selection: Selection,
    keep_ratio: float | None = None,
    side: int = 480,
) -> list[Image.Image]:
    """Draw the picking as a film of GROWING + RESTING pictures, to be shown at PICKING_FPS.

    The film begins with nothing kept. If there are more picks than pictures, several appear at once. Groups
    with budgets of their own (the frames of a clip) grow together.

    Args:
        images: the pictures that the tokens were read from, in order (see film.picture_index).
        vision: T frames or tiles; several stand side by side.
        selection: of a single weight, order [G, M].
        keep_ratio: in (0, 1]; None: that of the selection's config.
        side: in pixels, at least LEAST: the longer side of a still, or the width of all pictures of one
            moment.

    Returns:
        Pictures of one size; a moment that is shown again is the same object.

    Raises:
        ValueError: several weights, too small a side, or a ratio that `Selection.kept` refuses.
    """
    stages = _Stages(images, vision, selection, keep_ratio, side)
    counts = [(stages.last + 1) * i // GROWING for i in range(GROWING)]
    made = []
    drawn: dict[int, Image.Image] = {}
    for i, count in enumerate(counts):
        if count not in drawn:
            previous = counts[i - 1] if i else 0
            drawn[count] = stages.draw(count, previous)
        made.append(drawn[count])
    return [*made, *[stages.draw(stages.last, stages.last)] * RESTING]


def picking_sheet(
    images: Sequence[Image.Image],
    vision: VisionTokens,
    selection: Selection,
    keep_ratio: float | None = None,
    side: int = 480,
) -> Image.Image:
    """Draw up to STAGES moments on one sheet, from the first pick to the last, in about equal factors.

    Arguments and errors are those of `picking`; `side` applies to each moment.
    """
    stages = _Stages(images, vision, selection, keep_ratio, side)
    factors = (stages.last ** (i / (STAGES - 1)) for i in range(STAGES))
    counts = sorted({round(factor) for factor in factors})
    moments = [stages.draw(count, before) for before, count in zip([0, *counts], counts, strict=False)]
    across = 3 if len(vision.geometry) == 1 else 2
    width, height = moments[0].size
    rows = -(-len(moments) // across)
    made = Image.new("RGB", (width * min(across, len(moments)), height * rows), palette.PAPER)
    for i, moment in enumerate(moments):
        made.paste(moment, (width * (i % across), height * (i // across)))
    return made


class _Stages:
    """Draw the kept set after any number of picks.

    Attributes:
        last: the number of picks of the largest group.
    """

    def __init__(
        self,
        images: Sequence[Image.Image],
        vision: VisionTokens,
        selection: Selection,
        keep_ratio: float | None,
        side: int,
    ) -> None:
        if selection.order.dim() != 2:
            raise ValueError("the picking of several weights cannot be drawn at once: choose one with at(w)")
        if side < LEAST:
            raise ValueError(f"side is {side}: the picking needs {LEAST} pixels or more")
        ratio = selection.config.keep_ratio if keep_ratio is None else keep_ratio
        chosen = selection.kept(ratio).cpu()
        groups = len(selection.order)
        self.size = selection.size
        self.vision = vision
        self.order = selection.order.cpu()
        self.limits = torch.bincount(chosen // self.size, minlength=groups).tolist()
        self.last = max(self.limits)
        t = len(vision.geometry)
        self.across = min(t, max(ACROSS, math.ceil(math.sqrt(t))))
        self.cell = side
        if t > 1:
            self.cell = (side - (self.across + 1) * GAP) // self.across
        self.pictures = [resize_to(image, self.cell) for image in images]
        self.which = picture_index(len(images), vision)
        self.places = [
            scale_geometry(g, self.pictures[i].size) for g, i in zip(vision.geometry, self.which, strict=True)
        ]
        self.made_of = f"of {len(chosen)} picks"
        self.aim = f"to keep {100 * ratio:.3g}% of {vision.n_tokens} tokens"

    def picks(self, after: int, to: int) -> Tensor:
        """Return the flat indices, ascending, of picks number `after` + 1 to `to` of every group."""
        parts = [
            row[min(after, limit) : min(to, limit)] + g * self.size
            for g, (row, limit) in enumerate(zip(self.order, self.limits, strict=True))
        ]
        return torch.cat(parts).sort().values

    def draw(self, count: int, before: int) -> Image.Image:
        """Draw what is kept after `count` picks of each group; picks after number `before` are marked."""
        inside = self.vision.per_frame(self.picks(0, count))
        newest = self.vision.per_frame(self.picks(before, count))
        pictures = []
        for place, i, of_frame, new in zip(self.places, self.which, inside, newest, strict=True):
            picture = mark_kept(self.pictures[i], place, of_frame)
            _mark(picture, place, new)
            pictures.append((picture, str(len(of_frame)) if len(self.places) > 1 else ""))
        rows = [pictures[start : start + self.across] for start in range(0, len(pictures), self.across)]
        return sheet(rows, self.cell, [f"{sum(map(len, inside))} {self.made_of}", self.aim])


def _mark(picture: Image.Image, place: Geometry, tokens: Tensor) -> None:
    """Draw a line inside the box of each token, thinner in a small box."""
    pen = ImageDraw.Draw(picture)
    for left, top, right, bottom in place.token_boxes()[tokens].round().int().tolist():
        if right > left and bottom > top:
            width = 3 if min(right - left, bottom - top) >= 16 else 2
            pen.rectangle((left, top, right - 1, bottom - 1), outline=palette.NEXT_PICK.dark, width=width)
