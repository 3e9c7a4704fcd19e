"""Draw one frame: kept tokens outlined and everything else dimmed, or relevance as a heatmap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from ..tokens import Geometry
from . import palette

HEAT = 0.62  # opacity of the colours over the grey picture: values can be read and objects still seen


def mark_kept(image: Image.Image, geometry: Geometry, kept_indices: Sequence[int] | Tensor) -> Image.Image:
    """Draw the picture with the K kept patches as they are and everything else dimmed.

    Args:
        image: the original, its size equal to geometry.image_size.
        geometry: where the tokens of this frame lie.
        kept_indices: [K] token indices of this frame, 0..N-1, any order.

    Returns:
        RGB picture of the original's size. Pixels outside geometry.box, which the model did not see, are
        dimmed. A kept global token (geometry.n_global) brightens nothing: it is drawn as a line around all
        that the model saw.

    Raises:
        ValueError: an index outside the grid, or an image of another size than geometry.image_size.
    """
    image = _as_rgb(image, geometry)
    mask = _token_mask(geometry, kept_indices)
    pixels = np.where(mask[..., None], np.asarray(image), _dim(image))
    canvas = Image.fromarray(pixels.astype(np.uint8))
    _outline(canvas, mask)
    _surround(canvas, geometry, kept_indices)
    return canvas


def heatmap(
    image: Image.Image,
    geometry: Geometry,
    values: Sequence[float] | Tensor,
    kept_indices: Sequence[int] | Tensor | None = None,
    span: tuple[float, float] | None = None,
) -> Image.Image:
    """Draw the picture in grey under the colours of the values: dark blue is the lowest, yellow the highest.

    Args:
        image, geometry: as for `mark_kept`.
        values: [N], one number per token (relevance); NaN stays grey. Values of global tokens are not shown.
        kept_indices: [K], outlined if given.
        span: (lowest, highest) of the scale, for frames that share one; None: the range of the values.

    Raises:
        ValueError: not one value per token, an infinite value, only NaN, or the errors of `mark_kept`.
    """
    image = _as_rgb(image, geometry)
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    n = geometry.cells
    if values.size != n + geometry.n_global:
        raise ValueError(f"heatmap got {values.size} values for {_grid_in_words(geometry)}")
    values = values[:n]
    if np.isinf(values).any() or np.isnan(values).all():
        raise ValueError("heatmap got a value that is not finite, or no value at all")
    # One colour per cell, [n, 3]; the middle of the scale where all values are equal.
    low, high = span or (np.nanmin(values), np.nanmax(values))
    known = np.where(np.isnan(values), low, values)
    if high > low:
        colours = palette.ramp((known - low) / (high - low))
    else:
        colours = palette.ramp(np.full(n, 0.5))

    # From cells to pixels, [height, width, 3].
    ids = _token_ids(geometry)
    has_value = (ids >= 0) & ~np.isnan(values)[ids.clip(0)]
    grey = np.asarray(image.convert("L"), dtype=np.float64)[..., None].repeat(3, -1)
    heated = (1 - HEAT) * grey + HEAT * colours[ids.clip(0)]
    pixels = np.where(has_value[..., None], heated, _dim(image))
    canvas = Image.fromarray(pixels.round().astype(np.uint8))
    if kept_indices is not None:
        _outline(canvas, _token_mask(geometry, kept_indices))
        _surround(canvas, geometry, kept_indices)
    return canvas


def _as_rgb(image: Image.Image, geometry: Geometry) -> Image.Image:
    """Convert the picture to RGB, if it has the size of the geometry."""
    if image.size != geometry.image_size:
        raise ValueError(
            f"the image is {image.size} pixels but its geometry was made for {geometry.image_size}"
        )
    return image.convert("RGB")


def _dim(image: Image.Image) -> np.ndarray:
    """Return the picture in darkened grey, uint8 [height, width, 3]."""
    grey = np.asarray(image.convert("L"), dtype=np.float64) * (1 - palette.DIM)
    return grey.round().astype(np.uint8)[..., None].repeat(3, -1)


def _token_ids(geometry: Geometry) -> np.ndarray:
    """Return the token that covers each pixel centre, [height, width] int; -1 where the model saw nothing."""
    columns, rows = geometry.spans
    width, height = geometry.image_size
    col, in_col = _covering_span(columns.numpy(), width)
    row, in_row = _covering_span(rows.numpy(), height)
    return np.where(in_row[:, None] & in_col[None], row[:, None] * geometry.cols + col[None], -1)


def _covering_span(spans: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the last span that begins before each pixel's centre, and whether the centre lies inside it.

    Args:
        spans: [n, 2], (from, to) of each column or row, ascending.
        size: width or height of the picture in pixels.

    Returns:
        (index of the span, inside), [size] each.
    """
    centre = np.arange(size) + 0.5
    index = np.searchsorted(spans[:, 0], centre, side="right") - 1
    return index, (index >= 0) & (centre < spans[index, 1])


def _token_mask(geometry: Geometry, indices: Sequence[int] | Tensor) -> np.ndarray:
    """Mark the pixels of the given tokens, [height, width] bool; global tokens have none."""
    n = geometry.cells + geometry.n_global
    indices = np.asarray(indices, dtype=int).reshape(-1)
    if indices.size and (indices.min() < 0 or indices.max() >= n):
        raise ValueError(f"a kept index lies outside 0..{n - 1}, {_grid_in_words(geometry)}")
    chosen = np.zeros(n + 1, dtype=bool)
    chosen[indices] = True
    chosen[n] = False  # read by index -1 of `_token_ids`
    return chosen[_token_ids(geometry)]


def _grid_in_words(geometry: Geometry) -> str:
    """Describe the tokens of a frame for an error message."""
    more = f" and {geometry.n_global} of the whole frame" if geometry.n_global else ""
    return f"the {geometry.cells} tokens of a {geometry.rows} x {geometry.cols} grid{more}"


def _surround(canvas: Image.Image, geometry: Geometry, indices: Sequence[int] | Tensor) -> None:
    """Draw a line around all that the model saw, if a kept token stands for the whole frame."""
    if not (np.asarray(indices, dtype=int) >= geometry.cells).any() or min(canvas.size) < 32:
        return
    left, top, right, bottom = Image.fromarray(_token_ids(geometry) >= 0).getbbox()
    right -= 1
    bottom -= 1
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((left, top, right, bottom), outline=palette.OUTLINE, width=2)
    pen.rectangle((left + 2, top + 2, right - 2, bottom - 2), outline=palette.OUTLINE_EDGE)


def _outline(canvas: Image.Image, mask: np.ndarray) -> None:
    """Draw the border between kept and dropped pixels: a bright line inside, a dark one outside."""
    inner = mask & ~_erode(mask)
    outer = ~mask & ~_erode(~mask)
    if min(mask.shape) < 32:  # a few pixels across: a border would hide the picture itself
        return
    canvas.paste(palette.OUTLINE, mask=Image.fromarray((inner * 200).astype(np.uint8)))
    canvas.paste(palette.OUTLINE_EDGE, mask=Image.fromarray((outer * 200).astype(np.uint8)))


def _erode(mask: np.ndarray) -> np.ndarray:
    """Keep the pixels of a mask whose four neighbours are in it too, [height, width] bool."""
    padded = np.pad(mask, 1, mode="edge")
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
