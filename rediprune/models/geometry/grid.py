"""From the processor's resize and crop to the pixels that a token saw.

Preprocessing is one affine map per axis, x' = scale * x + shift, from the upload to the pixels that the
vision encoder reads. Its inverse takes the token grid back onto the upload. Resizing moves pixel EDGES to
pixel edges (0 to 0, width to new width), as PIL and torchvision do it, so no half-pixel term appears.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from transformers.image_transforms import get_resize_output_image_size, get_size_with_aspect_ratio
from transformers.image_utils import get_image_size_for_max_height_width

from ...tokens import Geometry
from ..errors import ModelError


def grid_geometry(
    image_size: tuple[int, int] | None, processor: object | None, pixel_size: tuple[int, int], patch: int
) -> Geometry:
    """Locate a grid of `patch` x `patch` patches in the original image.

    Args:
        image_size: (width, height) of the original in pixels; None means that nothing is known about it, and
            the geometry is then that of the preprocessed pixels themselves.
        processor: the transformers processor (or image processor) that preprocessed it.
        pixel_size: (width, height) of the preprocessed image, as the encoder gets it.
        patch: side of a patch in preprocessed pixels. A remainder at right and bottom is read by no patch.

    Returns:
        Geometry whose box may reach beyond the image where the processor pads.

    Raises:
        ModelError: the processor does not turn an image of this size into one of `pixel_size`.
    """
    cols, rows = pixel_size[0] // patch, pixel_size[1] // patch
    grid = (cols * patch, rows * patch)
    if image_size is None:
        return Geometry(rows, cols, (0.0, 0.0, float(grid[0]), float(grid[1])), pixel_size)
    if processor is None:
        raise ModelError(
            "image_sizes was given without a processor: its resize and crop decide where a token lies, so "
            "pass the processor that made pixel_values"
        )
    scale, shift, size = affine(image_size, processor)
    if size != tuple(pixel_size):
        raise ModelError(
            f"the processor turns a {image_size[0]} x {image_size[1]} image into {size[0]} x {size[1]} "
            f"pixels, but pixel_values are {pixel_size[0]} x {pixel_size[1]}: pass the one that made them"
        )
    left, top = (-shift[a] / scale[a] for a in (0, 1))
    right, bottom = ((grid[a] - shift[a]) / scale[a] for a in (0, 1))
    return Geometry(rows, cols, (left, top, right, bottom), (image_size[0], image_size[1]))


def affine(
    image_size: tuple[int, int], processor: Any
) -> tuple[tuple[float, float], tuple[float, float], tuple[int, int]]:
    """(scale, shift, new size), each as (x, y), of: pad to a square, resize, centre crop, where on.

    Reads the processor's own settings and uses its own rounding helpers. Raises ModelError for settings that
    this map does not know.
    """
    settings = getattr(processor, "image_processor", processor)
    size, scale, shift = list(image_size), [1.0, 1.0], [0.0, 0.0]

    # Only LLaVA's own image processor pads BEFORE the resize; the general `do_pad` of others pads at the
    # right and bottom afterwards, which moves nothing.
    if getattr(settings, "do_pad", False) and hasattr(settings, "pad_to_square"):
        side = max(size)
        shift = [float((side - s) // 2) for s in size]
        size = [side, side]

    if settings.do_resize:
        new = _resized(size, settings.size)
        scale = [n / s for n, s in zip(new, size, strict=True)]
        shift = [a * b for a, b in zip(shift, scale, strict=True)]
        size = new

    if settings.do_center_crop:
        crop = [settings.crop_size["width"], settings.crop_size["height"]]
        # The two backends of transformers round an odd difference differently where the image is too small.
        up = 1 if getattr(settings, "backend", "torchvision") == "pil" else 0
        for a in (0, 1):
            more = size[a] - crop[a]
            shift[a] += -(more // 2) if more >= 0 else (up - more) // 2
        size = crop
    return (scale[0], scale[1]), (shift[0], shift[1]), (size[0], size[1])


def _resized(size: list[int], target: dict) -> list[int]:
    """(width, height) after the processor's resize; `target` is its `size` setting."""
    target = dict(target)
    width, height = size
    if "shortest_edge" in target and "longest_edge" in target:
        new = get_size_with_aspect_ratio((height, width), target["shortest_edge"], target["longest_edge"])
    elif "shortest_edge" in target:
        # The helper wants an image but reads only its shape: this one takes no memory.
        image = np.broadcast_to(np.uint8(0), (3, height, width))
        new = get_resize_output_image_size(
            image, target["shortest_edge"], default_to_square=False, input_data_format="channels_first"
        )
    elif "max_height" in target and "max_width" in target:
        new = get_image_size_for_max_height_width((height, width), target["max_height"], target["max_width"])
    elif "height" in target and "width" in target:
        new = (target["height"], target["width"])
    else:
        raise ModelError(
            f"the image processor resizes to {target}, a rule that the token geometry does not know"
        )
    return [new[1], new[0]]
