"""Uniform grid: as even a cover of the picture as a nested order allows, blind to what is in it."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ..greedy import Picks


def pick(tokens, scores, alphas, config, grids, n_picks=None) -> Picks:
    """The farthest-point order of every frame (see `farthest_points`); tokens of no place come last."""
    n = tokens.shape[1]
    orders = [
        torch.cat([farthest_points(rows, cols), torch.arange(rows * cols, n)]) for rows, cols, *_ in grids
    ]
    return Picks(torch.stack(orders)[None].to(tokens.device), None, None)


@lru_cache(maxsize=32)
def farthest_points(rows: int, cols: int) -> Tensor:
    """The cells of a grid, the centre first, then always the cell farthest from all before it, [rows * cols]
    int64.

    A perfectly regular grid exists for a few K only, and those of different K share few cells. This order is
    nested (the first K cells of one order serve every K) and its largest hole is, for every K, at most twice
    the smallest that any K cells can leave (Gonzalez 1985). Equal distances go to the lowest index; distances
    are whole numbers, so nothing depends on rounding.
    """
    cell = torch.arange(rows * cols)
    y, x = cell // cols, cell % cols
    order = [(rows // 2) * cols + cols // 2]
    nearest = torch.full_like(cell, rows**2 + cols**2)  # squared; more than any two cells are apart
    while len(order) < rows * cols:
        last = order[-1]
        nearest = torch.minimum(nearest, (y - y[last]) ** 2 + (x - x[last]) ** 2)
        order.append(int(nearest.argmax()))
    return torch.tensor(order)
