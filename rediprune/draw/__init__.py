"""Draw the pictures of a run with PIL and NumPy, without a model.

marks     one frame: kept tokens bright and outlined, or relevance as a heatmap
film      the frames of a clip, or the tiles of a still, each with its kept tokens
picking   the selection pick by pick: as a film, or a few moments of it on a sheet
sheet     pictures in rows, captions and lines of text
figure    one sheet for a file: pictures, captions, both answers
notebook  a run or a report as HTML
palette   the colours
"""

from .figure import BOX, overlay
from .film import film, film_fps, picture_index
from .marks import HEAT, heatmap, mark_kept
from .picking import PICKING_FPS, picking, picking_sheet

__all__ = [
    "BOX",
    "HEAT",
    "PICKING_FPS",
    "film",
    "film_fps",
    "heatmap",
    "mark_kept",
    "overlay",
    "picking",
    "picking_sheet",
    "picture_index",
]
