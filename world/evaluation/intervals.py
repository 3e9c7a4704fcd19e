"""Compute Wilson's confidence interval of a share."""

from __future__ import annotations

Z = 1.96  # half width of the central 95% of a standard normal distribution


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """Return Wilson's 95% interval (low, high) of a share, within [0, 1].

    Args:
        successes: how many of the trials succeeded; a fraction where masks were averaged.
        n: independent trials, at least 1.

    Source: Wilson 1927 (Journal of the American Statistical Association 22:209).
    """
    share = successes / n
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * ((share * (1 - share) + Z * Z / (4 * n)) / n) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
