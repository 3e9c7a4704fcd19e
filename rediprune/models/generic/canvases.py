"""Follow how processors cut an image into tiles: where each view of the encoder lies in the upload."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Size = tuple[int, int]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Canvas:
    """Hold the rule of one kind of processor.

    Attributes:
        boxes: (processor, (width, height)) -> for each view in order its box in the upload, and the width of
            the view by its height.
        ends: how the last view of an image is told in a prompt, see `overlays.runs_of`.
    """

    boxes: Callable[[Any, Size], list[tuple[Box, float]]]
    ends: int = 0


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


def _splits(processor: Any, size: Size) -> list[tuple[Box, float]]:
    """Tiles that the enlarged image is a multiple of, and an overview last (Idefics3, SmolVLM)."""
    settings = getattr(processor, "image_processor", processor)
    if not settings.do_image_splitting:
        return [(whole(size), 1.0)]
    height, width = size[1], size[0]
    if settings.do_resize:
        rule = inspect.getmodule(type(settings)).get_resize_output_image_size
        blank = torch.empty(3, height, width, device="meta")  # the rule reads nothing but its shape
        height, width = rule(blank, resolution_max_side=settings.size["longest_edge"])
    side, ratio = settings.max_image_size["longest_edge"], width / height
    if width >= height:
        width = math.ceil(width / side) * side
        height = math.ceil(int(width / ratio) / side) * side
    else:
        height = math.ceil(height / side) * side
        width = math.ceil(int(height * ratio) / side) * side
    tiles = cut(size, width // side, height // side) if max(width, height) > side else []
    return [(box, 1.0) for box in [*tiles, whole(size)]]


def _covering(processor: Any, size: Size) -> list[tuple[Box, float]]:
    """Put an overview first, then the fewest tiles that cover most of the image (Ovis2)."""
    settings = getattr(processor, "image_processor", processor)
    if not settings.crop_to_patches or settings.max_patches < 2:
        return [(whole(size), 1.0)]
    rules, side = inspect.getmodule(type(settings)), settings.size["height"]
    shape = (size[1], size[0])
    if settings.use_covering_area_grid:
        cols, rows = rules.get_min_tile_covering_grid(
            shape, target_patch_size=side, max_image_tiles=settings.max_patches, covering_threshold=0.9
        )
    else:
        cols, rows = rules.get_optimal_tiled_canvas(
            shape, (side, settings.size["width"]), settings.min_patches, settings.max_patches
        )
    tiles = cut(size, cols, rows) if cols * rows > 1 else []
    return [(box, 1.0) for box in [whole(size), *tiles]]


def _natural(processor: Any, size: Size) -> list[tuple[Box, float]]:
    """Keep a small image's aspect ratio; cut a large one into tiles, the overview last (LFM2-VL)."""
    settings = getattr(processor, "image_processor", processor)
    token = {
        name: getattr(settings, name)
        for name in ("max_image_tokens", "encoder_patch_size", "downsample_factor")
    }
    width, height = settings.smart_resize(
        size[1], size[0], min_image_tokens=settings.min_image_tokens, **token
    )
    view = (whole(size), width / height)
    large = settings._is_image_too_large(
        size[1], size[0], max_pixels_tolerance=settings.max_pixels_tolerance, **token
    )
    if not (large and settings.do_image_splitting) or settings.max_tiles == 1:
        return [view]
    cols, rows, *_ = settings._get_grid_layout(
        size[1], size[0], settings.min_tiles, settings.max_tiles, settings.tile_size
    )
    tiles = [(box, 1.0) for box in cut(size, cols, rows)]
    return [*tiles, view] if settings.use_thumbnail and len(tiles) > 1 else tiles


CANVASES: dict[str, Canvas] = {
    "optimal": Canvas(_optimal, 1),
    "optimal-lines": Canvas(_optimal, 2),  # a line break stands behind every tile
    "splits": Canvas(_splits, -1),
    "covering": Canvas(_covering, 1),
    "natural": Canvas(_natural, 1),
}
