"""DivPrune (arXiv 2503.02175): the most diverse tokens by the max-min rule, as the LLM would see them."""

from __future__ import annotations

from ..greedy import Picks
from . import diversity


def pick(tokens, scores, alphas, config, grids, n_picks=None) -> Picks:
    """The rule of the method diversity, on PROJECTED tokens: max over sets of min over pairs of 1 - cosine.

    First the token with the largest distance to its nearest neighbour, then always the one farthest from its
    nearest pick. Every token goes through the projector for it, the dropped ones too.
    """
    return diversity.pick(tokens, scores, alphas, config, grids, n_picks)
