"""Intervals have their published values, and questions of one scene are not taken for independent."""

from __future__ import annotations

import numpy as np
import pytest

from world.evaluation.intervals import by_scene, wilson_interval


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_s_interval_has_its_published_values(successes, n, low, high):
    """The last line is an example of Newcombe 1998 (Statistics in Medicine 17:857)."""
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-4)


def test_a_difference_that_is_always_the_same_is_certain():
    scenes = [0, 0, 1, 2, 2, 2]
    assert by_scene(np.ones(6), scenes) == {"mean": 1.0, "interval": (1.0, 1.0)}
    assert by_scene(np.zeros(6), scenes) == {"mean": 0.0, "interval": (0.0, 0.0)}


def test_the_bootstrap_covers_as_the_normal_interval_does_and_is_repeatable():
    values = np.random.default_rng(1).normal(0.3, 1.0, 900)
    found = by_scene(values, range(900))
    half = 1.96 * values.std() / 30
    assert found["mean"] == pytest.approx(values.mean())
    assert found["interval"] == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    assert found == by_scene(values, range(900))


def test_questions_of_one_scene_are_not_taken_for_independent():
    """Seven questions that all go the same way in their scene tell as much as one."""
    values = np.repeat(np.random.default_rng(2).normal(size=100), 7)
    low, high = by_scene(values, np.repeat(np.arange(100), 7))["interval"]
    low_if_independent, high_if_independent = by_scene(values, range(700))["interval"]
    assert high - low > 2 * (high_if_independent - low_if_independent)
