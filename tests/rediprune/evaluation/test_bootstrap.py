"""The cluster bootstrap is as wide as theory says, and never takes samples of one group for independent."""

from __future__ import annotations

import numpy as np
import pytest

from rediprune.evaluation import bootstrap
from rediprune.evaluation.bootstrap import cluster_bootstrap


def test_a_difference_that_is_always_the_same_is_certain():
    scenes = [0, 0, 1, 2, 2, 2]
    assert cluster_bootstrap(np.ones(6), scenes) == (1.0, (1.0, 1.0))
    assert cluster_bootstrap(np.zeros(6), scenes) == (0.0, (0.0, 0.0))


def test_it_covers_as_the_normal_interval_does_and_is_repeatable():
    values = np.random.default_rng(1).normal(0.3, 1.0, 900)
    found = cluster_bootstrap(values, range(900))
    half = 1.96 * values.std() / 30
    assert found.mean == pytest.approx(values.mean())
    assert found.interval == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)
    assert found == cluster_bootstrap(values, range(900))


def test_questions_of_one_scene_are_not_taken_for_independent():
    """Seven questions that all go the same way in their scene tell as much as one."""
    values = np.repeat(np.random.default_rng(2).normal(size=100), 7)
    low, high = cluster_bootstrap(values, np.repeat(np.arange(100), 7)).interval
    low_if_independent, high_if_independent = cluster_bootstrap(values, range(700)).interval
    assert high - low > 2 * (high_if_independent - low_if_independent)


def test_groups_of_five_widen_the_interval_by_the_root_of_five():
    rng = np.random.default_rng(1)
    gain = np.repeat(rng.choice([-1.0, 1.0], 40), 5)  # five questions a picture that go all the same way
    together = cluster_bootstrap(gain, [str(i // 5) for i in range(200)]).interval
    apart = cluster_bootstrap(gain, [str(i) for i in range(200)]).interval
    width = (together[1] - together[0]) / (apart[1] - apart[0])
    assert 1.7 < width < 2.8  # sqrt(5) = 2.2 times as wide
    assert cluster_bootstrap(gain, ["a"] * 200).interval == (gain.mean(), gain.mean())


@pytest.mark.parametrize("max_values", [1, 70, 10**9], ids=["draw by draw", "three draws", "at once"])
def test_the_size_of_a_block_changes_nothing(monkeypatch, max_values):
    """A million groups are drawn in small blocks: the draws are those of one block, redrawn here."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=60)
    groups = rng.integers(0, 20, 60)
    counts = np.random.default_rng(0).multinomial(20, np.full(20, 1 / 20), 500)
    expected = [
        np.concatenate([values[groups == g] for g in np.repeat(range(20), row)]).mean() for row in counts
    ]
    monkeypatch.setattr(bootstrap, "_MAX_BLOCK_VALUES", max_values)
    bootstrap._cached_counts.cache_clear()
    found = cluster_bootstrap(values, groups, n_draws=500)
    assert found.interval == pytest.approx(tuple(np.quantile(expected, (0.025, 0.975))))
