"""One frame: kept tokens bright and outlined, everything else dimmed, or relevance as a heatmap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from ..tokens import Geometry
from . import palette

HEAT = 0.62  # share of the ramp over the grey picture: enough to read the value and still see the object


def mark_kept(image: Image.Image, geometry: Geometry, kept_indices: Sequence[int] | Tensor) -> Image.Image:
    """The picture with the K kept patches as they are and everything else dimmed.

    Args:
        image: the original, its size equal to geometry.image_size.
        geometry: where the tokens of this frame lie.
        kept_indices: [K] token indices of this frame, 0..N-1, any order.

    Returns:
        RGB picture of the original's size. What lies outside geometry.box (unseen by the model) is dimmed. A
        kept token of no place (geometry.n_global) brightens nothing: it is a line around all that was seen.

    Raises:
        ValueError: an index outside the grid, or an image of another size than the geometry speaks of.
    """
    image = _checked(image, geometry)
    mask = _token_mask(geometry, kept_indices)
    pixels = np.where(mask[..., None], np.asarray(image), _dimmed(image))
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
    """The picture in grey under the ramp's colours: dark blue is the lowest value, yellow the highest.

    Args:
        image, geometry: as for `mark_kept`.
        values: [N], one number per token (relevance), NaN where there is none: it stays grey. Those of tokens
            of no place are not shown.
        kept_indices: [K], outlined if given.
        span: (lowest, highest) of the scale, for frames that share one; None: those of the values.

    Raises:
        ValueError: another number of values than tokens, an infinite or no value, or as for `mark_kept`.
    """
    image = _checked(image, geometry)
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    n = geometry.cells
    if values.size != n + geometry.n_global:
        raise ValueError(f"heatmap got {values.size} values for {_grid_in_words(geometry)}")
    values = values[:n]
    if np.isinf(values).any() or np.isnan(values).all():
        raise ValueError("heatmap got a value that is not finite, or no value at all")
    low, high = span or (np.nanmin(values), np.nanmax(values))
    known = np.where(np.isnan(values), low, values)
    colours = palette.ramp((known - low) / (high - low) if high > low else np.full(n, 0.5))
    ids = _token_ids(geometry)
    grey = np.asarray(image.convert("L"), dtype=np.float64)[..., None].repeat(3, -1)
    heated = (1 - HEAT) * grey + HEAT * colours[ids.clip(0)]
    pixels = np.where(((ids >= 0) & ~np.isnan(values)[ids.clip(0)])[..., None], heated, _dimmed(image))
    canvas = Image.fromarray(pixels.round().astype(np.uint8))
    if kept_indices is not None:
        _outline(canvas, _token_mask(geometry, kept_indices))
        _surround(canvas, geometry, kept_indices)
    return canvas


def _checked(image: Image.Image, geometry: Geometry) -> Image.Image:
    if image.size != geometry.image_size:
        raise ValueError(
            f"the image is {image.size} pixels but its geometry was made for {geometry.image_size}"
        )
    return image.convert("RGB")


def _dimmed(image: Image.Image) -> np.ndarray:
    grey = np.asarray(image.convert("L"), dtype=np.float64) * (1 - palette.DIM)
    return grey.round().astype(np.uint8)[..., None].repeat(3, -1)


def _token_ids(geometry: Geometry) -> np.ndarray:
    """Which token covers each pixel centre, [height, width] int; -1 where the model saw nothing."""
    (col, across), (row, down) = (
        _covering(spans.numpy(), size)
        for spans, size in zip(geometry.spans, geometry.image_size, strict=True)
    )
    return np.where(down[:, None] & across[None], row[:, None] * geometry.cols + col[None], -1)


def _covering(spans: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(the last span that begins left of each pixel's centre, whether that centre lies inside it), [size]."""
    centre = np.arange(size) + 0.5
    which = np.searchsorted(spans[:, 0], centre, side="right") - 1
    return which, (which >= 0) & (centre < spans[which, 1])


def _token_mask(geometry: Geometry, indices: Sequence[int] | Tensor) -> np.ndarray:
    """Pixels of the given tokens as far as they have a place, [height, width] bool."""
    n = geometry.cells + geometry.n_global
    indices = np.asarray(indices, dtype=int).reshape(-1)
    if indices.size and (indices.min() < 0 or indices.max() >= n):
        raise ValueError(f"a kept index lies outside 0..{n - 1}, {_grid_in_words(geometry)}")
    chosen = np.zeros(n + 1, dtype=bool)
    chosen[indices] = True
    chosen[n] = False  # index -1 of `_token_ids` lands here
    return chosen[_token_ids(geometry)]


def _grid_in_words(geometry: Geometry) -> str:
    more = f" and {geometry.n_global} of the whole frame" if geometry.n_global else ""
    return f"the {geometry.cells} tokens of a {geometry.rows} x {geometry.cols} grid{more}"


def _surround(canvas: Image.Image, geometry: Geometry, indices: Sequence[int] | Tensor) -> None:
    """Where a kept token stands for the whole frame: a line around all that the model saw of it."""
    if not (np.asarray(indices, dtype=int) >= geometry.cells).any() or min(canvas.size) < 32:
        return
    seen = Image.fromarray(_token_ids(geometry) >= 0).getbbox()
    left, top, right, bottom = seen[0], seen[1], seen[2] - 1, seen[3] - 1
    pen = ImageDraw.Draw(canvas)
    pen.rectangle((left, top, right, bottom), outline=palette.OUTLINE, width=2)
    pen.rectangle((left + 2, top + 2, right - 2, bottom - 2), outline=palette.OUTLINE_EDGE)


def _outline(canvas: Image.Image, mask: np.ndarray) -> None:
    """Draw the border between kept and dropped pixels: a bright line inside, a dark one outside."""
    inner = mask & ~_eroded(mask)
    outer = ~mask & ~_eroded(~mask)
    if min(mask.shape) < 32:  # a few pixels across: a border would hide the picture itself
        return
    canvas.paste(palette.OUTLINE, mask=Image.fromarray((inner * 200).astype(np.uint8)))
    canvas.paste(palette.OUTLINE_EDGE, mask=Image.fromarray((outer * 200).astype(np.uint8)))


def _eroded(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1, mode="edge")
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
