"""Show a run or a prune report in a notebook: the kept patches over the picture, and what was saved.

A Trace has the picture. A PruneReport has none, because `generate` gets processed pixels only; it shows the
grid of tokens, with kept tokens outlined, and brighter the more relevant they are.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

from ..pruning.report import PrunedImage, PruneReport
from ..tokens import Geometry
from ..trace import Trace

MOST_IMAGES = 6  # images of a report that are drawn; its sentence counts all
MOST_FRAMES = 8  # frames of a clip that are drawn
SIDE = 160  # CSS pixels, the longer side of one grid
KEPT, DROPPED = "#ffb000", "#444"


def trace_html(trace: Trace) -> str:
    """Draw the overlay of a run, or the grid of its tokens if it has no pictures, above one sentence."""
    if trace.frames:
        from .figure import overlay

        html = _picture(overlay(trace, trace.frames), f"Kept patches for: {trace.question}")
    else:
        kept = [set(frame.tolist()) for frame in trace.vision.per_frame(trace.kept)]
        html = _grids(trace.vision.geometry, kept, trace.selection.relevance)
    return f"<div>{html}<p>{escape(str(trace))}</p></div>"


def report_html(report: PruneReport) -> str:
    """Draw the grids of the first images of a report, below its sentence."""
    html = "".join(_image(image) for image in report.images[:MOST_IMAGES])
    if (more := len(report.images) - MOST_IMAGES) > 0:
        html += f"<p>and {more} more</p>"
    return f"<div><p>{escape(str(report))}</p>{html}</div>"


def _image(image: PrunedImage) -> str:
    """Draw the grids of one image of a report, with a caption; "" where its geometry is unknown."""
    if not image.geometry:
        return ""
    kept: list[set[int]] = [set() for _ in image.geometry]
    for flat in image.kept.tolist():
        kept[flat // image.width].add(flat % image.width)
    relevance = None
    if image.selection is not None and image.selection.relevance is not None:
        relevance = image.selection.relevance[image.first_frame :]
    title = f"call {image.call}, prompt {image.prompt}, {image.kind} {image.image}"
    caption = f"{title}: kept {len(image.kept)} of {image.n_tokens}"
    return f"<figure>{_grids(image.geometry, kept, relevance)}<figcaption>{caption}</figcaption></figure>"


def _grids(geometry: Sequence[Geometry], kept: Sequence[set[int]], relevance) -> str:
    """Draw one SVG per frame, up to MOST_FRAMES; `relevance` is [T, N] or None."""
    html = []
    for t, place in enumerate(geometry[:MOST_FRAMES]):
        values = None if relevance is None else relevance[t].tolist()
        html.append(_grid(place, kept[t], values))
    return "".join(html)


def _grid(place: Geometry, kept: set[int], values: list[float] | None) -> str:
    """Draw the grid of one frame as SVG, a unit square per token; `values` are its relevance."""
    known = [x for x in (values or [])[: place.cells] if x == x]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    cells = []
    for n in range(place.cells):
        value = values[n] if values else low
        light = 0.5
        if high > low and value == value:  # not NaN
            light = (value - low) / (high - low)
        row, column = divmod(n, place.cols)
        edge, fill = "", DROPPED
        if n in kept:
            edge = f' stroke="{KEPT}"'
            fill = f"rgb({', '.join([str(round(60 + 180 * light))] * 3)})"
        cells.append(f'<rect x="{column}" y="{row}" width="1" height="1" fill="{fill}"{edge}/>')
    scale = SIDE / max(place.rows, place.cols)
    size = f'width="{place.cols * scale:.0f}" height="{place.rows * scale:.0f}"'
    label = f"{len(kept)} of {place.cells + place.n_global} visual tokens kept"
    box = f'viewBox="0 0 {place.cols} {place.rows}" stroke-width="0.12"'
    return f'<svg {size} {box} role="img" aria-label="{label}" style="margin:2px">{"".join(cells)}</svg>'


def _picture(image, text: str) -> str:
    """Embed a picture in HTML, with `text` for those who cannot see it."""
    out = io.BytesIO()
    image.save(out, format="PNG")
    data = base64.b64encode(out.getvalue()).decode("ascii")
    return f'<img alt="{escape(text, quote=True)}" src="data:image/png;base64,{data}">'
