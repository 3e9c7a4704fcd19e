"""One sheet for a file: the pictures of a run, captions, the question and both answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..trace import Trace
from .film import film, picture_index, resize_to, scale_geometry
from .marks import heatmap
from .sheet import GAP, sheet

BOX = 448  # pixels, either way, that a still picture of the figure gets
COLUMNS = 4  # pictures of a clip beside each other, together as wide as two of a still
SMALL = (2 * BOX + GAP - (COLUMNS - 1) * GAP) // COLUMNS


def overlay(trace: Trace, image: Image.Image | Sequence[Image.Image]) -> Image.Image:
    """One figure: kept tokens and relevance, captions and both answers below.

    Of a still they stand side by side, each scaled, its shape kept, to fit a box of BOX x BOX pixels. Of a
    clip, or of a still that was read in tiles, there is a film strip: COLUMNS frames in a row, each with its
    number of kept tokens, and their relevance below them, on one scale. Long text is wrapped, and cut after
    three lines.

    Args:
        trace: the run.
        image: its original picture, or the frames of its clip.
    """
    images = [image] if isinstance(image, Image.Image) else list(image)
    t, n, k = len(trace.vision.geometry), trace.vision.n_tokens, len(trace.kept)
    side = BOX if t == 1 else SMALL
    chosen = film(images, trace.vision, trace.kept, side)
    told = f"Kept {k} of {n} tokens: {trace.config.rule}{_whole_kept(trace)}"
    warm, heat_told = _heatmaps(trace, images, side)
    lines = [
        f"Question: {trace.question}",
        f"All {n} tokens: {trace.full.text}",
        f"{k} tokens: {trace.pruned.text}",
    ]
    if t == 1:
        captions = [told, *([heat_told] if warm else [])]
        return sheet([list(zip([*chosen, *warm], captions, strict=True))], BOX, lines)
    rows, labels = [], _labels(trace, len(images))
    for start in range(0, t, COLUMNS):
        part = slice(start, start + COLUMNS)
        rows.append(list(zip(chosen[part], labels[part], strict=True)))
        if warm:
            rows.append([(picture, "") for picture in warm[part]])
    told = told.replace(" tokens:", f" tokens in {t} {'frames' if len(images) > 1 else 'views'}:", 1)
    return sheet(rows, SMALL, [told, *([heat_told] if warm else []), *lines])


def _heatmaps(trace: Trace, images: list[Image.Image], side: int) -> tuple[list[Image.Image], str]:
    """Relevance of every frame on one scale, and the sentence about it; nothing where there is none."""
    if trace.selection.relevance is None:
        return [], ""
    vision, relevance = trace.vision, trace.selection.relevance.float().cpu().numpy()
    values = [
        row[: place.cells + place.n_global] for row, place in zip(relevance, vision.geometry, strict=True)
    ]
    cells = [row[: place.cells] for row, place in zip(values, vision.geometry, strict=True)]
    low, high = (float(edge(np.concatenate(cells))) for edge in (np.nanmin, np.nanmax))
    shown = [resize_to(image, side) for image in images]
    made = []
    mine = zip(
        vision.geometry,
        values,
        picture_index(len(images), vision),
        vision.per_frame(trace.kept),
        strict=True,
    )
    for place, row, i, indices in mine:
        made.append(heatmap(shown[i], scale_geometry(place, shown[i].size), row, indices, (low, high)))
    said = f"Relevance to the question, {low:.2f} to {high:.2f} ({trace.query.name})"
    of_all = [f"{x:.2f}" for row, c in zip(values, cells, strict=True) for x in row[len(c) :]]
    if of_all:
        said += f". That of the whole frame: {', '.join(of_all)}"
    return made, said


def _whole_kept(trace: Trace) -> str:
    """How many of the kept tokens have no place, as a sentence."""
    each = zip(trace.vision.per_frame(trace.kept), trace.vision.geometry, strict=True)
    count = sum(int((mine >= place.cells).sum()) for mine, place in each)
    if not count:
        return ""
    which = "One of them stands" if count == 1 else f"{count} of them stand"
    return f". {which} for the whole frame: the line around it"


def _labels(trace: Trace, pictures: int) -> list[str]:
    """Of every frame: when it is shown, or its number, and how many of its tokens were kept."""
    kept = map(len, trace.vision.per_frame(trace.kept))
    if trace.seconds:
        names = [f"{trace.seconds[i]:.1f} s" for i in picture_index(pictures, trace.vision)]
    else:
        names = [str(i + 1) for i in range(len(trace.vision.geometry))]
    each = zip(names, kept, trace.vision.counts, strict=True)
    return [f"{name}: {k} of {n}" for name, k, n in each]
