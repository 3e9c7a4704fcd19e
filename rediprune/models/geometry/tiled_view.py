"""Locate the tokens of an image that was cut into tiles, encoded tile by tile and put together again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor
from transformers.image_processing_utils import get_patch_output_size, select_best_resolution

from ...tokens import Geometry
from ..errors import ModelError


def check_size(size: tuple[int, int] | None, shape: tuple[int, int]) -> None:
    """Raise ModelError where (width, height) as named is not (height, width) as the processor read it."""
    if size is not None and tuple(size) != shape[::-1]:
        raise ModelError(
            f"an image of {size[0]} x {size[1]} pixels was named, but the processor read one of "
            f"{shape[1]} x {shape[0]}: name the sizes in the order of the images"
        )


def canvas_of(shape: tuple[int, int], pinpoints: list[list[int]], processor: Any) -> tuple[int, int]:
    """(height, width) of all tiles together, for an image of (height, width).

    Raises:
        ModelError: the processor chooses among other canvases than the model's `pinpoints`.
    """
    canvas = select_best_resolution(shape, pinpoints)
    settings = getattr(processor, "image_processor", processor)
    if settings is not None and select_best_resolution(shape, settings.image_grid_pinpoints) != canvas:
        raise ModelError(
            "the processor's image_grid_pinpoints are not the model's, so they cut an image differently: use "
            "the processor that belongs to the model"
        )
    return canvas


def overview_geometry(shape: tuple[int, int], side: int, patch: int) -> Geometry:
    """Return the geometry of the overview: an image of (height, width) resized to a square of `side`."""
    edge = side // patch
    right, bottom = (edge * patch * length / side for length in shape[::-1])
    return Geometry(edge, edge, (0.0, 0.0, right, bottom), shape[::-1])


def tiled_geometry(
    shape: tuple[int, int],
    canvas: tuple[int, int],
    grid: Tensor,
    cells: tuple[int, int],
    side: int,
    patch: int,
) -> Geometry:
    """Return the geometry of the view that all tiles make together, unpadded and perhaps shrunk.

    The processor resized the image to fit the canvas, its aspect ratio kept, and put it in the middle. Where
    the side of a tile is no multiple of `patch`, no patch reads the pixels at its right and bottom, so
    columns and rows are not everywhere equally far apart.

    Args:
        shape: (height, width) of the original image.
        canvas: (height, width) of all tiles together.
        grid: [rows, cols] int64, the flat source token (tile * n + token) at each place before any shrinking;
            tile 0 is the overview.
        cells: (rows, cols) as the LLM gets them.
        side, patch: of a tile and of a patch, in canvas pixels.
    """
    edge, beside = side // patch, canvas[1] // side
    tile, token = grid // edge**2 - 1, grid % edge**2
    across = tile[0] % beside * side + token[0] % edge * patch
    down = tile[:, 0] // beside * side + token[:, 0] // edge * patch
    # The helper wants an image but reads only its shape: this one takes no memory.
    resized = get_patch_output_size(np.broadcast_to(np.uint8(0), (3, *shape)), canvas, "channels_first")

    def spans(axis: int, starts: Sequence[int]) -> tuple[tuple[float, float], ...]:
        shift, scale = (canvas[axis] - resized[axis]) // 2, shape[axis] / resized[axis]
        found, count = [], cells[axis]
        for i in range(count):
            # Cell i stands for the patches from i * step to (i + 1) * step, step = len(starts) / count; in
            # whole numbers, so that an edge between patches is found as one.
            begin, end = i * len(starts), (i + 1) * len(starts)
            first, last = begin // count, -(-end // count) - 1
            low = starts[first] + patch * (begin - first * count) / count
            high = starts[last] + patch * (end - last * count) / count
            found.append(((low - shift) * scale, (high - shift) * scale))
        return tuple(found)

    x, y = spans(1, across.tolist()), spans(0, down.tolist())
    return Geometry(*cells, (x[0][0], y[0][0], x[-1][1], y[-1][1]), shape[::-1], cell_edges=(x, y))
