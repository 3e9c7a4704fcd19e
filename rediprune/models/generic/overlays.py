"""Find which visual tokens make up an image, a tile or a frame, and where they lie in the upload."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from torch import Tensor

from ...tokens import Geometry
from ..errors import ModelError
from ..geometry.grid import grid_geometry
from .canvases import CANVASES, Canvas

Size = tuple[int, int]


@dataclass(frozen=True)
class Given:
    """Hold what a layout may read.

    Attributes:
        kind: "image" or "video".
        inputs: what the processor returned.
        token_id: of the placeholders.
        slots: [S] int64, of every placeholder of this kind in the prompts its token, or -1 for a separator.
        processor: the one that made the inputs, or None where nothing is asked in the upload's pixels.
    """

    kind: str
    inputs: Mapping[str, Any]
    token_id: int
    slots: Tensor
    processor: Any = None

    @property
    def pixels(self) -> Tensor:
        return self.inputs["pixel_values" if self.kind == "image" else "pixel_values_videos"]


class Layout(ABC):
    """Describe how the tokens of one family lie."""

    has_overlay = True

    @abstractmethod
    def images(
        self, given: Given, counts: Sequence[int], sizes: Sequence[Size] | None
    ) -> list[tuple[list[int], tuple[Geometry, ...]]]:
        """For each image or clip, in order: the tokens of each of its views, and where those lie.

        Args:
            counts: tokens of each view, as far as the model's own result tells views apart.
            sizes: (width, height) of the uploads, or None.

        Raises:
            ModelError: the processor does not make so many tokens of images of these sizes.
        """


class Unknown(Layout):
    """No overlay: every token stands for the whole image, as a grid of a single cell says it."""

    has_overlay = False

    def images(self, given, counts, sizes):
        grouped = (
            runs_of(given, counts) if sizes is None or len(sizes) != len(counts) else [[n] for n in counts]
        )
        if sizes is not None and len(grouped) != len(sizes):
            if len(sizes) != 1:
                raise ModelError(f"{len(sizes)} sizes were given for {len(grouped)} images")
            grouped = [list(counts)]
        found = []
        for views, size in zip(grouped, sizes or [(1, 1)] * len(grouped), strict=True):
            box = (0.0, 0.0, float(size[0]), float(size[1]))
            found.append((views, tuple(Geometry(1, 1, box, tuple(size), n_global=n - 1) for n in views)))
        return found


class Square(Layout):
    """Take every view as an image of its own, resized and cropped as its processor's settings say."""

    def images(self, given, counts, sizes):
        check_count(sizes, len(counts))
        height, width = given.pixels.shape[-2:]
        found = []
        for n, size in zip(counts, sizes or [None] * len(counts), strict=True):
            cols = round(math.sqrt(n * width / height))
            if cols * (n // cols) != n:
                raise ModelError(f"{n} visual tokens do not fill a grid over {width} x {height} pixels")
            found.append(([n], (grid_geometry(size, given.processor, (width, height), width // cols),)))
        return found


class Grid(Layout):
    """`grid_thw` says how many moments, rows and columns of patches; the upload is covered exactly."""

    name = "{}_grid_thw"

    def images(self, given, counts, sizes):
        grids = given.inputs.get(self.name.format(given.kind))
        if grids is None:
            raise ModelError(
                f"{self.name.format(given.kind)} is missing: pass all that the processor returned"
            )
        if len(grids) == 0 or sum(counts) == 0:
            return []
        check_count(sizes, len(grids))
        patches = int(grids.prod(-1).sum())
        merge = round(math.sqrt(patches / sum(counts)))
        found = []
        for (t, h, w), size in zip(grids.tolist(), sizes or [None] * len(grids), strict=True):
            rows, cols = h // merge, w // merge
            whole = size or (w, h)
            box = (0.0, 0.0, float(whole[0]), float(whole[1]))
            found.append(([rows * cols] * t, (Geometry(rows, cols, box, tuple(whole)),) * t))
        return found


class Plain(Layout):
    """Take one view for each image, resized to the processor's `image_sizes`, else to a square.

    Where the tokens fill no grid, because a class token is among them, there is no overlay.
    """

    def images(self, given, counts, sizes):
        if given.inputs.get("image_sizes") is not None:
            return LAYOUTS["sizes"].images(given, counts, sizes)
        if any(math.isqrt(n) ** 2 != n for n in counts):
            check_count(sizes, len(counts))
            return LAYOUTS["unknown"].images(given, counts, sizes)
        return LAYOUTS["square"].images(given, counts, sizes)


class Sizes(Layout):
    """`image_sizes` says what the processor resized each image to; what the grid covers of it is read."""

    def images(self, given, counts, sizes):
        resized = given.inputs["image_sizes"]
        check_count(sizes, len(resized))
        if len(counts) != len(resized):
            raise ModelError(f"{len(counts)} images were encoded, but image_sizes has {len(resized)}")
        found = []
        for n, (height, width), size in zip(
            counts, resized.tolist(), sizes or [None] * len(resized), strict=True
        ):
            side = next(
                (
                    s
                    for s in range(1, height + 1)
                    if -(-height // s) * -(-width // s) == n and height % s == 0
                ),
                None,
            ) or math.sqrt(height * width / n)
            rows, cols = round(height / side), round(width / side)
            whole = size or (width, height)
            box = (0.0, 0.0, float(whole[0]), float(whole[1]))
            found.append(([n], (Geometry(rows, cols, box, tuple(whole)),)))
        return found


class Places(Layout):
    """`image_position_ids` says column and row of every patch; several neighbours make a token (Gemma 4)."""

    def images(self, given, counts, sizes):
        places = given.inputs["image_position_ids"]
        check_count(sizes, len(places))
        found = []
        for n, where, size in zip(counts, places, sizes or [None] * len(places), strict=True):
            across, down = (where[where.min(-1).values >= 0].max(0).values + 1).tolist()
            pool = round(math.sqrt(across * down / n))
            whole = size or (across, down)
            box = (0.0, 0.0, float(whole[0]), float(whole[1]))
            found.append(([n], (Geometry(down // pool, across // pool, box, tuple(whole)),)))
        return found


class Tiled(Layout):
    """Cut an image into tiles, mostly with an overview of it; `CANVASES` has every processor's rule."""

    def __init__(self, canvas: Canvas) -> None:
        self.canvas = canvas

    def images(self, given, counts, sizes):
        if sizes is None:
            found = []
            for views in runs_of(given, counts, self.canvas.ends):
                found.append((views, tuple(_own_pixels(n) for n in views)))
            return found
        if given.processor is None:
            raise ModelError(
                "sizes were given without a processor, which decides how an image is cut into tiles: pass "
                "the processor that made pixel_values"
            )
        found, left = [], list(counts)
        for size in sizes:
            boxes = self.canvas.boxes(given.processor, size)
            views, left = left[: len(boxes)], left[len(boxes) :]
            if len(views) != len(boxes):
                left = [0]
                break
            places = []
            for n, (box, ratio) in zip(views, boxes, strict=True):
                rows, cols = _shape(n, ratio)
                places.append(Geometry(rows, cols, box, tuple(size)))
            found.append((views, tuple(places)))
        if left:
            raise ModelError(
                f"the processor cuts images of {sizes} into other tiles than the {len(counts)} that were "
                "encoded: pass the one that made pixel_values"
            )
        return found


def _shape(n: int, ratio: float) -> tuple[int, int]:
    """(rows, cols) of n tokens over a view `ratio` times as wide as high."""
    options = [(n // cols, cols) for cols in range(1, n + 1) if n % cols == 0]
    return min(options, key=lambda one: abs(math.log(one[1] / one[0] / ratio)))


def _own_pixels(n: int) -> Geometry:
    """Return the geometry of a view as the encoder gets it, a picture of its own."""
    rows, cols = _shape(n, 1.0)
    return Geometry(rows, cols, (0.0, 0.0, float(cols), float(rows)), (cols, rows))


def check_count(sizes: Sequence[Size] | None, count: int) -> None:
    """Raise ModelError where there are not as many sizes as images or clips."""
    if sizes is not None and len(sizes) != count:
        raise ModelError(f"{len(sizes)} sizes were given for {count} images and clips")


def runs_of(given: Given, counts: Sequence[int], ends: int = 0) -> list[list[int]]:
    """Group the views of one image by the prompts alone.

    Args:
        ends: which token the view that ends an image shares with the last view of its prompt: the one so far
            behind its placeholders, or in front of them (negative); 0, that every run of them is an image.
    """
    ids = given.inputs.get("input_ids")
    if ids is None:
        return [[n] for n in counts]
    found: list[list[int]] = []
    left, at = list(counts), 0
    for row in ids.tolist():
        is_view = [token == given.token_id for token in row]
        edges = [0, *[i for i, (a, b) in enumerate(pairwise(is_view), 1) if a != b], len(row)]
        runs = [(a, b) for a, b in pairwise(edges) if a < b and is_view[a]]
        marks = [_mark(row, run, ends) for run in runs]
        open_image: list[int] = []
        for (start, end), mark in zip(runs, marks, strict=True):
            room = int((given.slots[at : at + end - start] >= 0).sum())
            at += end - start
            while left and room > 0:
                open_image.append(left[0])
                room -= left.pop(0)
            if not ends or mark == marks[-1]:
                found.append(open_image)
                open_image = []
    if left or not all(found) or sum(map(sum, found)) != sum(counts):
        return [[n] for n in counts]
    return found


def _mark(row: list[int], run: tuple[int, int], ends: int) -> int | None:
    place = run[0] + ends if ends < 0 else run[1] + ends - 1
    return row[place] if 0 <= place < len(row) else None


LAYOUTS: dict[str, Layout] = {
    "unknown": Unknown(),
    "square": Square(),
    "grid": Grid(),
    "sizes": Sizes(),
    "plain": Plain(),
    "places": Places(),
    **{name: Tiled(canvas) for name, canvas in CANVASES.items()},
}
