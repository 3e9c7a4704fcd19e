"""Check that every point of a sweep equals a run of its own, and that no work is done twice."""

from __future__ import annotations

import math
import threading

import pytest
import torch

from rediprune import Explainer, PruneConfig, alpha_from_weight
from rediprune.evaluation.sweep import Line, list_lines, sweep
from tests.support import tiny

QUESTION = "what color is the star"
METHODS = ("rediprune", "grid", "divprune", "cdpruner", "cls-attention")
RATIOS, WEIGHTS, NEW = (0.1, 0.5, 1.0), (0.0, 0.5), 4


class Counting(Explainer):
    """Count the calls of an Explainer."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.calls = {"select": 0, "answer": [], "expects": 0, "ask": 0}

    def select(self, *args, **kwargs):
        self.calls["select"] += 1
        return super().select(*args, **kwargs)

    def answer(self, look, asked, kept=None, **how):
        self.calls["answer"].append(None if kept is None else tuple(kept.tolist()))
        return super().answer(look, asked, kept, **how)

    def expects(self, *args, **kwargs):
        self.calls["expects"] += 1
        return super().expects(*args, **kwargs)


@pytest.fixture(scope="module")
def explainer() -> Explainer:
    return Counting(tiny.model(), tiny.processor(), "tiny")


@pytest.fixture(scope="module")
def look(explainer):
    return explainer.look(tiny.image())


@pytest.fixture(scope="module")
def points(explainer, look):
    return list(sweep(explainer, look, QUESTION, METHODS, RATIOS, WEIGHTS, seeds=3, max_new_tokens=NEW))


def test_every_line_comes_at_every_ratio_and_random_is_among_them(points):
    lines = list_lines(METHODS, WEIGHTS)
    assert [(p.ratio, p.line) for p in points] == [(r, line) for r in RATIOS for line in lines]
    assert [line.name for line in lines[:2]] == ["rediprune w=0.00", "rediprune w=0.50"]
    assert lines[-1] == Line("random")
    assert {len(p.runs) for p in points if p.line.method != "random"} == {1}
    assert {len(p.runs) for p in points if p.line.method == "random"} == {3}


def test_one_selection_for_a_line_and_one_answer_for_a_set(explainer, points):
    # rediprune's two weights at once; grid, divprune, cdpruner, cls-attention; random's three seeds
    assert explainer.calls["select"] == 1 + 4 + 3
    answers = explainer.calls["answer"]
    assert answers.count(None) == 1 and len(set(answers)) == len(answers)
    assert explainer.calls["expects"] == len(answers)
    assert tuple(range(tiny.N)) not in answers  # every token kept is the unpruned run


@pytest.mark.parametrize("where", [0, 3, 8])
def test_a_point_is_what_asking_it_alone_says(explainer, look, points, where):
    point = points[where]
    alpha = PruneConfig().alpha if point.line.weight is None else alpha_from_weight(point.line.weight)
    config = PruneConfig(point.ratio, alpha=alpha, method=point.line.method)
    trace = explainer.run(tiny.image(), QUESTION, config, max_new_tokens=NEW)
    (run,) = point.runs
    assert torch.equal(run.kept, trace.kept) and run.text == trace.pruned.text
    assert point.full_text == trace.full.text and run.same_text == trace.agreement.same_text
    assert run.log_prob == pytest.approx(trace.agreement.pruned_on_full, abs=1e-5)
    assert math.log(point.full_probability) == pytest.approx(trace.agreement.full_on_full, abs=1e-5)
    assert run.kl_first == pytest.approx(trace.agreement.kl_first, abs=1e-6)
    assert point.savings == trace.savings
    assert point.probability == pytest.approx(math.exp(run.log_prob))


def test_random_is_the_mean_of_its_seeds_with_their_spread(explainer, look, points):
    point = next(p for p in points if p.line.method == "random")
    asked = explainer.ask(look, QUESTION)
    for seed, run in enumerate(point.runs):
        alone = explainer.select(look, asked, PruneConfig(0.1, method="random", seed=seed))
        assert torch.equal(run.kept, alone.kept())
    found = [math.exp(run.log_prob) for run in point.runs]
    assert point.probability == pytest.approx(sum(found) / 3)
    assert point.probability_spread == (min(found), max(found)) and min(found) < max(found)


def test_every_token_kept_changes_nothing(points):
    for point in points[-len(list_lines(METHODS, WEIGHTS)) :]:
        assert point.ratio == 1 and point.same_text == 1 and point.kl_first == 0
        assert point.probability == pytest.approx(point.full_probability)
        assert point.savings.end_to_end == 1


def test_the_answer_is_asked_with_the_settings_of_the_config(explainer):
    look = explainer.look([tiny.image(0), tiny.image(1)])
    config = PruneConfig(budget="shared", positions="original", seed=7)
    (point,) = sweep(explainer, look, QUESTION, ["random"], [0.1], config=config, seeds=1, max_new_tokens=NEW)
    asked = explainer.ask(look, QUESTION)
    alone = explainer.select(look, asked, PruneConfig(0.1, method="random", budget="shared", seed=7))
    answer = explainer.answer(look, asked, alone.kept(), max_new_tokens=NEW, positions="original")
    assert torch.equal(point.runs[0].kept, alone.kept()) and point.runs[0].text == answer.text


def test_a_stop_ends_it_after_the_points_that_are_done(explainer, look):
    stop, found = threading.Event(), []
    for point in sweep(explainer, look, QUESTION, ["grid"], [0.1, 0.2, 0.3], stop=stop, max_new_tokens=NEW):
        found.append(point)
        if len(found) == 2:
            stop.set()
    assert len(found) == 2
    assert list(sweep(explainer, look, QUESTION, ["grid"], [0.1], stop=stop)) == []


def test_what_makes_no_sense_is_refused_in_one_sentence(explainer, look):
    siglip = Explainer(tiny.model(vision_feature_layer=[-2, -1]), tiny.processor())
    assert "cls-attention" in explainer.methods and "cls-attention" not in siglip.methods
    for other, settings, says in [
        (explainer, {"methods": []}, "no methods to sweep"),
        (explainer, {"methods": ["magic"]}, "method='magic' cannot be swept here"),
        (siglip, {"methods": ["cls-attention"]}, "method='cls-attention' cannot be swept here"),
        (explainer, {"ratios": [0.1, 0]}, "keep_ratio=0 is out of range"),
        (explainer, {"ratios": []}, "at least one of each"),
        (explainer, {"seeds": 0}, "at least one of each"),
        (explainer, {"weights": [2]}, "weight=2 is out of range"),
        (explainer, {"methods": ["rediprune"], "weights": []}, "no weights to sweep"),
        (explainer, {"config": PruneConfig(tau=0.1)}, "tau=0.1 cannot be swept"),
    ]:
        with pytest.raises(ValueError, match=says):
            next(sweep(other, look, QUESTION, **{"methods": ["grid"], **settings}))
