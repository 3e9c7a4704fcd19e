"""M-RoPE positions with gaps closed. How, is this project's own choice: no publication says it.

M-RoPE gives every token three positions: time, row and column. Text counts all three alike. The tokens of an
image or clip begin where the text before them ended and spread over a grid; the text behind goes on after the
longer side of that grid.

Compacted positions do the same for what is left of the grid. On each axis on its own, a row, column or moment
of which no token is left goes, and those behind move up; text goes on behind the longer of the number of rows
and the number of columns that are left. A whole grid is left as it is. Moments keep the spacing that the
model gave them: the r-th that is left takes the place of the r-th that there was.
"""

from __future__ import annotations

import torch
from torch import Tensor


def compact_mrope(positions: Tensor, stays: Tensor, visual: Tensor) -> Tensor:
    """Positions of whole prompts, closed up for the tokens that stay.

    Args:
        positions: [3, B, L], by the model's own count.
        stays: [B, L] bool, which tokens are left; padding is not.
        visual: [B, L] bool, which tokens belong to an image or a clip; each is one unbroken run.

    Returns:
        [3, B, L]; only what stays has a meaning.
    """
    closed = positions.clone()
    for b in range(len(stays)):
        kinds, lengths = visual[b].unique_consecutive(return_counts=True)
        start, at = 0, 0
        for is_visual, length in zip(kinds.tolist(), lengths.tolist(), strict=True):
            run = slice(start, start + length)
            left, start = stays[b, run], start + length
            count = int(left.sum())
            if not is_visual:
                closed[:, b, run][:, left] = torch.arange(at, at + count).to(positions)
                at += count
            elif count:
                axes = [_compact_axis(axis, left) for axis in positions[:, b, run]]
                closed[:, b, run][:, left] = at + torch.stack([moved for moved, _ in axes])
                at += max(rows_or_cols for _, rows_or_cols in axes[1:])
    return closed


def _compact_axis(axis: Tensor, left: Tensor) -> tuple[Tensor, int]:
    """One axis [n] of a run: the positions of what is left, from 0, and how many distinct ones there are."""
    places, (used, rank) = axis.unique(), axis[left].unique(return_inverse=True)
    return (places - places[0])[rank], len(used)
