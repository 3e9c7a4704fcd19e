"""Shares, differences and kinds are made of the hits alone."""

from __future__ import annotations

import numpy as np
import pytest

from rediprune.evaluation.bootstrap import cluster_bootstrap
from world.evaluation.arms import RANDOM, UNPRUNED, Arm
from world.evaluation.intervals import wilson_interval
from world.evaluation.results import Results, pack_bits, unpack_bits

GRID = Arm("grid")


def row(right: str, *more: str) -> dict:
    masks = [pack_bits(np.array([c == "1" for c in mask])) for mask in (right, *more)]
    return {"k": 29, "n": len(right), "hits": masks}


@pytest.fixture
def results() -> Results:
    return Results(
        {
            "questions": 6, "questions_per_scene": "321", "frames": 1, "visual_tokens": 196,
            "kinds": ["color", "count"], "kind_of_question": "010011",
            "hits": {
                UNPRUNED.name: {"1.0": row("111101")},
                GRID.name: {"0.15": row("110001"), "0.5": row("101")},
                RANDOM.name: {"0.15": row("100000", "110000")},
            },
        }
    )  # fmt: skip


@pytest.mark.parametrize("n", [1, 8, 9, 3500])
def test_packing_keeps_every_question(n):
    right = np.random.default_rng(n).random(n) < 0.5
    assert (unpack_bits(pack_bits(right), n) == right).all()


def test_a_share_is_the_mean_with_wilson_s_interval(results):
    share = results.compute_accuracy(GRID, 0.15)
    assert (share.n, share.mean, share.interval) == (6, 0.5, wilson_interval(3, 6))
    counts = results.compute_accuracy(GRID, 0.15, "count")
    assert (counts.n, counts.mean) == (3, 2 / 3)
    assert results.compute_accuracy(GRID, 0.5).n == 3


def test_masks_are_averaged_question_by_question(results):
    assert results.get_correct(RANDOM, 0.15).tolist() == [1, 0.5, 0, 0, 0, 0]
    assert results.compute_accuracy(RANDOM, 0.15).mean == 0.25


def test_a_difference_is_paired_and_redraws_scenes(results):
    found = results.compute_difference(GRID, 0.15, RANDOM)
    assert found.mean == pytest.approx(0.25)
    assert found.interval == cluster_bootstrap(np.array([0, 0.5, 0, 0, 0, 1]), [0, 0, 0, 1, 1, 2]).interval
    against = results.compute_difference(GRID, 0.5, UNPRUNED, 1.0)
    assert (against.n, against.mean) == (3, pytest.approx(-1 / 3))  # on what both were asked
    assert results.compute_difference(GRID, 0.15, UNPRUNED, 1.0, "color").n == 3


def test_what_was_not_measured_is_named(results):
    assert results.filter_measured([GRID, RANDOM], 0.5) == [GRID]
    with pytest.raises(KeyError, match="random was not measured at 50%"):
        results.get_correct(RANDOM, 0.5)
