"""Every rule that can choose tokens, by the name PruneConfig knows it by, all with one signature:

    pick(tokens, scores, alphas, config, grids, n_picks=None) -> Picks

tokens [T, N, any width], what the method measures distances of, as unit vectors (greedy.unit): those before
the projector for a method of config.MEASURES_FEATURES, behind it for one of config.ASKS_PROJECTED; any other
method reads their shape only; scores [T, N] float32, relevance, or the class token's attention for one of
config.ASKS_ATTENTION, None for a method that asks for neither; alphas the W relevance weights; grids (rows,
cols, and how many tokens of no place follow), one for each frame, which the method grid reads; n_picks how
many are wanted, None for all: a method whose every pick costs a step ends there, the others return all N.
Picks hold W orders, or 1 where the weight plays no part.
"""

from __future__ import annotations

from collections.abc import Callable

from ..greedy import Picks
from . import cdpruner, cls_attention, diversity, divprune, grid, random, rediprune, relevance

Pick = Callable[..., Picks]

METHODS: dict[str, Pick] = {
    "rediprune": rediprune.pick,
    "random": random.pick,
    "grid": grid.pick,
    "relevance": relevance.pick,
    "diversity": diversity.pick,
    "divprune": divprune.pick,
    "cdpruner": cdpruner.pick,
    "cls-attention": cls_attention.pick,
}
