"""How sure a measured share is: 95% intervals; Wilson's for a count, a bootstrap over scenes for a mean."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

Z = 1.96  # standard deviations of a normal on each side of 95%


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """Wilson's interval of a share, n >= 1 independent trials; stays within 0..1."""
    p = successes / n
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * ((p * (1 - p) + Z * Z / (4 * n)) / n) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def by_scene(values: np.ndarray, scenes: Sequence[int], draws: int = 2000) -> dict:
    """Mean of one value per question, with an interval that redraws whole scenes.

    Questions about one scene share its layout and its visual tokens: they are not independent, and an
    interval that takes them to be is too narrow.

    Args:
        values: [Q], differences of two methods on the same questions, for instance.
        scenes: [Q], which scene each question is about.

    Returns:
        {"mean": ..., "interval": (low, high)}; the same call gives the same interval.
    """
    _, group = np.unique(scenes, return_inverse=True)
    size = np.bincount(group)
    total = np.bincount(group, weights=np.asarray(values, dtype=float))
    drawn = _drawn(len(size), draws)
    means = (drawn @ total) / (drawn @ size)
    return {
        "mean": float(total.sum() / size.sum()),
        "interval": tuple(np.quantile(means, (0.025, 0.975)).tolist()),
    }


@lru_cache(maxsize=32)
def _drawn(n: int, draws: int) -> np.ndarray:
    """[draws, n], how often each of n scenes comes when n are drawn with replacement."""
    return np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), draws).astype(float)
