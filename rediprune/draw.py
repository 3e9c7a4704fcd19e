"""Trace -> pictures: kept tokens bright, relevance as a heatmap, both side by side for files. Only PIL."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from . import palette
from .trace import Geometry, Trace

HEAT = 0.62  # share of the ramp over the grey picture: enough to read the value and still see the object


def kept(image: Image.Image, geometry: Geometry, kept_indices: Sequence[int] | Tensor) -> Image.Image:
    """The picture with the K kept patches as they are and everything else dimmed.

    Args:
        image: the original, its size equal to geometry.image_size.
        geometry: where the tokens of this frame lie.
        kept_indices: [K] token indices in raster order of the grid, any order.

    Returns:
        RGB picture of the original's size. What lies outside geometry.box (unseen by the model) is dimmed.

    Raises:
        ValueError: an index outside the grid, or an image of another size than the geometry speaks of.
    """
    image = _checked(image, geometry)
    mask = _token_mask(geometry, kept_indices)
    pixels = np.where(mask[..., None], np.asarray(image), _dimmed(image))
    canvas = Image.fromarray(pixels.astype(np.uint8))
    _outline(canvas, mask)
    return canvas


def heatmap(
    image: Image.Image,
    geometry: Geometry,
    values: Sequence[float] | Tensor,
    kept_indices: Sequence[int] | Tensor | None = None,
) -> Image.Image:
    """The picture in grey under the ramp's colours: dark blue is the frame's lowest value, yellow the top.

    Args:
        image, geometry: as for `kept`.
        values: [N], one finite number per token (relevance).
        kept_indices: [K], outlined if given.

    Raises:
        ValueError: another number of values than tokens, a value that is not finite, or as for `kept`.
    """
    image = _checked(image, geometry)
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    n = geometry.rows * geometry.cols
    if values.size != n:
        raise ValueError(
            f"heatmap got {values.size} values for a grid of {geometry.rows} x {geometry.cols} = {n} tokens"
        )
    if not np.isfinite(values).all():
        raise ValueError("heatmap got a value that is not finite (NaN or infinity)")
    low, high = values.min(), values.max()
    colours = palette.ramp((values - low) / (high - low) if high > low else np.full(n, 0.5))
    ids = _token_ids(geometry)
    grey = np.asarray(image.convert("L"), dtype=np.float64)[..., None].repeat(3, -1)
    heated = (1 - HEAT) * grey + HEAT * colours[ids.clip(0)]
    pixels = np.where((ids >= 0)[..., None], heated, _dimmed(image))
    canvas = Image.fromarray(pixels.round().astype(np.uint8))
    if kept_indices is not None:
        _outline(canvas, _token_mask(geometry, kept_indices))
    return canvas


def overlay(trace: Trace, image: Image.Image, frame: int = 0) -> Image.Image:
    """One figure for a file: kept tokens and relevance side by side, captions and both answers below.

    Args:
        trace: the run.
        image: the original picture of `frame`.
        frame: which of the T frames.
    """
    geometry = trace.vision.geometry[frame]
    indices = trace.kept[frame]
    n, k = geometry.rows * geometry.cols, len(indices)
    panels = [_fit(kept(image, geometry, indices), 448)]
    captions = [f"Kept {k} of {n} tokens: {trace.config.rule}"]
    if trace.selection.relevance is not None:
        relevance = trace.selection.relevance[frame].float().cpu()
        panels.append(_fit(heatmap(image, geometry, relevance, indices), 448))
        captions.append(
            f"Relevance to the question, {relevance.min():.2f} to {relevance.max():.2f} ({trace.query.name})"
        )
    lines = [f"Q  {trace.question}", f"All {n} tokens  {trace.full.text}", f"{k} tokens  {trace.pruned.text}"]
    return _figure(panels, captions, lines)


def _figure(panels: list[Image.Image], captions: list[str], lines: list[str]) -> Image.Image:
    gap, font = 16, ImageFont.load_default(size=15)
    width = sum(p.width for p in panels) + gap * (len(panels) + 1)
    height = max(p.height for p in panels)
    sheet = Image.new("RGB", (width, height + 3 * gap + 24 * (len(lines) + 1)), "white")
    pen, x = ImageDraw.Draw(sheet), gap
    for panel, caption in zip(panels, captions, strict=True):
        sheet.paste(panel, (x, gap))
        pen.text((x, gap + height + 6), _clip(caption, font, panel.width), fill="#11161d", font=font)
        x += panel.width + gap
    for row, line in enumerate(lines):
        at = (gap, 2 * gap + height + 24 * (row + 1))
        pen.text(at, _clip(line, font, width - 2 * gap), fill="#11161d", font=font)
    return sheet


def _clip(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    text = " ".join(text.split())
    if font.getlength(text[:400]) <= width and len(text) <= 400:
        return text
    text = text[:400]
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def _fit(image: Image.Image, height: int) -> Image.Image:
    size = (max(1, round(image.width * height / image.height)), height)
    return image.resize(size, Image.Resampling.LANCZOS)


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
    """Which token covers each pixel centre, [height, width] int; -1 outside the box that the model saw."""
    width, height = geometry.image_size
    left, top, right, bottom = geometry.box
    col = np.floor((np.arange(width) + 0.5 - left) / (right - left) * geometry.cols).astype(int)
    row = np.floor((np.arange(height) + 0.5 - top) / (bottom - top) * geometry.rows).astype(int)
    inside = ((row >= 0) & (row < geometry.rows))[:, None] & ((col >= 0) & (col < geometry.cols))[None]
    return np.where(inside, row[:, None] * geometry.cols + col[None], -1)


def _token_mask(geometry: Geometry, indices: Sequence[int] | Tensor) -> np.ndarray:
    """Pixels of the given tokens, [height, width] bool."""
    n = geometry.rows * geometry.cols
    indices = np.asarray(indices, dtype=int).reshape(-1)
    if indices.size and (indices.min() < 0 or indices.max() >= n):
        raise ValueError(
            f"a kept index lies outside 0..{n - 1}, the tokens of a {geometry.rows} x {geometry.cols} grid"
        )
    chosen = np.zeros(n + 1, dtype=bool)
    chosen[indices] = True
    chosen[n] = False  # index -1 of `_token_ids` lands here
    return chosen[_token_ids(geometry)]


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
