"""Draw the frames of a clip, or the tiles of a still, each with its kept tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PIL import Image
from torch import Tensor

from ..tokens import Geometry, VisionTokens
from .marks import mark_kept

LEAST_FPS, MOST_FPS = 2.0, 30.0  # slower looks like a still, faster cannot be followed


def film(
    images: Sequence[Image.Image], vision: VisionTokens, indices: Tensor, side: int
) -> list[Image.Image]:
    """Draw every frame with its kept tokens outlined and everything else dimmed.

    Args:
        images: the pictures that the tokens were read from, in order (see `picture_index`).
        vision: T frames or tiles.
        indices: [K] flat indices of the kept tokens, ascending.
        side: the longer side of the result, in pixels; drawn at this size, so that outlines are sharp.

    Returns:
        T pictures.
    """
    pictures = [resize_to(image, side) for image in images]
    source = picture_index(len(images), vision)
    marked = []
    for place, i, of_frame in zip(vision.geometry, source, vision.per_frame(indices), strict=True):
        marked.append(mark_kept(pictures[i], scale_geometry(place, pictures[i].size), of_frame))
    return marked


def picture_index(pictures: int, vision: VisionTokens) -> tuple[int, ...]:
    """Return the index of the picture that each frame's tokens were read from, length T.

    Each frame has its own picture; the first of two where an encoder reads frames in pairs; tiles share one.
    """
    t = vision.shape[0]
    if t >= pictures:
        return tuple(i * pictures // t for i in range(t))
    step = -(-pictures // t)  # rounded up
    return tuple(i * step for i in range(t))


def film_fps(seconds: Sequence[float]) -> float:
    """Return the frames per second at which frames of these times take as long as they did, within limits."""
    if len(seconds) < 2 or seconds[-1] <= seconds[0]:
        return LEAST_FPS
    return min(MOST_FPS, max(LEAST_FPS, (len(seconds) - 1) / (seconds[-1] - seconds[0])))


def resize_to(image: Image.Image, side: int) -> Image.Image:
    """Resize to a longer side of `side` pixels in the same proportion."""
    scale = side / max(image.size)
    return image.resize([max(1, round(edge * scale)) for edge in image.size], Image.Resampling.LANCZOS)


def scale_geometry(place: Geometry, size: tuple[int, int]) -> Geometry:
    """Convert a geometry to a copy of the picture of `size` (width, height)."""
    across, down = (new / old for new, old in zip(size, place.image_size, strict=True))
    left, top, right, bottom = place.box
    box = (left * across, top * down, right * across, bottom * down)
    cell_edges = None
    if place.cell_edges is not None:
        cols, rows = place.cell_edges
        cell_edges = (
            tuple((a * across, b * across) for a, b in cols),
            tuple((a * down, b * down) for a, b in rows),
        )
    return replace(place, box=box, image_size=(size[0], size[1]), cell_edges=cell_edges)
