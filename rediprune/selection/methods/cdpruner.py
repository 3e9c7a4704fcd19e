"""CDPruner (arXiv 2506.10967): conditional diversity, by the greedy MAP of a determinantal point process.

The kernel is L = diag(r) S diag(r), S the cosine similarity of PROJECTED tokens and r their relevance, scaled
to 0..1 within what is chosen from. A set is as good as its determinant; the greedy rule (Chen, Zhang and Zhou
2018, arXiv 1709.05135) always adds the token by which it grows most.

Published relevance is the NEGATED cosine in CLIP's joint space: query="text-tower", pointing="negated". Here
r is made of whatever relevance the config names, with the sign that this has.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..greedy import Picks, unit_distances

# Where no more than this of a unit vector (its squared length) points out of the span of the picks, it adds
# nothing but float32 rounding.
_NOTHING = 1e-5


def pick(tokens, scores, alphas, config, grids, n_picks=None) -> Picks:
    """The factors by which the determinant grows, picked from the largest; score holds them, 1 at the first.

    The factor of token i is r_i^2 times the squared length of what of its unit vector lies outside the span
    of the picks, because r can be taken out of the determinant row by row. Once no token adds anything, the
    rest follow in raster order with score 0: at most D tokens are independent. One step costs O(N) for each
    earlier pick, so the full order O(N^3); distance is measured for the reader alone.
    """
    frames, n = scores.shape
    n_picks = n if n_picks is None else n_picks
    r, between = _scaled(scores.float()), unit_distances(tokens)
    similar = 1 - between
    outside = similar.diagonal(dim1=-2, dim2=-1).round()  # 1, and 0 for a token of zeros
    # Of the Cholesky factor, one for every pick. Room for n of them, however many there will be: another
    # layout in memory might round otherwise.
    rows = similar.new_zeros(frames, n, n)
    waiting = torch.ones_like(outside, dtype=torch.bool)
    nearest = torch.full_like(outside, math.inf)
    order = torch.empty(n_picks, frames, dtype=torch.int64, device=similar.device)
    score, distance = similar.new_empty(n_picks, frames), similar.new_empty(n_picks, frames)
    for step in range(n_picks):
        gain = (r.square() * outside).masked_fill(~waiting, -1)
        score[step], order[step] = gain.max(dim=-1)  # the first of equal maxima
        column = order[step, :, None]
        distance[step] = nearest.gather(-1, column)[:, 0]
        waiting.scatter_(-1, column, False)
        at = column[..., None].expand(-1, 1, n)
        nearest = torch.minimum(nearest, between.gather(1, at)[:, 0])
        row = similar.gather(1, at)
        if step:
            known = rows[:, :step]
            row = row - known.gather(-1, column[:, None].expand(-1, step, 1)).mT @ known
        length = outside.gather(-1, column)
        row = torch.where(length > 0, row[:, 0] / length.clamp_min(_NOTHING).sqrt(), 0.0)
        rows[:, step] = row
        outside = outside - row.square()
        outside = torch.where(outside < _NOTHING, 0.0, outside)
    distance[0] = math.nan  # there was no earlier pick
    return Picks(*(x.T[None] for x in (order, distance, score)))


def _scaled(scores: Tensor) -> Tensor:
    """[T, N] to 0..1 in every frame; 1 where all are equal, so that diversity alone decides."""
    low, high = scores.amin(-1, keepdim=True), scores.amax(-1, keepdim=True)
    span = high - low
    return torch.where(span > 0, (scores - low) / span, 1.0)
