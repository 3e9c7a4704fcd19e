"""The story holds this run's numbers: recomputed here by other ways, for every method, still and clip."""

import json
import math
import threading
from dataclasses import replace

import pytest
import torch

from app.answer import answering
from app.state import sources
from app.state.app_state import AppState, PageRun
from app.state.sources import Source
from app.story import handler, numbers
from rediprune import Explainer, PruneConfig, kept_count
from rediprune.explainer.model_card import Card
from tests.support import tiny
from tests.support.footage import write

SLIDERS = {"keep": 0.25, "weight": 1 / 3}
QUESTION = "what color is the star?"
K = kept_count(tiny.N, 0.25)


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card(why_query="It pointed best."))


@pytest.fixture(scope="module")
def state(explainer):
    return AppState(explainer)


def run_of(method="rediprune", source=None, budget="frame"):
    return PageRun(source or Source(seed=1), QUESTION, method, "prompt-tail", budget)


def told(state, run, sliders=SLIDERS):
    list(answering.answer(state, answering.AnswerRequest(run, sliders), threading.Event()))
    found = handler.build_story(state, run, sliders)
    assert "said" not in found, found
    story = json.loads(found["told"])
    return story, {step["id"]: step for step in story["steps"]}


@pytest.fixture(scope="module")
def steps(state):
    return told(state, run_of())[1]


def words(step):
    return " ".join(step["text"])


def test_the_default_query_says_why_it_is_the_default(steps):
    assert "It is the default of this model. It pointed best." in words(steps["query"])


def test_before_both_answers_are_there_a_sentence_says_so(explainer):
    assert "finished answer" in handler.build_story(AppState(explainer), run_of(), SLIDERS)["said"]


def test_the_story_of_another_model_is_not_told(state):
    assert "earlier model" in handler.build_story(state, replace(run_of(), model=7), SLIDERS)["said"]


def test_nonsense_from_a_strangers_request_is_a_sentence(state):
    assert "must be numbers" in handler.build_story(state, run_of(), {"keep": None, "weight": []})["said"]


def test_it_encodes_and_answers_nothing(state, explainer, steps, monkeypatch):
    encodes = explainer.encodes
    monkeypatch.setattr(explainer, "answer", None)
    assert "told" in handler.build_story(state, run_of(), SLIDERS)
    assert explainer.encodes == encodes


def test_every_step_lights_up_a_picture_that_was_sent(state):
    story, steps = told(state, run_of())
    assert list(steps) == ["encoder", "query", "relevance", "picks", "kept", "received", "saved"]
    assert {step["lights"] for step in steps.values()} == set(story["pictures"])
    assert len(set(story["pictures"].values())) == 4


def test_shapes_and_counts_are_the_models(state, explainer, steps):
    look = explainer.look(sources.load_frames(Source(seed=1))[0])
    asked = explainer.ask(look, QUESTION)
    assert f"{tiny.N} visual tokens" in words(steps["encoder"])
    assert f"C = {tiny.C}" in words(steps["encoder"]) and f"D = {tiny.D}" in words(steps["encoder"])
    text = asked.n_text
    assert f"{text + K} in place of {text + tiny.N}" in words(steps["received"])


def test_the_bars_are_the_weights_of_the_query_and_the_suffix_is_told_apart(state, explainer, steps):
    asked = explainer.ask(explainer.look(sources.load_frames(Source(seed=1))[0]), QUESTION)
    (bars,) = steps["query"]["shows"]
    assert [row["text"] for row in bars["rows"]] == [f"{w:.1%}" for w in asked.query.weights.tolist()]
    own = [row["name"] for row in bars["rows"] if row["own"]]
    assert "".join(own) == "".join(QUESTION.split())
    assert "no part of the question" in words(steps["query"]).lower()
    assert "never trained to share a space" in words(steps["query"])


@pytest.mark.parametrize(
    ("tokens", "question", "span"),
    [
        ((" ", "Is", " it", "?", " A", ":"), "Is it?", (1, 4)),
        (("<unk>", "it"), "Is it", None),
        (("is", " it"), "Is it", (0, 2)),
    ],
)
def test_the_question_is_found_among_the_tokens(tokens, question, span):
    assert numbers.find_question_span(tokens, question) == span


@pytest.mark.parametrize("alpha", [0.0, 0.5, math.inf])
def test_picks_and_runners_up_are_those_of_the_rule_written_out(explainer, alpha):
    look = explainer.look(tiny.image())
    asked = explainer.ask(look, QUESTION)
    selection = explainer.select(look, asked, PruneConfig(alpha=alpha))
    x = torch.nn.functional.normalize(look.vision.features[0].double(), dim=-1)
    s, taken = selection.relevance[0].double(), []
    for pick in numbers.list_first_picks(look.vision, selection):

        def score(i, taken=tuple(taken)):
            near = min((1 - float(x[i] @ x[j]) for j in taken), default=math.nan)
            return float(s[i]) if not taken or math.isinf(alpha) else near + alpha * float(s[i])

        rest = sorted((i for i in range(tiny.N) if i not in taken), key=score, reverse=True)
        assert (pick.token, pick.rival) == (rest[0], rest[1])
        assert pick.score == pytest.approx(score(rest[0]), abs=1e-5)
        assert pick.rival_score == pytest.approx(score(rest[1]), abs=1e-5)
        taken.append(pick.token)


def test_the_turned_query_is_the_mirror_image_and_the_query_keeps_its_own(explainer):
    look = explainer.look(tiny.image())
    asked = explainer.ask(look, QUESTION)
    found = numbers.measure_against(explainer, look, asked, PruneConfig(keep_ratio=0.25))
    assert torch.equal(found["turned"].relevance, -found["query"].relevance)
    assert found["query"].same == K
    assert all(0 <= one.same <= K for one in found.values())


def test_all_tokens_kept_lie_on_themselves(explainer):
    vision = explainer.look(tiny.image()).vision
    assert numbers.mean_distance_to_kept(vision, vision.all, "frame") == pytest.approx(0, abs=1e-5)
    assert numbers.mean_distance_to_kept(vision, vision.all[:1], "frame") > 0.01


@pytest.mark.parametrize("method", Explainer(tiny.model(), tiny.processor(), "tiny").methods)
def test_every_method_has_its_story(state, method):
    _, steps = told(state, run_of(method))
    assert f"{K} of {tiny.N} tokens stay" in words(steps["kept"])
    rows = steps["picks"]["shows"][0]["rows"]
    assert len(rows) == numbers.FIRST and rows[0][1].startswith("row ")


@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_a_clip_is_told_with_its_frames(state, tmp_path, monkeypatch, budget):
    monkeypatch.setattr(sources, "get_upload_folder", lambda: str(tmp_path))
    path = write(tmp_path / "clip.mp4", images=[tiny.image(i, (84, 84)) for i in range(10)])
    source = sources.file_source({"path": str(path)}, 4)
    _, steps = told(state, run_of(source=source, budget=budget))
    assert "T = 4 frames" in words(steps["encoder"])
    assert ("tokens of each frame are selected separately" in words(steps["picks"])) == (budget == "frame")


@pytest.mark.parametrize("sliders", [{"keep": 1.0, "weight": 1.0}, {"keep": 0.001, "weight": 0.0}])
def test_the_ends_of_the_sliders_have_a_story(state, sliders):
    _, steps = told(state, run_of(), sliders)
    assert f"{kept_count(tiny.N, sliders['keep'])} of {tiny.N} tokens stay" in words(steps["kept"])
