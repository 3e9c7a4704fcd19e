"""recorded: an opened trace does what its model did as far as none is needed, and says so where one is."""

from dataclasses import replace

import pytest
import torch

from rediprune import PruneConfig, alpha_from_weight, load_trace, save_trace
from rediprune.explainer.explainer import Explainer
from rediprune.models import ModelError
from rediprune.replay.recorded_run import RecordedRun
from tests.support import tiny

QUESTION = "what color is the star"
WEIGHTS = [alpha_from_weight(w) for w in sorted({i / 20 for i in range(21)} | {1 / 3})]


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), name="tiny")


def made(explainer, folder, **dials):
    trace = explainer.run(tiny.image(), QUESTION, PruneConfig(0.25, **dials), max_new_tokens=2)
    return RecordedRun(load_trace(save_trace(trace, folder / "run.json")))


def live(explainer, config, alphas=None):
    look = explainer.look(tiny.image())
    return explainer.select(look, explainer.ask(look, QUESTION, config), config, alphas)


def chosen(recorded, alphas=None, **dials):
    look = recorded.look()
    config = replace(recorded.defaults, **dials)
    return recorded.select(look, recorded.ask(look, QUESTION), config, alphas)


@pytest.mark.parametrize("method", ["rediprune", "relevance", "diversity", "divprune", "cdpruner", "random"])
def test_every_weight_is_chosen_as_the_model_would(explainer, tmp_path, method):
    recorded = made(explainer, tmp_path, method=method)
    here, there = chosen(recorded, WEIGHTS), live(explainer, recorded.defaults, WEIGHTS)
    assert torch.equal(here.order, there.order) and here.alphas == there.alphas
    for name in ("relevance", "distance", "score"):
        a, b = getattr(here, name), getattr(there, name)
        assert (a is None and b is None) or torch.equal(a.nan_to_num(9), b.nan_to_num(9))
    assert recorded.differing() == 0


def test_the_recorded_order_stands_even_where_it_comes_out_otherwise_here(explainer, tmp_path):
    recorded = made(explainer, tmp_path)
    trace, order = recorded.trace, recorded.trace.selection.order.flip(-1)
    told = RecordedRun(replace(trace, selection=replace(trace.selection, order=order)))
    assert torch.equal(chosen(told).order, order)
    theirs = [w for w, one in enumerate(chosen(told, WEIGHTS).order) if torch.equal(one, order)]
    assert theirs == [WEIGHTS.index(alpha_from_weight(1 / 3))]
    assert told.differing() > 0


def test_answers_agreement_and_estimates_are_the_recorded_ones(explainer, tmp_path):
    recorded = made(explainer, tmp_path)
    look, trace = recorded.look(), recorded.trace
    asked = recorded.ask(look, QUESTION)
    assert recorded.answer(look, asked) is trace.full
    assert recorded.answer(look, asked, trace.kept) is trace.pruned
    assert recorded.agreement(look, asked, trace.kept, trace.full, trace.pruned) is trace.agreement
    n_new = len(trace.full.token_ids)
    assert recorded.savings(look, asked, trace.kept, n_new) == trace.savings
    here, kept = explainer.look(tiny.image()), trace.selection.kept(0.6)
    asked_here = explainer.ask(here, QUESTION)
    assert recorded.savings(look, asked, kept, 3) == explainer.savings(here, asked_here, kept, 3)
    assert recorded.savings(look, asked, kept, 3, "random") == explainer.savings(
        here, asked_here, kept, 3, "random"
    )
    assert recorded.llm_width == explainer.llm_width


@pytest.mark.parametrize(
    "ask",
    [
        lambda r, look: r.ask(look, "Is it another question?"),
        lambda r, look: r.ask(look, QUESTION, replace(r.defaults, query="text-tower")),
        lambda r, look: r.answer(look, r.ask(look, QUESTION), torch.tensor([0])),
        lambda r, look: r.select(look, r.ask(look, QUESTION), replace(r.defaults, method="divprune")),
    ],
)
def test_what_needs_a_model_is_refused_in_one_sentence(explainer, tmp_path, ask):
    recorded = made(explainer, tmp_path)
    with pytest.raises(ModelError, match="opened from a file"):
        ask(recorded, recorded.look())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: replace(t, frames=()), "pictures"),
        (lambda t: replace(t, costs=None), "costs"),
        (lambda t: replace(t, selection=replace(t.selection, config=PruneConfig(tau=0.1))), "tau"),
    ],
)
def test_a_trace_that_lacks_something_cannot_stand_in_for_its_model(explainer, tmp_path, change, words):
    with pytest.raises(ValueError, match=words):
        RecordedRun(change(made(explainer, tmp_path).trace))


def test_tokens_too_many_for_memory_are_refused_before_anything_is_chosen(explainer, tmp_path, monkeypatch):
    """A file of a few MB can hold 100,000 tokens of one number each; their distances take 40 GB."""
    trace = made(explainer, tmp_path).trace
    monkeypatch.setattr("rediprune.replay.recorded_run.MOST_DISTANCES", tiny.N**2)
    RecordedRun(trace)
    monkeypatch.setattr("rediprune.replay.recorded_run.MOST_DISTANCES", tiny.N**2 - 1)
    with pytest.raises(ValueError, match="too many"):
        RecordedRun(trace)
