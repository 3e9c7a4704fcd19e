"""Wilson's interval has its published values."""

from __future__ import annotations

import pytest

from world.evaluation.intervals import wilson_interval


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_s_interval_has_its_published_values(successes, n, low, high):
    """The last line is an example of Newcombe 1998 (Statistics in Medicine 17:857)."""
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-4)
