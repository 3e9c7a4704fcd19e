"""How sure a measured share is: 95% intervals; Wilson's for a count, a bootstrap over scenes for a mean."""

from __future__ import annotations

Z = 1.96  # standard deviations of a normal on each side of 95%


def wilson_interval(successes: float, n: int) -> tuple[float, float]:
    """Wilson's interval of a share, n >= 1 independent trials; stays within 0..1."""
    p = successes / n
    middle = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z / (1 + Z * Z / n) * ((p * (1 - p) + Z * Z / (4 * n)) / n) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
