"""select: which visual tokens to keep, by any method, with the evidence of every pick."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .config import PruneConfig
from .greedy import check_tokens
from .greedy import relevance as measure
from .methods import METHODS
from .trace import Query, Selection


@torch.no_grad()
def select(
    features: Tensor,
    query: Query | Tensor | None,
    config: PruneConfig | None = None,
    alphas: Sequence[float] | None = None,
    grid: tuple[int, int] | None = None,
) -> Selection:
    """The full picking order of every frame; any keep ratio is then a prefix (`Selection.kept`).

    Args:
        features: [T, N, C] visual tokens of T frames in any float dtype, before the projector. Every frame is
            selected on its own, with the same query.
        query: a Query, or a plain vector [C], or of another width, folded by the published rule (query.fold).
            The methods random, grid and diversity ask none and take None.
        config: the dials; default PruneConfig().
        alphas: several relevance weights in [0, inf] at once, in place of config.alpha; the order is then
            [W, T, N] instead of [T, N].
        grid: (rows, cols) of a frame's tokens, for the method grid; by default the two factors of N nearest
            to a square, not more rows than columns.

    Raises:
        ValueError: one sentence on what was wrong: shapes, NaN, infinite or all-zero features or query,
            weights out of range, a method that needs a query without one.
    """
    config = PruneConfig() if config is None else config
    check_tokens(features, "features")
    weights = _weights(config, alphas)
    relevance = None
    if config.asks_query:
        relevance = measure(features, _query(query, config))
    picks = METHODS[config.method](features, relevance, weights, config, _grid(features.shape[1], grid))

    def shaped(evidence: Tensor | None) -> Tensor | None:
        """A method that knows no weight gives one order for all of them."""
        if evidence is None or alphas is None:
            return evidence if evidence is None else evidence[0]
        return evidence.expand(len(weights), -1, -1)

    return Selection(*map(shaped, picks[:1]), relevance, *map(shaped, picks[1:]), weights, config)


def _weights(config: PruneConfig, alphas: Sequence[float] | None) -> tuple[float, ...]:
    if alphas is None:
        return (config.alpha,)
    weights = tuple(float(alpha) for alpha in alphas)
    if not weights:
        raise ValueError("alphas is empty: give at least one relevance weight, or None for config.alpha")
    for w, alpha in enumerate(weights):
        if not alpha >= 0:  # NaN as well
            raise ValueError(f"alphas[{w}]={alpha!r} is out of range: it must be a number in [0, inf]")
    return weights


def _query(query: Query | Tensor | None, config: PruneConfig) -> Query:
    if isinstance(query, Query):
        return query
    if isinstance(query, Tensor):
        return Query(config.query, query)
    raise ValueError(
        f"method={config.method!r} needs a query: a vector [C] or a rediprune.Query, not {query!r:.40}"
    )


def _grid(n: int, grid: tuple[int, int] | None) -> tuple[int, int]:
    if grid is None:
        rows = next(r for r in range(math.isqrt(n), 0, -1) if n % r == 0)
        return rows, n // rows
    if math.prod(grid) != n or min(grid) < 1:
        raise ValueError(f"grid={grid} holds {math.prod(grid)} tokens per frame, but the features have {n}")
    return grid
