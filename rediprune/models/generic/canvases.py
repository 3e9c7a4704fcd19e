"""How processors cut an image into tiles: where each view of the encoder lies in the upload."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Size = tuple[int, int]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Canvas:
    """The rule of one kind of processor.

    Attributes:
        boxes: (processor, (width, height)) -> for each view in order its box in the upload, and how many times
            as wide as high the encoder gets it.
        ends: how the last view of an image is told in a prompt, see `overlays.runs_of`.
    """

    boxes: Callable[[Any, Size], list[tuple[Box, float]]]
    ends: str = "run"


def cut(size: Size, cols: int, rows: int) -> list[Box]:
    """Boxes of cols x rows tiles that cover an upload exactly, in raster order."""
    width, height = size[0] / cols, size[1] / rows
    return [
        (c * width, r * height, (c + 1) * width, (r + 1) * height) for r in range(rows) for c in range(cols)
    ]


def whole(size: Size) -> Box:
    return (0.0, 0.0, float(size[0]), float(size[1]))


def _optimal(processor: Any, size: Size) -> list[tuple[Box, float]]:
    """Tiles on the canvas of the nearest aspect ratio, and an overview last where there is more than one."""
    settings = getattr(processor, "image_processor", processor)
    if not settings.crop_to_patches:
        return [(whole(size), 1.0)]
    tile = settings.size
    rule = inspect.getmodule(type(settings)).get_optimal_tiled_canvas
    cols, rows = rule(
        (size[1], size[0]), (tile["height"], tile["width"]), settings.min_patches, settings.max_patches
    )
    views = cut(size, cols, rows)
    if len(views) > 1:
        views.append(whole(size))
    return [(box, 1.0) for box in views]


CANVASES: dict[str, Canvas] = {
    "optimal": Canvas(_optimal, "after"),
}
