"""Choose at random: the baseline that every method has to beat, and at moderate ratios many do not."""

from __future__ import annotations

from collections.abc import Sequence

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
    """Draw a permutation per frame from config.seed, on the CPU so that every device gets the same one.

    A frame's permutation depends on its place alone, not on how many frames follow.
    """
    frames, n = tokens.shape[:2]
    source = torch.Generator().manual_seed(config.seed)
    order = torch.stack([torch.randperm(n, generator=source) for _ in range(frames)])
    return Picks(order[None].to(tokens.device), None, None)
