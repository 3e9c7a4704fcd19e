"""Relevance only: the tokens most like the query, however alike they are among themselves."""

from __future__ import annotations

from ..greedy import Picks


def pick(tokens, scores, alphas, config, grids, n_picks=None) -> Picks:
    """Descending relevance, equal ones by lowest index: ReDiPrune's order at alpha = inf."""
    score, order = scores.sort(dim=-1, descending=True, stable=True)
    return Picks(order[None], None, score[None])
