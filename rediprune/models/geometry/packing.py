"""Find out where a model's own packing puts each token, by packing known index values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .bilinear import Mix, joined_mix, probe_input, weights_from_probe

# ([tiles, n, any], newline [any]) -> [S, any]
Pack = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Packed:
    """Hold an overview and, where there are further tiles, the view that they make together.

    Attributes:
        slots: [S], a flat token index over both frames, or -1 for a newline.
        mix: of which of the encoder's tokens each is made; the shorter of the frames is padded.
        grid: [rows, cols] int64, the encoder's token at each place of the view before it was shrunk.
        cells: (rows, cols) of the view as packed; None where there is none.
    """

    slots: Tensor
    mix: Mix
    grid: Tensor
    cells: tuple[int, int] | None


def read_packing(pack: Pack, unshrunk: Pack, tiles: int, n: int) -> Packed:
    """Find out where the model's own packing puts each token by packing known index values.

    Args:
        pack: as the model does it: the overview's tokens, then rows of the view, a newline behind each.
        unshrunk: the same without the shrinking at its end.
    """
    ids = torch.arange(tiles * n, dtype=torch.float32).view(tiles, n, 1)  # exact below 2 ** 24
    laid = unshrunk(ids, torch.tensor([-1.0]))[:, 0].long()
    overview, grid = Mix.plain(laid[:n]), _rows(laid[n:])
    if grid.numel() == 0:  # no more tiles, or nothing but padding in them
        return Packed(torch.cat([torch.arange(n), laid[n:]]), overview, grid, None)
    marks = torch.zeros(tiles * n, sum(grid.shape))
    marks[grid] = probe_input(*grid.shape)
    view = _rows(pack(marks.view(tiles, n, -1), torch.full((sum(grid.shape),), -1.0))[n:])
    rows, cols = view.shape[:2]
    length = max(n, rows * cols)
    mix = joined_mix([one.padded(length) for one in (overview, weights_from_probe(view, grid))])
    cells = length + torch.arange(rows * cols).view(rows, cols)
    return Packed(
        torch.cat([torch.arange(n), F.pad(cells, (0, 1), value=-1).flatten()]), mix, grid, (rows, cols)
    )


def _rows(packed: Tensor) -> Tensor:
    """Reshape [S, ...] with a newline of -1 behind each row to [rows, cols, ...] without newlines."""
    first = packed if packed.dim() == 1 else packed[:, 0]
    rows = int((first < 0).sum())
    return packed.unflatten(0, (rows, -1))[:, :-1] if rows else packed[:0, None]
