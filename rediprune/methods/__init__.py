"""Every rule that can choose tokens, by the name PruneConfig knows it by, all with one signature:

    pick(features, relevance, alphas, config, grids) -> Picks

features [T, N, C]; relevance [T, N] float32, None for a method that asks no query; alphas the W relevance
weights; grids (rows, cols, and how many tokens of no place follow), one for each frame, which the method grid
reads. Picks hold W orders, or 1 where the weight plays no part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from ..config import PruneConfig
from ..greedy import Picks
from . import diversity, grid, random, rediprune, relevance

Pick = Callable[[Tensor, Tensor | None, Sequence[float], PruneConfig, Sequence[tuple[int, ...]]], Picks]

METHODS: dict[str, Pick] = {
    "rediprune": rediprune.pick,
    "random": random.pick,
    "grid": grid.pick,
    "relevance": relevance.pick,
    "diversity": diversity.pick,
}
