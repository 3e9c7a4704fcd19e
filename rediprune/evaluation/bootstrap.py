"""Confidence intervals of a mean whose samples come in clusters: several questions about one picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

N_DRAWS = 2000
_MAX_BLOCK_VALUES = 4_000_000  # counts held at once (32 MB): a million groups are drawn a few draws at a time


class BootstrapMean(NamedTuple):
    """A mean with its 95% bootstrap interval.

    Attributes:
        mean: over all samples.
        interval: (low, high), the 2.5% and 97.5% quantiles of the resampled means.
    """

    mean: float
    interval: tuple[float, float]


def cluster_bootstrap(
    values: Sequence[float] | np.ndarray, groups: Sequence | np.ndarray, n_draws: int = N_DRAWS
) -> BootstrapMean:
    """Estimate a mean and its 95% interval by resampling whole groups with replacement.

    Questions about one picture share its visual tokens, so they are not independent; an interval that
    resamples single questions is too narrow. The random generator starts at a fixed seed: equal arguments
    give equal intervals.

    Args:
        values: [Q], one value per sample, for instance the difference of two methods on one question.
        groups: [Q], the group of each sample, for instance the picture that the question is about.
        n_draws: how many times the groups are resampled.

    Source: the cluster bootstrap of Field and Welsh 2007 (Journal of the Royal Statistical Society B 69:369).
    """
    _, group_index = np.unique(groups, return_inverse=True)
    group_size = np.bincount(group_index)
    group_total = np.bincount(group_index, weights=np.asarray(values, dtype=float))
    # One mean per draw, [n_draws]: the totals of the drawn groups over their sizes.
    means = np.concatenate(
        [(counts @ group_total) / (counts @ group_size) for counts in _draw_counts(len(group_size), n_draws)]
    )
    low, high = np.quantile(means, (0.025, 0.975)).tolist()
    return BootstrapMean(float(group_total.sum() / group_size.sum()), (low, high))


def _draw_counts(n_groups: int, n_draws: int) -> Iterable[np.ndarray]:
    """Return blocks [B, n_groups] of how often each group comes in a draw, n_draws rows in all."""
    if n_groups * n_draws <= _MAX_BLOCK_VALUES:
        return _cached_counts(n_groups, n_draws)
    return _generate_counts(n_groups, n_draws)


@lru_cache(maxsize=8)
def _cached_counts(n_groups: int, n_draws: int) -> tuple[np.ndarray, ...]:
    return tuple(_generate_counts(n_groups, n_draws))


def _generate_counts(n_groups: int, n_draws: int) -> Iterator[np.ndarray]:
    source = np.random.default_rng(0)
    probability = np.full(n_groups, 1 / n_groups)
    block = max(1, _MAX_BLOCK_VALUES // n_groups)
    for start in range(0, n_draws, block):
        yield source.multinomial(n_groups, probability, min(block, n_draws - start)).astype(float)
