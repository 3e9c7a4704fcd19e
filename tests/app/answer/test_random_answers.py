"""Answers from random tokens stand beside the other two: drawn as the method draws, counted, never hidden."""

import threading
from dataclasses import replace

import pytest
import torch

from app.answer import handlers
from app.answer.answering import AnswerRequest, answer
from app.answer.random_answers import DRAWS, draw_random_tokens
from app.state.app_state import AppState, PageRun
from app.state.sources import Source, load_frames
from app.views.cards import random_card
from rediprune import Answer, Explainer, PruneConfig
from rediprune.explainer.prepare import prepare_run
from tests.support import tiny
from tests.support.visitor import brief

RUN = PageRun(Source(seed=1), "What color is the star?", "rediprune", "prompt-tail")
SLIDERS = {"keep": 0.25, "weight": 1 / 3}


@pytest.fixture(scope="module")
def explainer():
    with brief():
        yield Explainer(tiny.model(), tiny.processor(), "tiny")


def cards_of(state, request, stop=None):
    updates = answer(state, request, stop or threading.Event())
    return [update.answers for update in updates if update.answers and "random" in update.answers]


def test_a_draw_is_that_of_the_method_and_as_many_as_were_kept(explainer):
    media, _ = load_frames(RUN.source)
    prepared = prepare_run(explainer, media, RUN.question, PruneConfig(0.25), [0.5])
    draws = [draw_random_tokens(explainer, prepared, 0, False, seed) for seed in range(DRAWS)]
    for seed, tokens in enumerate(draws):
        config = replace(prepared.config, method="random", seed=seed)
        expected = explainer.select(prepared.encoding, prepared.question, config).kept(0.25)
        assert torch.equal(tokens, expected)
    assert len({tuple(tokens.tolist()) for tokens in draws}) == DRAWS
    by_hand = draw_random_tokens(explainer, prepared, 3, True, 0)
    assert by_hand.numel() == 3 and by_hand.tolist() == sorted(set(by_hand.tolist()))


def test_a_quick_model_tries_every_draw_and_the_answers_add_up(explainer):
    state = AppState(explainer)
    found = cards_of(state, AnswerRequest(RUN, SLIDERS))
    assert found[0]["random"]["state"] == "wait"
    last = found[-1]["random"]
    assert last["state"] == "tried" and last["n"] == found[-1]["pruned"]["n"]
    assert sum(count for _, count in last["answers"]) == DRAWS
    agree = sum(count for text, count in last["answers"] if text == found[-1]["full"]["text"])
    assert last["time"].startswith(f"{agree} of {DRAWS} draws")
    # The same number of tokens again, at another weight: nothing is drawn anew.
    again = cards_of(state, AnswerRequest(RUN, SLIDERS | {"weight": 0.9}))
    assert again[0]["random"] == last


def test_where_others_wait_the_draws_are_offered_and_made_on_demand(explainer, monkeypatch):
    state = AppState(explainer)
    monkeypatch.setattr(state, "is_crowded", lambda: True)
    offered = cards_of(state, AnswerRequest(RUN, SLIDERS))[-1]["random"]
    assert offered["state"] == "offer" and offered["answers"] == []
    assert offered["time"].startswith("about") and offered["time"].endswith("(estimate)")
    asked = []
    plain = explainer.answer
    monkeypatch.setattr(
        explainer, "answer", lambda *args, **kwargs: asked.append(1) or plain(*args, **kwargs)
    )
    answers = list(handlers.answer_from_random(state, None, RUN, SLIDERS, threading.Event()))
    assert len(asked) == DRAWS, "the answers of before are used again"
    tried = [update.answers["random"] for update in answers if update.answers and "random" in update.answers]
    assert tried[-1]["state"] == "tried"


def test_a_stop_among_the_draws_leaves_the_offer_and_both_answers(explainer):
    state, stop = AppState(explainer), threading.Event()
    found = None
    for update in answer(state, AnswerRequest(RUN, SLIDERS), stop):
        if update.answers and "random" in update.answers:
            found = update.answers
            if found["random"]["answers"]:
                stop.set()
    assert found["random"]["state"] == "offer" and found["random"]["answers"] == []
    assert found["full"]["state"] == found["pruned"]["state"] == "done"


def test_an_empty_answer_is_named_and_the_commonest_comes_first():
    full = Answer("red", (1,), n_visual=9, n_text=3, seconds=0.1, first_token_seconds=0.1)
    card = random_card(["red", "", "", "blue", ""], 7, full, 5, "wait")
    assert card["answers"] == [["(no words)", 3], ["red", 1], ["blue", 1]]
    assert card["state"] == "tried" and card["time"] == "1 of 5 draws agree"
