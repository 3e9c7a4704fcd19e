"""Choose by CDPruner (arXiv 2506.10967): conditional diversity, the greedy MAP of a determinantal process.

The kernel is L = diag(r) S diag(r), S the cosine similarity of PROJECTED tokens and r their relevance, scaled
to 0..1 within what is chosen from. A set is as good as its determinant; the greedy rule (Chen, Zhang and Zhou
2018, arXiv 1709.05135) always adds the token by which it grows most.

Published relevance is the NEGATED cosine in CLIP's joint space: query="text-tower", pointing="negated". Here
r is made of whatever relevance the config names, with the sign that this has.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ...config import PruneConfig
from ..greedy import Grid, Picks, unit_distances

# Where no more than this of a unit vector (its squared length) points out of the span of the picks, it adds
# nothing but float32 rounding.
_NOTHING = 1e-5


def pick(
    tokens: Tensor,
    scores: Tensor | None,
    alphas: Sequence[float],
    config: PruneConfig,
    grids: Sequence[Grid],
    n_picks: int | None = None,
) -> Picks:
    """Pick the token by which the determinant grows most; score holds that factor, 1 at the first pick.

    The factor of token i is r_i^2 times the squared length of the part of its unit vector that lies outside
    the span of the picks, because r can be taken out of the determinant row by row. Once no token adds
    anything, the rest follow in raster order with score 0: at most D tokens are independent. One step costs
    O(N) for each earlier pick, so the full order O(N^3). distance is measured for the reader alone.
    """
    frames, n = scores.shape
    n_picks = n if n_picks is None else n_picks
    relevance = _scaled(scores.float())
    between = unit_distances(tokens)
    similarity = 1 - between

    # [T, N]: squared length of each unit vector outside the span of the picks: 1, and 0 for a token of zeros.
    outside = similarity.diagonal(dim1=-2, dim2=-1).round()
    # Rows of the Cholesky factor, one for every pick. There is room for N of them, however many there will
    # be: another layout in memory might round otherwise.
    factor = similarity.new_zeros(frames, n, n)
    unpicked = torch.ones_like(outside, dtype=torch.bool)
    nearest = torch.full_like(outside, math.inf)

    # The result, [picks, T], written step by step.
    order = torch.empty(n_picks, frames, dtype=torch.int64, device=similarity.device)
    score = similarity.new_empty(n_picks, frames)
    distance = similarity.new_empty(n_picks, frames)
    for step in range(n_picks):
        gain = (relevance.square() * outside).masked_fill(~unpicked, -1)
        score[step], order[step] = gain.max(dim=-1)  # the first of equal maxima
        column = order[step, :, None]
        distance[step] = nearest.gather(-1, column)[:, 0]
        unpicked.scatter_(-1, column, False)

        # The picked token's row of both matrices, [T, 1, N].
        at = column[..., None].expand(-1, 1, n)
        nearest = torch.minimum(nearest, between.gather(1, at)[:, 0])
        row = similarity.gather(1, at)

        # One more row of the Cholesky factor: what of the similarities the earlier rows do not explain.
        if step:
            earlier = factor[:, :step]
            row = row - earlier.gather(-1, column[:, None].expand(-1, step, 1)).mT @ earlier
        length = outside.gather(-1, column)
        row = torch.where(length > 0, row[:, 0] / length.clamp_min(_NOTHING).sqrt(), 0.0)
        factor[:, step] = row
        outside = outside - row.square()
        outside = torch.where(outside < _NOTHING, 0.0, outside)
    distance[0] = math.nan  # there was no earlier pick
    return Picks(*(evidence.T[None] for evidence in (order, distance, score)))


def _scaled(scores: Tensor) -> Tensor:
    """Scale [T, N] to 0..1 in every frame; to 1 where all are equal, so that diversity alone decides."""
    low = scores.amin(-1, keepdim=True)
    high = scores.amax(-1, keepdim=True)
    span = high - low
    return torch.where(span > 0, (scores - low) / span, 1.0)
