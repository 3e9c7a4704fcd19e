"""Choose tokens: every rule by the name that PruneConfig knows it by, all with the signature of `Method`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from ...config import PruneConfig
from ..greedy import Grid, Picks
from . import cdpruner, cls_attention, diversity, divprune, grid, random, rediprune, relevance


class Method(Protocol):
    """Choose among T frames of N tokens each, every frame on its own."""

    def __call__(
        self,
        tokens: Tensor,
        scores: Tensor | None,
        alphas: Sequence[float],
        config: PruneConfig,
        grids: Sequence[Grid],
        n_picks: int | None = None,
    ) -> Picks:
        """Return picking orders with their evidence: one per weight, or a single one where none plays a part.

        Args:
            tokens: [T, N, any width] unit vectors that distances are measured of: before the projector for a
                method of config.MEASURES_FEATURES, behind it for one of config.ASKS_PROJECTED. Any other
                method reads their shape only.
            scores: [T, N] float32, relevance, or for a method of config.ASKS_ATTENTION the attention of the
                class token; None for a method that asks for neither.
            alphas: the W relevance weights, each in [0, inf].
            config: the settings; read for tau, keep_ratio and seed.
            grids: (rows, cols, tokens of no place behind them) of each frame; the method grid reads them.
            n_picks: how many picks are wanted, 1..N; None for all. A method whose every pick costs a step
                ends there, the others return all N.
        """


METHODS: dict[str, Method] = {
    "rediprune": rediprune.pick,
    "random": random.pick,
    "grid": grid.pick,
    "relevance": relevance.pick,
    "diversity": diversity.pick,
    "divprune": divprune.pick,
    "cdpruner": cdpruner.pick,
    "cls-attention": cls_attention.pick,
}
