"""The evaluation measures what it says: exact answers, honest intervals, pointing against known relevance."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from rediprune import Explainer
from rediprune.models import Seen
from rediprune.trace import VisionTokens
from tests import tiny_world
from world import evaluate, make_clip, make_scene
from world.arms import ARMS, CLIP_ARMS, CLIP_ARMS_OF_SOME, QUERIES, RANDOM, SHARED, Arm
from world.bank import FIRST_TRAINING_SEED
from world.cases import MAX_NEW_TOKENS, Case, cases, clips, right, stills
from world.clip_questions import CLIP_KINDS
from world.export import export
from world.intervals import by_scene, wilson
from world.plans import FRAMES
from world.pointing import pointing
from world.questions import Question
from world.scenes import N_PATCHES

QUESTIONS, CLIP_QUESTIONS, SOME = 14, 9, 5
RATIOS = (0.15, 0.05)


@pytest.fixture(scope="module")
def explainer(tmp_path_factory) -> Explainer:
    """An untrained model: its answers are nonsense, but they are answers."""
    folder, reader = tmp_path_factory.mktemp("assets"), tiny_world.reader()
    source = torch.Generator().manual_seed(0)
    with torch.no_grad():
        # At this scale answers depend on every token of the prompt; at the usual start they hardly do.
        for weight in reader.llm.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 2 * weight[0].numel() ** -0.5, generator=source)
    export(tiny_world.tower(), reader, tiny_world.words(), folder)
    (folder / "tiny-llava" / "rediprune.json").write_text(json.dumps({"text_tower": "../tiny-clip"}))
    return Explainer.from_pretrained(folder / "tiny-llava")


@pytest.fixture(scope="module")
def found(explainer) -> dict:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "KEEP_RATIOS", RATIOS)
        patch.setattr(evaluate, "TOKENS_A_BATCH", 5 * N_PATCHES)  # so that the last batch is a smaller one
        stills = evaluate.evaluate_stills(explainer, QUESTIONS)
        return {"stills": stills, "clips": evaluate.evaluate_clips(explainer, CLIP_QUESTIONS, SOME)}


def test_every_arm_is_measured_at_every_ratio_with_its_interval(found):
    found = found["stills"]
    rows = {(row["arm"], row["keep_ratio"]): row for row in found["accuracy"]}
    assert set(rows) == {("unpruned", 1.0), *((arm.name, r) for arm in ARMS for r in RATIOS)}
    for (arm, ratio), row in rows.items():
        assert row["k"] == max(1, round(N_PATCHES * ratio))
        assert row["n"] == sum(kind["n"] for kind in row["by_kind"].values()) == QUESTIONS
        low, high = row["interval"]
        assert 0 <= low <= row["accuracy"] <= high <= 1
        if arm != "unpruned":
            assert set(row) >= {"minus_unpruned", "minus_random"}
    assert rows["random", 0.15]["minus_random"]["mean"] == 0
    assert found["questions"] == QUESTIONS
    per_scene = [len(make_scene(evaluate.FIRST_SEED + i).questions) for i in range(found["scenes"])]
    assert sum(per_scene[:-1]) < QUESTIONS <= sum(per_scene)


def test_clips_are_measured_with_both_budgets(found):
    """The less important arms on fewer questions, never at the first ratio; and that on fewer too."""
    found = found["clips"]
    rows = {(row["arm"], row["keep_ratio"]): row for row in found["accuracy"]}
    assert set(rows) == {
        ("unpruned", 1.0),
        *((arm.name, r) for arm in CLIP_ARMS for r in RATIOS),
        *((arm.name, r) for arm in CLIP_ARMS_OF_SOME for r in RATIOS[1:]),
    }
    of_some = {arm.name for arm in CLIP_ARMS_OF_SOME}
    for (arm, ratio), row in rows.items():
        assert row["n"] == (SOME if arm in of_some or ratio == RATIOS[0] else CLIP_QUESTIONS)
        assert set(row["by_kind"]) <= set(CLIP_KINDS)
        total = FRAMES * N_PATCHES
        shared = arm.endswith(SHARED) or ratio == 1
        assert row["k"] == (round(total * ratio) if shared else FRAMES * round(N_PATCHES * ratio))
        assert ("minus_frame" in row) == arm.endswith(SHARED)
    assert (found["frames"], found["visual_tokens"]) == (FRAMES, FRAMES * N_PATCHES)
    assert {row["pointing"] for row in found["pointing"]["rows"]} == {"cosine"}


def test_the_default_query_is_chosen_on_other_questions(found):
    assert found["stills"]["choosing"]["first_seed"] != found["stills"]["first_seed"]
    assert found["stills"]["choosing"]["n"] <= QUESTIONS // 4


def test_arms_differ_by_name_and_cover_every_query():
    names = [arm.name for arm in ARMS]
    assert len(set(names)) == len(names)
    assert {(arm.query, arm.pointing) for arm in ARMS if arm.method == "rediprune"} == set(QUERIES)
    assert "rediprune (text-tower/value)" in names
    assert "random" in names


def test_what_is_found_survives_json(found):
    assert json.loads(json.dumps(found))["stills"]["pointing"]["k"] == 29


@pytest.fixture(scope="module")
def made(explainer) -> list[Case]:
    return list(cases(explainer, stills(evaluate.FIRST_SEED), 9, ARMS, RATIOS))


@pytest.fixture(scope="module")
def made_of_clips(explainer) -> list[Case]:
    return list(cases(explainer, clips(evaluate.FIRST_SEED), 7, CLIP_ARMS, RATIOS))


def test_its_scenes_are_held_out_and_every_kind_is_asked(made, made_of_clips):
    for found, asked in ((made, make_scene), (made_of_clips, make_clip)):
        assert all(evaluate.FIRST_SEED <= c.seed < FIRST_TRAINING_SEED for c in found)
        first = asked(evaluate.FIRST_SEED).questions
        assert tuple(c.question for c in found)[: len(first)] == first[: len(found)]
    assert set(made[0].kept) == {(arm, ratio) for arm in ARMS for ratio in RATIOS}
    assert set(made[0].relevance) == set(QUERIES)
    assert len(made_of_clips[0].seen) == FRAMES


@pytest.mark.parametrize("of_clips", [False, True])
def test_an_answer_in_a_batch_is_the_explainer_s_own(explainer, made, made_of_clips, of_clips):
    """Padding and neighbours change nothing: what the explainer answers alone is right, all else is wrong."""
    found = made_of_clips if of_clips else made[:7]
    assert len({len(case.input_ids) for case in found}) > 1
    arm = Arm("rediprune", "text-tower", "cosine", "shared") if of_clips else RANDOM
    kept = [case.kept[arm, 0.15] for case in found]
    echo = []
    for case, tokens in zip(found, kept, strict=True):
        look = explainer.look(make_clip(case.seed).images if of_clips else make_scene(case.seed).image)
        asked = explainer.ask(look, case.question.text)
        said = explainer.answer(look, asked, tokens, max_new_tokens=MAX_NEW_TOKENS)
        echo.append(replace(case, question=replace(case.question, answer=said.text)))
    assert len({c.question.answer for c in echo}) > 3
    assert all(right(explainer, echo, kept))
    wrong = [replace(c, question=replace(c.question, answer=c.question.answer + "!")) for c in echo]
    assert not any(right(explainer, wrong, kept))


def case(patches: tuple[int, ...], order: torch.Tensor, relevance: torch.Tensor, seed: int) -> Case:
    seen = Seen(VisionTokens(torch.zeros(1, 20, 4), ()), torch.arange(20))
    return Case(
        seed=seed,
        question=Question("What color is the star?", "red", "color", patches),
        input_ids=torch.zeros(1).long(),
        seen=(seen,),
        kept={(Arm("rediprune", *q), 0.2): order[:4] for q in QUERIES}
        | {(RANDOM, 0.2): torch.arange(16, 20)},
        relevance=dict.fromkeys(QUERIES, relevance),
    )


def test_pointing_counts_the_tokens_on_the_answer():
    """Answers on patches 0..3 and 0; relevance says so; the picks go on it every other time."""
    relevance = -torch.arange(20.0)
    order = torch.tensor([0, 19, 1, 18, *range(2, 18)])
    made = [
        case((0, 1, 2, 3), order, relevance, 0),
        case((0,), order, relevance, 1),
        case((), order, relevance, 2),
    ]
    said = pointing(made, QUERIES, 0.2)
    assert (said["n"], said["k"]) == (2, 4)  # the third has no answer to point at
    assert said["chance"] == pytest.approx((4 / 20 + 1 / 20) / 2)
    assert said["ceiling"] == pytest.approx((4 / 4 + 1 / 4) / 2)
    assert said["random"]["mean"] == said["random"]["any"] == 0
    for row in said["rows"]:
        assert row["top_relevance"]["mean"] == pytest.approx(said["ceiling"])
        assert row["kept"]["mean"] == pytest.approx((2 / 4 + 1 / 4) / 2)
        assert row["kept"]["any"] == 1


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_wilson_s_interval_has_its_published_values(successes, n, low, high):
    """The last line is an example of Newcombe 1998 (Statistics in Medicine 17:857)."""
    assert wilson(successes, n) == pytest.approx((low, high), abs=1e-4)


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
