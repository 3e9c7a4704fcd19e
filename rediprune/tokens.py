"""Visual tokens: what they hold and where they lie in the picture. T frames (or tiles), N tokens per frame,
K kept in all, C vision width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Geometry:
    """Where the N = rows * cols + whole visual tokens of one frame lie in the original image.

    Attributes:
        rows, cols: the grid, raster order: token n < rows * cols is cell n.
        box: (left, top, right, bottom) in pixels of the original image, the area that the grid covers
            (what the processor's resize and crop left in view); may have fractions.
        image_size: (width, height) of the original in pixels.
        whole: how many tokens come behind the grid that each stand for all of `box` and for no place in it:
            a class token that the family leaves in.
        uneven: (from, to) in pixels of every column, left to right, and of every row, top to bottom, where
            they are not `box` divided evenly: views laid together of tiles, between which pixels are unread.
    """

    rows: int
    cols: int
    box: tuple[float, float, float, float]
    image_size: tuple[int, int]
    n_global: int = 0
    cell_edges: tuple[Sequence[tuple[float, float]], Sequence[tuple[float, float]]] | None = None

    @property
    def cells(self) -> int:
        """Tokens that have a place of their own, rows * cols."""
        return self.rows * self.cols

    @property
    def spans(self) -> tuple[Tensor, Tensor]:
        """(from, to) in pixels of every column [cols, 2] and of every row [rows, 2], float64."""
        if self.cell_edges is not None:
            across, down = (torch.tensor(spans, dtype=torch.float64) for spans in self.cell_edges)
            return across, down
        left, top, right, bottom = self.box
        x = torch.linspace(left, right, self.cols + 1, dtype=torch.float64)
        y = torch.linspace(top, bottom, self.rows + 1, dtype=torch.float64)
        return torch.stack([x[:-1], x[1:]], dim=-1), torch.stack([y[:-1], y[1:]], dim=-1)

    def token_boxes(self) -> Tensor:
        """Pixel box of every token in the original image, [N, 4] as (left, top, right, bottom).

        That of a token of the whole is `box`.
        """
        x, y = self.spans
        x, y = x.repeat(self.rows, 1), y.repeat_interleave(self.cols, dim=0)
        boxes = torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=-1).float()
        return torch.cat([boxes, boxes.new_tensor(self.box).expand(self.n_global, -1)])


@dataclass(frozen=True, eq=False)
class VisionTokens:
    """The visual tokens that selection chooses from: T frames of a clip, tiles of an image, or a still image.

    A token has one flat index over all frames, t * N + n; that is how kept tokens are named everywhere.

    Attributes:
        features: [T, N, C] in the model's dtype, what the projector would receive for each token.
        geometry: one Geometry per frame, length T.
        present: [T, N] bool on the CPU, False where there is no token: a tile whose padding the family takes
            off again, or a frame with fewer tokens than its neighbours. None means that all are there.
        attention: [T, N] float32, how much the encoder's class token attends to each token in the layer that
            made it, mean over the heads. None where the encoder has no class token, or where its patches
            have become tokens in a way that says nothing of their attention.
    """

    features: Tensor
    geometry: tuple[Geometry, ...]
    valid: Tensor | None = None
    attention: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(T, N), the tokens that are not present included."""
        return self.features.shape[0], self.features.shape[1]

    @property
    def counts(self) -> tuple[int, ...]:
        """How many visual tokens there are in each frame, length T."""
        t, n = self.shape
        return (n,) * t if self.valid is None else tuple(self.valid.sum(-1).tolist())

    @property
    def n_tokens(self) -> int:
        """How many visual tokens there are in all frames together."""
        return sum(self.counts)

    @property
    def all(self) -> Tensor:
        """Flat indices of every token, ascending, [n_tokens]."""
        t, n = self.shape
        return torch.arange(t * n) if self.valid is None else self.valid.flatten().nonzero()[:, 0]

    def take(self, kept: Tensor) -> Tensor:
        """Features of the tokens with these flat indices, [K] -> [K, C]."""
        return self.features.flatten(0, 1)[kept.to(self.features.device)]

    def per_frame(self, kept: Tensor) -> tuple[Tensor, ...]:
        """Flat indices, ascending, as one tensor of indices 0..N-1 for each of the T frames."""
        t, n = self.shape
        counts = torch.bincount(kept // n, minlength=t).tolist()
        return (kept % n).split(counts)


def concat_tokens(parts: Sequence[VisionTokens]) -> VisionTokens:
    """The frames of several images or clips, one behind the other; too few tokens are filled up as absent."""
    if len(parts) == 1:
        return parts[0]
    n = max(part.shape[1] for part in parts)
    features = torch.cat([F.pad(p.features, (0, 0, 0, n - p.shape[1])) for p in parts])
    present = None
    if any(part.valid is not None or part.shape[1] < n for part in parts):
        given = (torch.ones(p.shape, dtype=torch.bool) if p.valid is None else p.valid for p in parts)
        present = torch.cat([F.pad(there, (0, n - there.shape[1])) for there in given])
    attention = None
    if all(part.attention is not None for part in parts):
        attention = torch.cat([F.pad(p.attention, (0, n - p.shape[1])) for p in parts])
    return VisionTokens(features, tuple(g for part in parts for g in part.geometry), present, attention)


def split_indices(kept: Tensor, parts: Sequence[VisionTokens]) -> list[Tensor]:
    """Flat indices, ascending, into `concat_tokens(parts)` as flat indices into each part: the way back."""
    if len(parts) == 1:
        return [kept]
    n, start, found = max(part.shape[1] for part in parts), 0, []
    for t, own in (part.shape for part in parts):
        frames = kept // n
        mine = kept[(frames >= start) & (frames < start + t)]
        found.append((mine // n - start) * own + mine % n)
        start += t
    return found
