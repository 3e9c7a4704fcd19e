"""The model that ships: small enough, what its card says, and able to answer about scenes it never saw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from rediprune import Explainer, PruneConfig, prune
from rediprune.explainer.explainer import DEFAULT_MODEL
from world import make_clip, make_scene
from world.evaluation.evaluate import SPLITS, fingerprint
from world.evaluation.report import __main__ as report

LLAVA, ROOT = DEFAULT_MODEL, DEFAULT_MODEL.parents[1]
UNSEEN = range(900_000, 900_012)  # neither trained on (from 1,000,000) nor in evaluation.json (from 500,000)


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return Explainer.from_pretrained()


@pytest.fixture(scope="module")
def evaluation() -> dict:
    return json.loads((LLAVA / "evaluation.json").read_text())


def test_no_file_is_too_large_for_plain_git_on_the_hub():
    large = [p.name for p in (ROOT / "assets").rglob("*") if p.is_file() and p.stat().st_size > 9 * 2**20]
    assert not large


def test_it_answers_about_scenes_it_never_saw(explainer):
    right = asked = 0
    for seed in UNSEEN:
        scene = make_scene(seed)
        look = explainer.look(scene.image)
        for q in scene.questions:
            right += explainer.answer(look, explainer.ask(look, q.text)).text == q.answer
            asked += 1
    assert asked > 60
    assert right / asked > 0.85  # guessing by the kind of question gets about 0.4


def test_it_answers_about_clips_it_never_saw(explainer):
    right = asked = 0
    for seed in UNSEEN[:5]:
        clip = make_clip(seed)
        look = explainer.look(clip.images)
        for q in clip.questions:
            right += explainer.answer(look, explainer.ask(look, q.text)).text == q.answer
            asked += 1
    assert asked > 25
    assert right / asked > 0.7  # guessing by the kind of question gets about 0.3


@torch.no_grad()
@pytest.mark.parametrize("seed", [0, 1])
def test_keeping_everything_is_the_unmodified_model(explainer, seed):
    scene = make_scene(seed)
    prompt = f"USER: <image>\n{scene.questions[0].text} ASSISTANT:"
    inputs = explainer.processor(images=scene.image, text=prompt, return_tensors="pt")
    how = {"max_new_tokens": 8, "output_logits": True, "return_dict_in_generate": True}
    plain = explainer.model.generate(**inputs, **how)
    with prune(explainer.model, PruneConfig(keep_ratio=1.0)):
        kept = explainer.model.generate(**inputs, **how)
    assert torch.equal(plain.sequences, kept.sequences)
    assert all(torch.equal(a, b) for a, b in zip(plain.logits, kept.logits, strict=True))


def test_the_default_query_points_at_the_answer(explainer):
    on = chance = 0.0
    for seed in UNSEEN:
        scene = make_scene(seed)
        look = explainer.look(scene.image)
        for q in (q for q in scene.questions if q.patches):
            relevance = explainer.select(look, explainer.ask(look, q.text)).relevance[0]
            top = relevance.topk(len(q.patches)).indices
            on += torch.isin(top, torch.tensor(q.patches)).float().mean().item()
            chance += len(q.patches) / len(relevance)
    assert on > 3 * chance


def test_tables_and_card_say_what_was_measured(evaluation):
    """The pages and rediprune.json are what `python -m world.evaluation.report` makes of evaluation.json."""
    said = report.build_tables(evaluation)
    for path, names in (
        (report.README, report.README_TABLES),
        (LLAVA / "README.md", report.CARD_TABLES),
        (report.FINDINGS, report.find_table_names(report.FINDINGS.read_text())),
    ):
        text = path.read_text()
        assert names and not [name for name in names if said[name] not in text], path
    assert json.loads((LLAVA / "rediprune.json").read_text()) == report.build_card(evaluation)


def test_the_evaluation_is_as_large_as_it_must_be_and_of_these_weights(evaluation):
    assert evaluation["weights"] == fingerprint(LLAVA)
    assert sum(evaluation[name]["questions"] for name in SPLITS) >= 5000
    for name, part in SPLITS.items():
        rows = evaluation[name]["hits"]
        for trial in (trial for trials in part.plan for trial in trials):
            n = part.n_subset if trial.subset_only else part.n_questions
            assert all(rows[trial.arm.name][str(ratio)]["n"] >= n for ratio in trial.ratios), trial
        again = evaluation[name]["rechecked"]
        assert again["cells"] == part.n_recheck
        assert min(again["same_tokens"], again["agree"]) >= 0.98 * again["cells"]  # rounding may break a tie


def test_each_folder_has_its_card():
    for folder in (LLAVA, Path(LLAVA).with_name("tiny-clip")):
        assert (folder / "README.md").read_text().startswith("---\nlicense: apache-2.0")
