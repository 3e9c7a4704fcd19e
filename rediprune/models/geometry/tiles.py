"""Locate the tiles of an image: an overview of all of it, and the fitted and padded image cut up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers.image_processing_utils import get_patch_output_size, select_best_resolution

from ...tokens import Geometry
from ..errors import ModelError
from .grid import affine


def tile_geometry(
    image_size: tuple[int, int] | None,
    processor: object | None,
    pixel_size: tuple[int, int],
    patch: int,
    tiles: int,
) -> tuple[Geometry, ...]:
    """Locate the tokens of the overview and of every tile, in raster order, in the original image.

    The processor fits the image into the best of its `image_grid_pinpoints`, its shape kept, pads it evenly
    on both sides and cuts tiles of one crop each. The overview is the whole image squeezed into one square.

    Args:
        image_size: (width, height) of the original in pixels; None means that nothing is known about it, and
            the geometry is then that of the preprocessed pixels of each tile.
        processor: the transformers processor (or image processor) that preprocessed it.
        pixel_size: (width, height) of one preprocessed tile, as the encoder gets it.
        patch: side of a token in preprocessed pixels.
        tiles: how many there are, the overview included.

    Returns:
        One Geometry per tile, the overview first; boxes reach beyond the image where it was padded.

    Raises:
        ModelError: the processor does not turn an image of this size into so many tiles of `pixel_size`.
    """
    cols, rows = pixel_size[0] // patch, pixel_size[1] // patch
    if image_size is None:
        whole = (0.0, 0.0, float(cols * patch), float(rows * patch))
        return (Geometry(rows, cols, whole, pixel_size),) * tiles
    if processor is None:
        raise ModelError(
            "image sizes were given without a processor: its tiles decide where a token lies, so pass the "
            "processor that made pixel_values"
        )
    settings = getattr(processor, "image_processor", processor)
    pinpoints = getattr(settings, "image_grid_pinpoints", None)
    if not pinpoints:
        raise ModelError(
            f"{type(settings).__name__} cuts no tiles: pass the processor that made pixel_values"
        )
    width, height = image_size
    best = select_best_resolution((height, width), pinpoints)
    # The helper wants an image but reads only its shape: this one takes no memory.
    blank = np.broadcast_to(np.uint8(0), (3, height, width))
    fitted = get_patch_output_size(blank, best, "channels_first")
    view, side = _sizes(settings)

    def geometry(seen: tuple[int, int], scale: Sequence[float], shift: Sequence[float]) -> Geometry:
        """Return the geometry of a view `seen` (width, height) that is x * scale + shift of the original."""
        then, there, size = affine(seen, settings)
        if size != tuple(pixel_size):
            raise ModelError(
                f"the processor makes tiles of {size[0]} x {size[1]} pixels, but pixel_values are "
                f"{pixel_size[0]} x {pixel_size[1]}: pass the one that made them"
            )
        grid = (0, 0, cols * patch, rows * patch)
        left, top, right, bottom = (
            ((edge - there[i % 2]) / then[i % 2] - shift[i % 2]) / scale[i % 2] for i, edge in enumerate(grid)
        )
        return Geometry(rows, cols, (left, top, right, bottom), (image_size[0], image_size[1]))

    found = [geometry(view, [a / b for a, b in zip(view, image_size, strict=True)], (0, 0))]
    scale = (fitted[1] / width, fitted[0] / height)
    left, top = (best[1] - fitted[1]) // 2, (best[0] - fitted[0]) // 2
    for y in range(0, best[0], side):
        for x in range(0, best[1], side):
            found.append(geometry((side, side), scale, (left - x, top - y)))
    if len(found) != tiles:
        raise ModelError(
            f"the processor cuts a {width} x {height} image into {len(found)} tiles, but the model expects "
            f"{tiles}: pass the one that made pixel_values"
        )
    return tuple(found)


def _sizes(settings: Any) -> tuple[tuple[int, int], int]:
    """(width, height) of the overview and side of a tile, before the settings' own resize and crop."""
    size, crop = dict(settings.size), dict(settings.crop_size or {})
    edge = size.get("shortest_edge")
    view = (size.get("width") or edge, size.get("height") or edge)
    return view, crop.get("height") or view[1]
