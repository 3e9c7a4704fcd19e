"""Diversity only: the max-min rule, which never looks at the question."""

from __future__ import annotations

from ..greedy import Picks, greedy, unit_distances


def pick(tokens, scores, alphas, config, grids, n_picks=None) -> Picks:
    """First the token farthest from its nearest neighbour, then always the one farthest from all picks.

    The distance is the cosine distance of the tokens BEFORE the projector, which costs nothing extra; the
    published rule measures it behind (divprune). score[..., 0] is the first pick's distance to its nearest
    neighbour.
    """
    between = unit_distances(tokens)
    # No token is its own neighbour: 2 is the largest distance there is.
    between.diagonal(dim1=-2, dim2=-1).fill_(2.0)
    loneliness = between.amin(dim=-1)
    return greedy(tokens, loneliness, (0.0,), between=between, n_picks=n_picks)
