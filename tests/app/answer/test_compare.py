"""Comparing and sweeping say what the library says, grow point by point, and end when told to."""

import csv
import io
import json
import math
import re
import threading
from dataclasses import replace

import pytest
import torch

from app.answer import compare
from app.page.web_part import WEB
from app.state import options, sources
from app.state.app_state import AppState, PageRun
from app.state.sources import Source
from rediprune import Explainer, config
from rediprune.draw import palette
from rediprune.evaluation.sweep import RATIOS, SEEDS, sweep
from rediprune.evaluation.sweep_report import overlaps
from rediprune.explainer.model_card import Card
from tests.support import tiny
from tests.support.footage import write

SLIDERS = {"keep": 0.25, "weight": 1 / 3}
QUESTION = "what color is the star?"
METHODS = ["rediprune", "grid"]
RUN = PageRun(Source(seed=1), QUESTION, "rediprune", "prompt-tail")


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card())


@pytest.fixture(scope="module")
def state(explainer):
    return AppState(explainer)


def news(state, work=compare.compare, run=RUN, methods=METHODS, stop=None):
    return list(work(state, run, SLIDERS, methods, stop or threading.Event()))


@pytest.fixture(scope="module")
def compared(state):
    return news(state)


def told(found):
    return json.loads(found[-1]["told"])


def test_cards_come_one_by_one_and_random_is_always_among_them(compared):
    counts = [len(json.loads(one["told"])["cards"]) for one in compared if "told" in one]
    assert counts == [1, 2, 3]
    assert [card["method"] for card in told(compared)["cards"]] == [*METHODS, "random"]
    assert [one["busy"] for one in compared] == [True, True, True, False]
    assert (compared[-1]["done"], compared[-1]["of"]) == (3, 3)


def test_the_numbers_are_those_of_the_librarys_sweep(compared, explainer):
    look = explainer.look(sources.load_frames(RUN.source)[0])
    points = list(sweep(explainer, look, QUESTION, METHODS, [0.25]))
    data = told(compared)
    for card, point in zip(data["cards"], points, strict=True):
        assert card["text"] == point.runs[0].text
        assert card["probability"] == pytest.approx(point.probability)
        assert (card["low"], card["high"]) == pytest.approx(point.probability_spread)
        assert (card["kl"], card["prefill"]) == pytest.approx((point.kl_first, point.savings.prefill))
        assert card["kept"] == point.n_kept
    assert data["cards"][2]["runs"] == SEEDS
    a, b = points[0].line, points[1].line
    assert data["overlap"][0][1] == data["overlap"][1][0] == pytest.approx(overlaps(points, 0.25)[a, b])
    assert [data["overlap"][i][i] for i in range(3)] == [1, 1, None]


def test_a_sweep_has_every_method_at_every_ratio_and_its_csv(state):
    found = news(state, compare.compare_over_ratios)
    data = told(found)
    assert [line["method"] for line in data["lines"]] == [*METHODS, "random"]
    assert all([p["ratio"] for p in line["points"]] == sorted(RATIOS) for line in data["lines"])
    rows = list(csv.DictReader(io.StringIO(data["csv"])))
    assert len(rows) == 3 * len(RATIOS) == found[-1]["of"]
    assert not found[-1]["busy"]
    assert all(re.fullmatch(r"\d+%|none of these", line["holds"]) for line in data["lines"])


def test_a_ratio_that_keeps_everything_by_rounding_is_said(state):
    sliders, stop = SLIDERS | {"keep": 0.99}, threading.Event()
    *_, end = compare.compare(state, RUN, sliders, METHODS, stop)
    assert end["line"].startswith("keep_ratio=0.99 keeps all 36 visual tokens")


def test_stopped_it_keeps_what_it_has_and_says_so(state):
    stop, found = threading.Event(), []
    for one in compare.compare_over_ratios(state, RUN, SLIDERS, METHODS, stop):
        found.append(one)
        if one["done"] == 2:
            stop.set()
    assert found[-1]["line"] == f"Stopped at 2 of {3 * len(RATIOS)}."
    assert sum(len(line["points"]) for line in told(found)["lines"]) == 2
    assert {line["holds"] for line in told(found)["lines"]} == {"not known: swept to 5% only"}


@pytest.mark.parametrize(
    ("methods", "said"),
    [(["magic"], "cannot be swept"), ("all", "list of their names"), ([1], "list of their names")],
)
def test_nonsense_from_a_strangers_request_is_a_sentence(state, methods, said):
    found = news(state, methods=methods)
    assert said in found[-1]["line"] and not found[-1]["busy"]


def test_nothing_ticked_leaves_random(state):
    assert [card["method"] for card in told(news(state, methods=[]))["cards"]] == ["random"]


def test_another_models_answers_are_not_compared(state):
    assert "earlier model" in news(state, run=replace(RUN, model=9))[-1]["line"]


def test_a_clip_shows_some_of_its_frames(state, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "get_upload_folder", lambda: str(tmp_path))
    path = write(tmp_path / "clip.mp4", images=[tiny.image(i, (84, 84)) for i in range(10)])
    run = replace(RUN, source=sources.file_source({"path": str(path)}, 8))
    card = told(news(state, run=run, methods=["grid"]))["cards"][0]
    assert len(card["pictures"]) == compare.FRAMES


def test_a_sweep_has_more_weights_where_they_are_asked_for(state):
    stop, sliders = threading.Event(), {**SLIDERS, "weights": True}
    data = told(list(compare.compare_over_ratios(state, RUN, sliders, ["rediprune"], stop)))
    names = [line["name"] for line in data["lines"]]
    weights = [f"ReDiPrune, weight {w:.2f}" for w in (1 / 3, *compare.MORE_WEIGHTS)]
    assert names == [*weights, "Random"]


def test_every_method_has_its_colour():
    assert set(palette.METHODS) == set(config.METHODS)


def test_the_visitors_own_tokens_are_one_more_card_with_the_numbers_of_the_page(state, explainer):
    own = [3, 4, 10, 30]
    found = list(compare.compare(state, RUN, {**SLIDERS, "own": own}, ["grid"], threading.Event()))
    cards, overlap = told(found)["cards"], told(found)["overlap"]
    assert [card["name"] for card in cards] == ["Uniform grid", "Random", "Your own tokens"]
    assert found[-1]["done"] == found[-1]["of"] == 3
    look = explainer.look(sources.load_frames(RUN.source)[0])
    asked, kept = explainer.ask(look, QUESTION), torch.tensor(own)
    full, pruned = explainer.answer(look, asked), explainer.answer(look, asked, kept)
    agreed = explainer.agreement(look, asked, kept, full, pruned)
    assert cards[-1]["text"] == pruned.text and cards[-1]["kept"] == 4
    assert cards[-1]["probability"] == pytest.approx(math.exp(agreed.pruned_on_full))
    assert cards[-1]["kl"] == pytest.approx(agreed.kl_first)
    config = options.to_prune_config(explainer, SLIDERS, "grid", "prompt-tail")
    grid = set(explainer.select(look, asked, config).kept().tolist())
    assert overlap[-1][0] == pytest.approx(len(grid & set(own)) / len(grid | set(own)))


def test_own_tokens_that_are_none_of_this_picture_get_a_sentence(state):
    found = list(compare.compare(state, RUN, {**SLIDERS, "own": [tiny.N]}, ["grid"], threading.Event()))
    assert "no token" in found[-1]["line"] and not found[-1]["busy"]


def test_the_time_that_is_left_is_said_and_called_an_estimate(compared):
    for one in compared[1:-1]:
        assert re.fullmatch(r"\d of 3, about \d+ s left \(estimate\)\.", one["line"])


def test_the_time_it_will_take_is_worked_out_from_the_two_answers(browser):
    script = (WEB / "cards" / "progress.js").read_text(encoding="utf-8")
    page = browser.new_page()
    took = [{"n": 100, "seconds": [2.0, 1.0]}, {"n": 20, "seconds": [1.0, 0.4]}]

    def seconds(took, ratios, runs):
        return page.evaluate(f"given => {{ {script}; return secondsFor(...given); }}", [took, ratios, runs])

    assert seconds(took, [0.2], 3) == pytest.approx(3 + 3 * 1.4)
    assert seconds(took, [0.2, 0.6, 1.0], 1) == pytest.approx(3 + 1.4 + 2.2 + 3)
    assert seconds([took[0], {"n": 20, "seconds": None}], [0.2], 3) is None
    assert seconds(None, [0.2], 3) is None
    page.close()
