"""Choose by ReDiPrune (arXiv 2603.24680): relevance and max-min diversity, greedily."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...config import PruneConfig
from ..greedy import Grid, Picks, greedy, tau_candidates, unit_distances


def pick(
    tokens: Tensor,
    scores: Tensor | None,
    alphas: Sequence[float],
    config: PruneConfig,
    grids: Sequence[Grid],
    n_picks: int | None = None,
) -> Picks:
    """Pick greedily for every weight; with config.tau > 0 among the published candidates first."""
    candidates = tau_candidates(scores, config.keep_ratio, config.tau) if config.tau > 0 else None
    return greedy(tokens, scores, alphas, candidates, unit_distances(tokens), n_picks)
