"""The distances that a browser asks for: the library's own; refused if too many or another model's."""

import base64
from dataclasses import replace

import numpy as np
import pytest
import torch

from app.state.app_state import AppState, PageRun
from app.state.sources import Source, load_frames
from app.views import evidence
from app.views.evidence import distances_payload
from rediprune import Explainer
from rediprune.explainer.model_card import Card
from rediprune.selection.greedy import distances
from tests.support import tiny


@pytest.fixture(scope="module")
def state():
    return AppState(Explainer(tiny.model(), tiny.processor(), "tiny", Card()))


def run_of(state, budget="frame"):
    number = state.models.generation
    return PageRun(Source(seed=1), "Where is the dog?", "rediprune", "prompt-tail", budget, number)


@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_the_triangle_above_the_diagonal_comes_row_by_row_to_the_last_bit(state, budget):
    found = distances_payload(state, run_of(state, budget))
    with state.models.borrow() as explainer:
        look = explainer.look(load_frames(Source(seed=1))[0])
    between = distances(look.vision.features)[0]
    sent = np.frombuffer(base64.b64decode(found["between"]), "<f4")
    assert (found["picture"], found["budget"]) == (look.key, budget)
    assert np.array_equal(sent, between[tuple(torch.triu_indices(tiny.N, tiny.N, 1))].numpy())


def test_too_many_are_refused_with_what_to_do(state, monkeypatch):
    monkeypatch.setattr(evidence, "MOST_REQUESTED", tiny.N * (tiny.N - 1) // 2 - 1)
    with pytest.raises(ValueError, match="630 distances are too many for a browser: give each frame its own"):
        distances_payload(state, run_of(state))


def test_another_models_picture_is_refused(state):
    with pytest.raises(ValueError, match="earlier model"):
        distances_payload(state, replace(run_of(state), model=state.models.generation + 1))
