"""Trace -> pictures. Only PIL and NumPy, no model.

marks    one frame: kept tokens bright and outlined, relevance as a heatmap
film     the frames of a clip (or the tiles of a still), each with its kept tokens
figure   one sheet for a file: pictures, captions, both answers
"""

from .figure import BOX, overlay
from .film import film, film_fps, shown_in
from .marks import HEAT, heatmap, kept

__all__ = ["BOX", "HEAT", "film", "film_fps", "heatmap", "kept", "overlay", "shown_in"]
