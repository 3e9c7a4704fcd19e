"""The evaluation measures what its plan says, goes on where it was stopped, and knows its weights."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from rediprune import config
from tests.support.measured_world import untrained
from world.evaluation import evaluate
from world.evaluation import measure as measuring
from world.evaluation.arms import (
    ALPHAS,
    BEHIND,
    BLIND,
    CLIPS,
    HARD,
    HEADLINE,
    IN_PLACE,
    KEEP_RATIOS,
    MADE_UP,
    OURS,
    PUBLISHED,
    QUERIES,
    RANDOM,
    STILLS,
    TOWER,
    UNPRUNED,
    Arm,
    Trial,
    alpha_arms,
)
from world.evaluation.cases import Case
from world.evaluation.pointing import pointing
from world.text.scene_questions import Question
from world.training.scene_store import FIRST_TRAINING_SEED

# Of each round a little: every kind of arm, in seconds.
SMALL = (
    (Trial(UNPRUNED, (1.0,)), Trial(RANDOM, (0.15, 0.05)), Trial(OURS[TOWER], (0.15,))),
    (Trial(OURS[TOWER].shared, (0.15,), of_some=True), Trial(BEHIND[0], (0.05,), of_some=True)),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("assets")
    untrained(folder)
    return folder / "tiny-llava"


@pytest.fixture
def small(monkeypatch):
    parts = {
        name: replace(
            part, plan=SMALL, questions=8, of_some=5, choosing=part.choosing and 4, recheck=3,
            pointing=(PUBLISHED, TOWER),
        )
        for name, part in evaluate.PARTS.items()
    }  # fmt: skip
    monkeypatch.setattr(evaluate, "PARTS", parts)


def test_every_test_of_the_plan_has_its_row_and_a_kill_loses_one_arm(model, small, monkeypatch, tmp_path):
    found = evaluate.run(model, tmp_path / "whole.json")
    assert found["weights"] == evaluate.fingerprint(model)
    for name in evaluate.PARTS:
        part = found[name]
        assert sum(map(int, part["questions_per_scene"])) == len(part["kind_of_question"]) == 8
        for test in (test for tests in SMALL for test in tests):
            rows = part["hits"][test.arm.name]
            for ratio in test.ratios:
                row = rows[str(ratio)]
                assert row["n"] == (5 if test.of_some else 8)
                assert len(row["hits"]) == test.arm.masks
                assert row["k"] == pytest.approx(ratio * part["visual_tokens"], rel=0.05)
        overlap = part["overlap"]
        assert overlap["n"] == 5 and overlap["in_common"][OURS[PUBLISHED].name]["mean"] == 1
        assert overlap["spread"][PUBLISHED]["mean"] > 0
        assert part["rechecked"] == {"cells": 3, "same_tokens": 3, "agree": 3}
    assert found["stills"]["choosing"]["n"] <= 4 and "choosing" not in found["clips"]
    assert json.loads((tmp_path / "whole.json").read_text()) == found

    # Killed after its third arm, it goes on, and ends with the same.
    measured = measuring.Measuring._measured
    done = []

    def killed(self, arm, *more):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append(arm)
        return measured(self, arm, *more)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(measuring.Measuring, "_measured", killed)
        evaluate.run(model, tmp_path / "killed.json")
    half = json.loads((tmp_path / "killed.json").read_text())
    assert set(half["stills"]["hits"]) == {arm.name for arm in done} and "clips" in half
    asked_again = []

    def watched(self, arm, *more):
        asked_again.append(arm.name)
        return measured(self, arm, *more)

    monkeypatch.setattr(measuring.Measuring, "_measured", watched)
    assert evaluate.run(model, tmp_path / "killed.json") == found
    assert len(asked_again) == 10 - 3
    # Nothing is left to do, and nothing is loaded for it; of other weights nothing is believed.
    asked_again.clear()
    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "Asking", None)
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
    parts = evaluate.PARTS
    for first, n in (
        (evaluate.FIRST_SEED, max(part.questions for part in parts.values())),
        (evaluate.CHOOSING_SEED, max(part.choosing for part in parts.values())),
    ):
        assert first + n < FIRST_TRAINING_SEED
    assert evaluate.CHOOSING_SEED + parts["stills"].choosing < evaluate.FIRST_SEED
    assert sum(part.questions for part in parts.values()) >= 5_000


def test_the_plan_is_the_grid_and_the_ablations():
    of = {
        name: [test for tests in plan for test in tests]
        for name, plan in (("stills", STILLS), ("clips", CLIPS))
    }
    for tests in of.values():
        arms = {test.arm for test in tests}
        assert len({arm.name for arm in arms}) == len(arms)
        assert {arm.method for arm in arms} == {*config.METHODS, "all"}
        assert {UNPRUNED, RANDOM, *BLIND, *IN_PLACE, *BEHIND} <= arms
        assert {Arm("rediprune", query) for query in MADE_UP} <= arms
        for arm in (OURS[PUBLISHED], OURS[TOWER], RANDOM, *BLIND):
            assert {r for test in tests if test.arm == arm for r in test.ratios} == set(KEEP_RATIOS)
        assert all(set(test.ratios) <= {1.0, *KEEP_RATIOS} for test in tests)
    arms = {test.arm for test in of["stills"]}
    assert {*alpha_arms(PUBLISHED), *alpha_arms(TOWER)} <= arms
    assert {OURS[query] for query in QUERIES} <= arms
    assert {arm.shared for arm in (OURS[PUBLISHED], OURS[TOWER])} <= {test.arm for test in of["clips"]}
    # Stills: the ablations are asked everything; only half of the tokens is measured on some alone.
    assert all(test.ratios == KEEP_RATIOS[:1] for test in of["stills"] if test.of_some)
    assert {HEADLINE, HARD} <= set(KEEP_RATIOS) and 0.5 in ALPHAS


def case(patches: tuple[int, ...], scene: int) -> Case:
    return Case(scene, Question("What color is the star?", "red", "color", patches), (0,), (1,))


def test_pointing_counts_the_tokens_on_the_answer():
    """Answers on patches 0..3 and 0; relevance says so; the picks go on it every other time."""
    asked = [case((0, 1, 2, 3), 0), case((0,), 1), case((), 2)]
    relevance = {query: [-torch.arange(20.0)[None]] * 3 for query in QUERIES}
    kept = {query: [torch.tensor([0, 1, 18, 19])] * 3 for query in QUERIES}
    said = pointing(asked, 20, relevance, kept, [torch.arange(16, 20)] * 3)
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
