"""Draw one sheet for a file: the pictures of a run, captions, the question and both answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..trace import Trace
from .film import film, picture_index, resize_to, scale_geometry
from .marks import heatmap
from .sheet import GAP, sheet

BOX = 448  # pixels: the longer side of a still picture in the figure
COLUMNS = 4  # pictures of a clip in one row, together as wide as two pictures of a still
SMALL = (2 * BOX + GAP - (COLUMNS - 1) * GAP) // COLUMNS


def overlay(trace: Trace, image: Image.Image | Sequence[Image.Image]) -> Image.Image:
    """Draw the kept tokens and their relevance, with captions and both answers below.

    For a still both pictures are side by side, each scaled to fit a box of BOX x BOX pixels. For a clip, or a
    still that was read in tiles, there are COLUMNS frames in a row, each with its number of kept tokens, and
    below each row its relevance, on one scale. Long text is wrapped, and cut after three lines.

    Args:
        trace: the run.
        image: its original picture, or the frames of its clip.
    """
    images = [image] if isinstance(image, Image.Image) else list(image)
    t = len(trace.vision.geometry)
    n = trace.vision.n_tokens
    k = len(trace.kept)
    side = BOX if t == 1 else SMALL
    marked = film(images, trace.vision, trace.kept, side)
    caption = f"Kept {k} of {n} tokens: {trace.config.rule}{_global_tokens_sentence(trace)}"
    heatmaps, heat_caption = _heatmaps(trace, images, side)
    captions = [caption, heat_caption] if heatmaps else [caption]
    lines = [
        f"Question: {trace.question}",
        f"All {n} tokens: {trace.full.text}",
        f"{k} tokens: {trace.pruned.text}",
    ]
    if t == 1:
        return sheet([list(zip([*marked, *heatmaps], captions, strict=True))], BOX, lines)
    labels = _labels(trace, len(images))
    rows = []
    for start in range(0, t, COLUMNS):
        part = slice(start, start + COLUMNS)
        rows.append(list(zip(marked[part], labels[part], strict=True)))
        if heatmaps:
            rows.append([(picture, "") for picture in heatmaps[part]])
    unit = "frames" if len(images) > 1 else "views"
    captions[0] = caption.replace(" tokens:", f" tokens in {t} {unit}:", 1)
    return sheet(rows, SMALL, [*captions, *lines])


def _heatmaps(trace: Trace, images: list[Image.Image], side: int) -> tuple[list[Image.Image], str]:
    """Draw the relevance of every frame on one scale; return the heatmaps and a caption, or [] and ""."""
    if trace.selection.relevance is None:
        return [], ""
    vision = trace.vision
    relevance = trace.selection.relevance.float().cpu().numpy()
    values = [
        row[: place.cells + place.n_global] for row, place in zip(relevance, vision.geometry, strict=True)
    ]
    cells = [row[: place.cells] for row, place in zip(values, vision.geometry, strict=True)]
    low, high = (float(edge(np.concatenate(cells))) for edge in (np.nanmin, np.nanmax))
    pictures = [resize_to(image, side) for image in images]
    heatmaps = []
    frames = zip(
        vision.geometry,
        values,
        picture_index(len(images), vision),
        vision.per_frame(trace.kept),
        strict=True,
    )
    for place, row, i, indices in frames:
        place = scale_geometry(place, pictures[i].size)
        heatmaps.append(heatmap(pictures[i], place, row, indices, (low, high)))
    caption = f"Relevance to the question, {low:.2f} to {high:.2f} ({trace.query.name})"
    of_global_tokens = [f"{x:.2f}" for row, c in zip(values, cells, strict=True) for x in row[len(c) :]]
    if of_global_tokens:
        caption += f". Relevance of the whole frame: {', '.join(of_global_tokens)}"
    return heatmaps, caption


def _global_tokens_sentence(trace: Trace) -> str:
    """Say how many of the kept tokens stand for the whole frame; "" where none does."""
    each = zip(trace.vision.per_frame(trace.kept), trace.vision.geometry, strict=True)
    count = sum(int((mine >= place.cells).sum()) for mine, place in each)
    if not count:
        return ""
    which = "One of them stands" if count == 1 else f"{count} of them stand"
    return f". {which} for the whole frame: the line around it"


def _labels(trace: Trace, pictures: int) -> list[str]:
    """Label every frame with its time or its number, and with how many of its tokens were kept."""
    kept = map(len, trace.vision.per_frame(trace.kept))
    if trace.seconds:
        names = [f"{trace.seconds[i]:.1f} s" for i in picture_index(pictures, trace.vision)]
    else:
        names = [str(i + 1) for i in range(len(trace.vision.geometry))]
    each = zip(names, kept, trace.vision.counts, strict=True)
    return [f"{name}: {k} of {n}" for name, k, n in each]
