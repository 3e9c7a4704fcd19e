"""Trace -> pictures: kept tokens bright, relevance as a heatmap, both side by side for files. Only PIL."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from . import palette
from .trace import Geometry, Trace

HEAT = 0.62  # share of the ramp over the grey picture: enough to read the value and still see the object
BOX = 448  # pixels, either way, that a picture of the figure gets


def kept(image: Image.Image, geometry: Geometry, kept_indices: Sequence[int] | Tensor) -> Image.Image:
    """The picture with the K kept patches as they are and everything else dimmed.

    Args:
        image: the original, its size equal to geometry.image_size.
        geometry: where the tokens of this frame lie.
        kept_indices: [K] token indices of this frame, 0..N-1, any order.

    Returns:
        RGB picture of the original's size. What lies outside geometry.box (unseen by the model) is dimmed. A
        kept token of no place (geometry.whole) brightens nothing: it is a line around all that was seen.

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
) -> Image.Image:
    """The picture in grey under the ramp's colours: dark blue is the frame's lowest value, yellow the top.

    Args:
        image, geometry: as for `kept`.
        values: [N], one finite number per token (relevance); those of tokens of no place are not shown.
        kept_indices: [K], outlined if given.

    Raises:
        ValueError: another number of values than tokens, a value that is not finite, or as for `kept`.
    """
    image = _checked(image, geometry)
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    n = geometry.cells
    if values.size != n + geometry.whole:
        raise ValueError(f"heatmap got {values.size} values for {_grid_in_words(geometry)}")
    if not np.isfinite(values).all():
        raise ValueError("heatmap got a value that is not finite (NaN or infinity)")
    values = values[:n]
    low, high = values.min(), values.max()
    colours = palette.ramp((values - low) / (high - low) if high > low else np.full(n, 0.5))
    ids = _token_ids(geometry)
    grey = np.asarray(image.convert("L"), dtype=np.float64)[..., None].repeat(3, -1)
    heated = (1 - HEAT) * grey + HEAT * colours[ids.clip(0)]
    pixels = np.where((ids >= 0)[..., None], heated, _dimmed(image))
    canvas = Image.fromarray(pixels.round().astype(np.uint8))
    if kept_indices is not None:
        _outline(canvas, _token_mask(geometry, kept_indices))
        _surround(canvas, geometry, kept_indices)
    return canvas


def overlay(trace: Trace, image: Image.Image) -> Image.Image:
    """One figure for a file: kept tokens and relevance side by side, captions and both answers below.

    Every picture is scaled, its shape kept, to fit a box of BOX x BOX pixels; the sheet is one or two such
    boxes wide, whatever the picture's shape. Long text is wrapped, and cut after three lines.

    Args:
        trace: the run, of one image.
        image: its original picture.
    """
    (geometry,), indices = trace.vision.geometry, trace.kept
    n, k = geometry.cells + geometry.whole, len(indices)
    panels = [kept(image, geometry, indices)]
    captions = [f"Kept {k} of {n} tokens: {trace.config.rule}"]
    if (indices >= geometry.cells).any():
        captions[0] += ". One of them stands for the whole frame: the line around it"
    if trace.selection.relevance is not None:
        relevance = trace.selection.relevance[0].float().cpu()
        panels.append(heatmap(image, geometry, relevance, indices))
        shown = relevance[: geometry.cells]
        captions.append(
            f"Relevance to the question, {shown.min():.2f} to {shown.max():.2f} ({trace.query.name})"
        )
        if geometry.whole:
            captions[1] += f". That of the whole frame: {relevance[geometry.cells]:.2f}"
    lines = [
        f"Question: {trace.question}",
        f"All {n} tokens: {trace.full.text}",
        f"{k} tokens: {trace.pruned.text}",
    ]
    return _figure([_fit(panel) for panel in panels], captions, lines)


def _figure(panels: list[Image.Image], captions: list[str], lines: list[str]) -> Image.Image:
    gap, leading, font = 16, 22, ImageFont.load_default(size=15)
    width = len(panels) * (BOX + gap) + gap
    below = [_wrapped(caption, font, BOX) for caption in captions]
    said = [row for line in lines for row in _wrapped(line, font, width - 2 * gap)]
    text_top = gap + max(panel.height for panel in panels) + 6
    said_top = text_top + leading * max(map(len, below)) + gap
    sheet = Image.new("RGB", (width, said_top + leading * len(said) + gap), palette.PAPER)
    pen = ImageDraw.Draw(sheet)

    def write(rows: list[str], x: int, y: int) -> None:
        for row, text in enumerate(rows):
            pen.text((x, y + leading * row), text, fill=palette.INK, font=font)

    for i, (panel, rows) in enumerate(zip(panels, below, strict=True)):
        sheet.paste(panel, (gap + i * (BOX + gap), gap))
        write(rows, gap + i * (BOX + gap), text_top)
    write(said, gap, said_top)
    return sheet


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int, most: int = 3) -> list[str]:
    """At most `most` lines, none wider than `width` pixels, broken at spaces where there are any."""
    text, rows = " ".join(text.split()), []
    while text and len(rows) < most:
        # Measured from the left and never the whole text, which may be a book.
        fits = next((i for i in range(len(text)) if font.getlength(text[: i + 1]) > width), len(text))
        space = text.rfind(" ", 0, fits + 1) if fits < len(text) else -1
        end = space if space > 0 else max(1, fits)
        row, text = text[:end], text[end:].lstrip()
        rows.append(row)
    if text:
        while rows[-1] and font.getlength(rows[-1] + "…") > width:
            rows[-1] = rows[-1][:-1]
        rows[-1] += "…"
    return rows


def _fit(image: Image.Image) -> Image.Image:
    scale = BOX / max(image.size)
    return image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)


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
    n = geometry.cells + geometry.whole
    indices = np.asarray(indices, dtype=int).reshape(-1)
    if indices.size and (indices.min() < 0 or indices.max() >= n):
        raise ValueError(f"a kept index lies outside 0..{n - 1}, {_grid_in_words(geometry)}")
    chosen = np.zeros(n + 1, dtype=bool)
    chosen[indices] = True
    chosen[n] = False  # index -1 of `_token_ids` lands here
    return chosen[_token_ids(geometry)]


def _grid_in_words(geometry: Geometry) -> str:
    more = f" and {geometry.whole} of the whole frame" if geometry.whole else ""
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
