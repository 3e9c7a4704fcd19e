"""Choose a uniform grid: as even a cover of the picture as a nested order allows, blind to what is in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ...config import PruneConfig
from ..greedy import Grid, Picks


def pick(
    tokens: Tensor,
    scores: Tensor | None,
    alphas: Sequence[float],
    config: PruneConfig,
    grids: Sequence[Grid],
    n_picks: int | None = None,
) -> Picks:
    """Pick in farthest-point order in every frame (see `farthest_points`); tokens of no place come last."""
    n = tokens.shape[1]
    orders = [
        torch.cat([farthest_points(rows, cols), torch.arange(rows * cols, n)]) for rows, cols, *_ in grids
    ]
    return Picks(torch.stack(orders)[None].to(tokens.device), None, None)


@lru_cache(maxsize=32)
def farthest_points(rows: int, cols: int) -> Tensor:
    """Order the cells of a grid: the centre first, then always the cell farthest from all before it.

    A perfectly regular grid exists for a few K only, and those of different K share few cells. This order is
    nested (the first K cells of one order serve every K) and its largest hole is, for every K, at most twice
    the smallest that any K cells can leave (Gonzalez 1985). Equal distances go to the lowest index; distances
    are whole numbers, so nothing depends on rounding.

    Returns:
        [rows * cols] int64, cell indices row * cols + col in the order of picking.
    """
    cell = torch.arange(rows * cols)
    y = cell // cols
    x = cell % cols
    order = [(rows // 2) * cols + cols // 2]
    nearest = torch.full_like(cell, rows**2 + cols**2)  # squared; more than any two cells are apart
    while len(order) < rows * cols:
        last = order[-1]
        nearest = torch.minimum(nearest, (y - y[last]) ** 2 + (x - x[last]) ** 2)
        order.append(int(nearest.argmax()))
    return torch.tensor(order)
