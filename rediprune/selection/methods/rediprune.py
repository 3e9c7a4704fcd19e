"""ReDiPrune (arXiv 2603.24680): relevance and max-min diversity, greedily."""

from __future__ import annotations

from ..greedy import Picks, greedy, tau_candidates, unit_distances


def pick(tokens, scores, alphas, config, grids, n_picks=None) -> Picks:
    """The greedy order of every weight; with config.tau > 0 among the published candidates first."""
    allowed = tau_candidates(scores, config.keep_ratio, config.tau) if config.tau > 0 else None
    return greedy(tokens, scores, alphas, allowed, unit_distances(tokens), n_picks)
