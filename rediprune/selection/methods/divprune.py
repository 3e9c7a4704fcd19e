"""Choose by DivPrune (arXiv 2503.02175): the most diverse tokens as the LLM would see them, by max-min."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...config import PruneConfig
from ..greedy import Grid, Picks
from . import diversity


def pick(
    tokens: Tensor,
    scores: Tensor | None,
    alphas: Sequence[float],
    config: PruneConfig,
    grids: Sequence[Grid],
    n_picks: int | None = None,
) -> Picks:
    """Apply the rule of `diversity` to PROJECTED tokens: max over sets of min over pairs of 1 - cosine.

    First the token with the largest distance to its nearest neighbour, then always the one farthest from its
    nearest pick. Every token goes through the projector for it, the dropped ones too.
    """
    return diversity.pick(tokens, scores, alphas, config, grids, n_picks)
