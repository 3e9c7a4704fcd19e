"""Choose by relevance only: the tokens most like the query, however alike they are among themselves."""

from __future__ import annotations

from collections.abc import Sequence

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
    """Pick by descending relevance, equal ones by lowest index: ReDiPrune's order at alpha = inf."""
    score, order = scores.sort(dim=-1, descending=True, stable=True)
    return Picks(order[None], None, score[None])
