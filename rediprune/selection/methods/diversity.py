"""Choose by diversity only: the max-min rule, which never looks at the question."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...config import PruneConfig
from ..greedy import Grid, Picks, greedy, unit_distances


def pick(
    tokens: Tensor,
    scores: Tensor | None,
    alphas: Sequence[float],
    config: PruneConfig,
    grids: Sequence[Grid],
    n_picks: int | None = None,
) -> Picks:
    """Pick the token farthest from its nearest neighbour first, then always the one farthest from all picks.

    The distance is the cosine distance of the tokens BEFORE the projector, which costs nothing extra; the
    published rule measures it behind (divprune). score[..., 0] is the first pick's distance to its nearest
    neighbour.
    """
    between = unit_distances(tokens)
    # No token is its own neighbour: 2 is the largest distance there is.
    between.diagonal(dim1=-2, dim2=-1).fill_(2.0)
    to_neighbour = between.amin(dim=-1)  # [T, N]
    return greedy(tokens, to_neighbour, (0.0,), between=between, n_picks=n_picks)
