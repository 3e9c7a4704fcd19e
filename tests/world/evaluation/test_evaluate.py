"""The evaluation measures what its plan says, goes on where it was stopped, and knows its weights."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from rediprune import config
from tests.support.measured_world import make_untrained_model
from world.evaluation import evaluate
from world.evaluation import measure as measuring
from world.evaluation.arms import (
    ABLATION_QUERIES,
    AFTER_PROJECTOR,
    ALPHAS,
    CLIPS_PLAN,
    HARD_RATIO,
    HEADLINE_RATIO,
    KEEP_RATIOS,
    ORIGINAL_POSITIONS,
    PUBLISHED_QUERY,
    QUERIES,
    QUERY_FREE,
    RANDOM,
    REDIPRUNE,
    STILLS_PLAN,
    TOWER_QUERY,
    UNPRUNED,
    Arm,
    ArmAtRatios,
    alpha_arms,
)
from world.evaluation.cases import EvalQuestion
from world.evaluation.pointing import measure_pointing
from world.text.scene_questions import Question
from world.training.scene_store import FIRST_TRAINING_SEED

# Of each round a little: every kind of arm, in seconds.
SMALL = (
    (
        ArmAtRatios(UNPRUNED, (1.0,)),
        ArmAtRatios(RANDOM, (0.15, 0.05)),
        ArmAtRatios(REDIPRUNE[TOWER_QUERY], (0.15,)),
    ),
    (
        ArmAtRatios(REDIPRUNE[TOWER_QUERY].with_shared_budget, (0.15,), subset_only=True),
        ArmAtRatios(AFTER_PROJECTOR[0], (0.05,), subset_only=True),
    ),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("assets")
    make_untrained_model(folder)
    return folder / "tiny-llava"


@pytest.fixture
def small(monkeypatch):
    parts = {
        name: replace(
            part, plan=SMALL, n_questions=8, n_subset=5, n_validation=part.n_validation and 4, n_recheck=3,
            pointing_queries=(PUBLISHED_QUERY, TOWER_QUERY),
        )
        for name, part in evaluate.SPLITS.items()
    }  # fmt: skip
    monkeypatch.setattr(evaluate, "SPLITS", parts)


def test_every_test_of_the_plan_has_its_row_and_a_kill_loses_one_arm(model, small, monkeypatch, tmp_path):
    found = evaluate.run(model, tmp_path / "whole.json")
    assert found["weights"] == evaluate.fingerprint(model)
    for name in evaluate.SPLITS:
        part = found[name]
        assert sum(map(int, part["questions_per_scene"])) == len(part["kind_of_question"]) == 8
        for test in (test for tests in SMALL for test in tests):
            rows = part["hits"][test.arm.name]
            for ratio in test.ratios:
                row = rows[str(ratio)]
                assert row["n"] == (5 if test.subset_only else 8)
                assert len(row["hits"]) == test.arm.n_masks
                assert row["k"] == pytest.approx(ratio * part["visual_tokens"], rel=0.05)
        overlap = part["overlap"]
        assert overlap["n"] == 5 and overlap["in_common"][REDIPRUNE[PUBLISHED_QUERY].name]["mean"] == 1
        assert overlap["spread"][PUBLISHED_QUERY]["mean"] > 0
        assert part["rechecked"] == {"cells": 3, "same_tokens": 3, "agree": 3}
    assert found["stills"]["choosing"]["n"] <= 4 and "choosing" not in found["clips"]
    assert json.loads((tmp_path / "whole.json").read_text()) == found

    # Killed after its third arm, it goes on, and ends with the same.
    measured = measuring.EvalRun._measure_arm
    done = []

    def killed(self, arm, *more):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(arm)
        return measured(self, arm, *more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(measuring.EvalRun, "_measure_arm", killed)
        evaluate.run(model, tmp_path / "killed.json")
    half = json.loads((tmp_path / "killed.json").read_text())
    assert set(half["stills"]["hits"]) == {arm.name for arm in done} and "clips" in half
    asked_again = []

    def watched(self, arm, *more):
        asked_again.append(arm.name)
        return measured(self, arm, *more)

    monkeypatch.setattr(measuring.EvalRun, "_measure_arm", watched)
    assert evaluate.run(model, tmp_path / "killed.json") == found
    assert len(asked_again) == 10 - 3
    # Nothing is left to do, and nothing is loaded for it; of other weights nothing is believed.
    asked_again.clear()
    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "QueryBuilder", None)
        assert evaluate.run(model, tmp_path / "killed.json") == found
    assert not asked_again
    monkeypatch.setattr(evaluate, "fingerprint", lambda model: "another")
    evaluate.run(model, tmp_path / "killed.json")
    assert len(asked_again) == 10


def test_the_fingerprint_knows_both_towers(model, tmp_path):
    before = evaluate.fingerprint(model)
    for path in (model / "model.safetensors", model.parent / "tiny-clip" / "open_clip_model.safetensors"):
        weights = path.read_bytes()
        path.write_bytes(weights[:-1] + b"x")
        assert evaluate.fingerprint(model) != before
        path.write_bytes(weights)
    assert evaluate.fingerprint(model) == before


def test_its_scenes_are_held_out_and_enough():
    parts = evaluate.SPLITS
    for first, n in (
        (evaluate.FIRST_SEED, max(part.n_questions for part in parts.values())),
        (evaluate.VALIDATION_SEED, max(part.n_validation for part in parts.values())),
    ):
        assert first + n < FIRST_TRAINING_SEED
    assert evaluate.VALIDATION_SEED + parts["stills"].n_validation < evaluate.FIRST_SEED
    assert sum(part.n_questions for part in parts.values()) >= 5_000


def test_the_plan_is_the_grid_and_the_ablations():
    of = {
        name: [test for tests in plan for test in tests]
        for name, plan in (("stills", STILLS_PLAN), ("clips", CLIPS_PLAN))
    }
    for tests in of.values():
        arms = {test.arm for test in tests}
        assert len({arm.name for arm in arms}) == len(arms)
        assert {arm.method for arm in arms} == {*config.METHODS, "all"}
        assert {UNPRUNED, RANDOM, *QUERY_FREE, *ORIGINAL_POSITIONS, *AFTER_PROJECTOR} <= arms
        assert {Arm("rediprune", query) for query in ABLATION_QUERIES} <= arms
        for arm in (REDIPRUNE[PUBLISHED_QUERY], REDIPRUNE[TOWER_QUERY], RANDOM, *QUERY_FREE):
            assert {r for test in tests if test.arm == arm for r in test.ratios} == set(KEEP_RATIOS)
        assert all(set(test.ratios) <= {1.0, *KEEP_RATIOS} for test in tests)
    arms = {test.arm for test in of["stills"]}
    assert {*alpha_arms(PUBLISHED_QUERY), *alpha_arms(TOWER_QUERY)} <= arms
    assert {REDIPRUNE[query] for query in QUERIES} <= arms
    assert {arm.with_shared_budget for arm in (REDIPRUNE[PUBLISHED_QUERY], REDIPRUNE[TOWER_QUERY])} <= {
        test.arm for test in of["clips"]
    }
    # Stills: the ablations are asked everything; only half of the tokens is measured on some alone.
    assert all(test.ratios == KEEP_RATIOS[:1] for test in of["stills"] if test.subset_only)
    assert {HEADLINE_RATIO, HARD_RATIO} <= set(KEEP_RATIOS) and 0.5 in ALPHAS


def case(patches: tuple[int, ...], scene: int) -> EvalQuestion:
    return EvalQuestion(scene, Question("What color is the star?", "red", "color", patches), (0,), (1,))


def test_pointing_counts_the_tokens_on_the_answer():
    """Answers on patches 0..3 and 0; relevance says so; the picks go on it every other time."""
    asked = [case((0, 1, 2, 3), 0), case((0,), 1), case((), 2)]
    relevance = {query: [-torch.arange(20.0)[None]] * 3 for query in QUERIES}
    kept = {query: [torch.tensor([0, 1, 18, 19])] * 3 for query in QUERIES}
    said = measure_pointing(asked, 20, relevance, kept, [torch.arange(16, 20)] * 3)
    assert (said["n"], said["k"]) == (2, 4)  # the third has no answer to point at
    assert said["chance"] == pytest.approx((4 / 20 + 1 / 20) / 2)
    assert said["ceiling"] == pytest.approx((4 / 4 + 1 / 4) / 2)
    assert said["random"]["mean"] == said["random"]["any"] == 0
    assert [(row["query"], row["pointing"]) for row in said["rows"]] == list(QUERIES.values())
    for row in said["rows"]:
        assert row["top_relevance"]["mean"] == pytest.approx(said["ceiling"])
        assert row["kept"]["mean"] == pytest.approx((2 / 4 + 1 / 4) / 2)
        assert row["kept"]["any"] == 1
    assert np.isfinite(said["chance"])
