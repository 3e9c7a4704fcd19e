"""Hold visual tokens and the places in the picture that they stand for.

T frames (or tiles), N tokens per frame, K kept in all, C vision width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Geometry:
    """Hold where the N = rows * cols + n_global visual tokens of one frame lie in the original image.

    Attributes:
        rows, cols: the grid in raster order; token n < rows * cols is cell n.
        box: (left, top, right, bottom) in pixels of the original image, fractions allowed: the area that the
            grid covers, which is what the processor's resize and crop left in view.
        image_size: (width, height) of the original in pixels.
        n_global: number of tokens behind those of the grid that stand for all of `box` and for no cell: 1
            where the family keeps a class token, otherwise 0.
        cell_edges: (columns, rows), each a sequence of (from, to) in pixels, left to right and top to bottom.
            Given for views put together from tiles, between which pixels are unread. None: the cells divide
            `box` evenly.
    """

    rows: int
    cols: int
    box: tuple[float, float, float, float]
    image_size: tuple[int, int]
    n_global: int = 0
    cell_edges: tuple[Sequence[tuple[float, float]], Sequence[tuple[float, float]]] | None = None

    @property
    def cells(self) -> int:
        """Count the tokens that have a cell of their own, rows * cols."""
        return self.rows * self.cols

    @property
    def spans(self) -> tuple[Tensor, Tensor]:
        """Return (from, to) in pixels of every column, [cols, 2], and of every row, [rows, 2], float64."""
        if self.cell_edges is not None:
            across, down = (torch.tensor(spans, dtype=torch.float64) for spans in self.cell_edges)
            return across, down
        left, top, right, bottom = self.box
        x = torch.linspace(left, right, self.cols + 1, dtype=torch.float64)
        y = torch.linspace(top, bottom, self.rows + 1, dtype=torch.float64)
        return torch.stack([x[:-1], x[1:]], dim=-1), torch.stack([y[:-1], y[1:]], dim=-1)

    def token_boxes(self) -> Tensor:
        """Return the pixel box of every token in the original image, [N, 4] as (left, top, right, bottom).

        The box of a global token is `box`.
        """
        columns, rows = self.spans
        # One row per cell in raster order: [rows * cols, 2] each.
        x = columns.repeat(self.rows, 1)
        y = rows.repeat_interleave(self.cols, dim=0)
        boxes = torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=-1).float()
        return torch.cat([boxes, boxes.new_tensor(self.box).expand(self.n_global, -1)])


@dataclass(frozen=True, eq=False)
class VisionTokens:
    """Hold the visual tokens that selection chooses from: frames of a clip, tiles of an image, or one image.

    A token has one flat index over all frames, t * N + n. Kept tokens are named by it everywhere.

    Attributes:
        features: [T, N, C] in the model's dtype, the input of the projector for each token.
        geometry: one Geometry per frame, length T.
        valid: [T, N] bool on the CPU, False where an entry of `features` is no token: padding of a tile that
            the family removes again, or the end of a frame with fewer tokens than N. None: all are tokens.
        attention: [T, N] float32, the attention of the encoder's class token to each token in the layer that
            made it, mean over the heads. None where the encoder has no class token, or where patches become
            tokens in a way that attention cannot follow.
    """

    features: Tensor
    geometry: tuple[Geometry, ...]
    valid: Tensor | None = None
    attention: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Return (T, N); entries that are no tokens count too."""
        return self.features.shape[0], self.features.shape[1]

    @property
    def counts(self) -> tuple[int, ...]:
        """Count the visual tokens of each frame, length T."""
        t, n = self.shape
        return (n,) * t if self.valid is None else tuple(self.valid.sum(-1).tolist())

    @property
    def n_tokens(self) -> int:
        """Count the visual tokens of all frames together."""
        return sum(self.counts)

    @property
    def all(self) -> Tensor:
        """Return the flat indices of all tokens, ascending, [n_tokens]."""
        t, n = self.shape
        return torch.arange(t * n) if self.valid is None else self.valid.flatten().nonzero()[:, 0]

    def take(self, kept: Tensor) -> Tensor:
        """Return the features of the tokens with the flat indices `kept`, [K] -> [K, C]."""
        return self.features.flatten(0, 1)[kept.to(self.features.device)]

    def per_frame(self, kept: Tensor) -> tuple[Tensor, ...]:
        """Split ascending flat indices into T tensors, one per frame, of indices 0..N-1 within the frame."""
        t, n = self.shape
        counts = torch.bincount(kept // n, minlength=t).tolist()
        return (kept % n).split(counts)


def concat_tokens(parts: Sequence[VisionTokens]) -> VisionTokens:
    """Concatenate the frames of several images or clips along T.

    Frames with fewer tokens than the largest N are padded with zeros, and `valid` is False there. Attention
    is kept only if every part has it.
    """
    if len(parts) == 1:
        return parts[0]
    n = max(part.shape[1] for part in parts)
    # Pad every part to n tokens per frame, then stack along the frames: [sum of T, n, ...].
    features = torch.cat([F.pad(p.features, (0, 0, 0, n - p.shape[1])) for p in parts])
    valid = None
    if any(part.valid is not None or part.shape[1] < n for part in parts):
        masks = [torch.ones(p.shape, dtype=torch.bool) if p.valid is None else p.valid for p in parts]
        valid = torch.cat([F.pad(mask, (0, n - mask.shape[1])) for mask in masks])
    attention = None
    if all(part.attention is not None for part in parts):
        attention = torch.cat([F.pad(p.attention, (0, n - p.shape[1])) for p in parts])
    geometry = tuple(place for part in parts for place in part.geometry)
    return VisionTokens(features, geometry, valid, attention)


def split_indices(kept: Tensor, parts: Sequence[VisionTokens]) -> list[Tensor]:
    """Split ascending flat indices into `concat_tokens(parts)` into flat indices of each part."""
    if len(parts) == 1:
        return [kept]
    n = max(part.shape[1] for part in parts)  # tokens per frame of the concatenation
    frames = kept // n
    start = 0  # the part's first frame in the concatenation
    indices_of_parts = []
    for n_frames, n_own in (part.shape for part in parts):
        of_part = kept[(frames >= start) & (frames < start + n_frames)]
        indices_of_parts.append((of_part // n - start) * n_own + of_part % n)
        start += n_frames
    return indices_of_parts
