"""A visitor's own choice of tokens, from the list the browser sends to the answer. No browser."""

import json
from threading import Event

import pytest
import torch

from app.answer import handlers
from app.state.app_state import AppState, PageRun
from app.state.sources import Source
from app.state.user_tokens import parse_user_tokens
from rediprune import Explainer
from rediprune.explainer.model_card import Card
from rediprune.tokens import VisionTokens
from tests.support import tiny

SLIDERS = {"keep": 0.15, "weight": 1 / 3}


def seen(present=None):
    return VisionTokens(torch.randn(2, 5, 4), (), present)


def test_tokens_come_in_any_order_and_go_on_ascending_each_once():
    assert parse_user_tokens([7, 0, 3, 7], seen()).tolist() == [0, 3, 7]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "No token is chosen"),
        (None, "whole numbers"),
        ("3", "whole numbers"),
        ([1.0], "whole numbers"),
        ([True], "whole numbers"),
        ([[1]], "whole numbers"),
        ([-1], "no token -1"),
        ([3, 10], "no token 10"),
        ([2**80], "no token"),
    ],
)
def test_what_names_no_tokens_gets_a_sentence(given, words):
    with pytest.raises(ValueError, match=words):
        parse_user_tokens(given, seen())


def test_padding_cannot_be_chosen():
    present = torch.ones(2, 5, dtype=torch.bool)
    present[1, 4] = False
    with pytest.raises(ValueError, match="no token 9 in this picture: choose among its 9"):
        parse_user_tokens([0, 9], seen(present))


@pytest.fixture(scope="module")
def state():
    return AppState(Explainer(tiny.model(), tiny.processor(), "tiny", Card()))


def run_of(state):
    return PageRun(
        Source(seed=1), "Where is the dog?", "rediprune", "prompt-tail", model=state.models.generation
    )


def test_the_answer_says_whose_choice_it_is_and_the_estimate_is_of_these_tokens(state):
    views = list(handlers.answer_with_user_tokens(state, [9, 2, 4], run_of(state), SLIDERS, Event()))
    cards = [view.answers for view in views if view.answers and "full" in view.answers][-1]
    assert cards["at"]["own"] == "2,4,9" and cards["pruned"]["n"] == 3 and "KL" in cards["line"]
    assert all(view.explorer is None for view in views)  # the picture shows it already
    table = json.loads(next(view.savings for view in views if view.savings)["table"])
    assert table["own"] == "2,4,9"
    assert table["mine"]["visual_only"] > table["rows"][99]["visual_only"] == 1.0
    assert table["mine"]["flops"][1] == 0  # choosing by hand costs no compute


@pytest.mark.parametrize("tokens", [None, [], [36], "all", [{"a": 1}]])
def test_a_bad_list_gets_a_sentence_and_answers_nothing(state, tokens):
    views = list(handlers.answer_with_user_tokens(state, tokens, run_of(state), SLIDERS, Event()))
    assert views[-1].notice["kind"] == "error"
    assert views[-1].answers == {"busy": False}


def test_tokens_of_an_earlier_models_picture_are_refused(state):
    old = PageRun(
        Source(seed=1), "Where is the dog?", "rediprune", "prompt-tail", model=state.models.generation + 1
    )
    views = list(handlers.answer_with_user_tokens(state, [1], old, SLIDERS, Event()))
    assert "earlier model" in views[-1].notice["text"]
