"""Random: the baseline that every method has to beat, and at moderate ratios many do not."""

from __future__ import annotations

import torch

from ..greedy import Picks


def pick(tokens, scores, alphas, config, grids, n_picks=None) -> Picks:
    """A permutation per frame from config.seed, drawn on the CPU so that every device gets the same one.

    A frame's permutation depends on its place alone, not on how many frames follow.
    """
    frames, n = tokens.shape[:2]
    source = torch.Generator().manual_seed(config.seed)
    order = torch.stack([torch.randperm(n, generator=source) for _ in range(frames)])
    return Picks(order[None].to(tokens.device), None, None)
