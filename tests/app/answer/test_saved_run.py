"""A saved run on the page, without a browser: saved, opened, shown, asked further; and what cannot be."""

import json
from dataclasses import replace
from threading import Event
from types import SimpleNamespace

import pytest
import torch

from app.answer import answering, handlers
from app.answer import compare as comparing
from app.export.overlay import write_overlay
from app.export.run_file import write_run_file
from app.state import sources
from app.state.app_state import OPENED, AppState, PageRun
from app.state.sources import Source
from app.story.handler import build_story
from app.views.evidence import distances_payload
from rediprune import Explainer, load_trace
from rediprune.explainer.model_card import Card
from rediprune.explainer.model_holder import ModelHolder
from tests.support import tiny

SLIDERS = {"keep": 0.25, "weight": 1 / 3}
QUESTION = "Where is the dog?"


@pytest.fixture(autouse=True)
def uploads(tmp_path, monkeypatch):
    """The folder of uploads is this test's own."""
    monkeypatch.setattr(sources, "get_upload_folder", lambda: str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    return tmp_path / "uploads"


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card())


@pytest.fixture
def state(explainer):
    return AppState(explainer)


@pytest.fixture
def stranger():
    """A page whose model is another one."""
    return AppState(Explainer(tiny.model(seed=3), tiny.processor(), "other", Card()))


def run_of(state, **more):
    return PageRun(
        Source(seed=1), QUESTION, "rediprune", "prompt-tail", model=state.models.generation, **more
    )


def answered(state, run, **how):
    return list(answering.answer(state, answering.AnswerRequest(run, SLIDERS, **how), Event()))


def last(found, part):
    return [value for view in found if (value := getattr(view, part)) is not None][-1]


def saved(state, uploads, own=None, **more):
    run = run_of(state, **more)
    views = answered(state, run, user_tokens=own)
    file, said = write_run_file(state, run, SLIDERS, own, uploads)
    assert said.startswith("Saved rediprune-scene-1.json, ")
    return file, views


def opened(state, file):
    (view,) = handlers.open_trace(state, str(file))
    return view


def test_what_was_saved_is_shown_again(state, explainer, uploads):
    file, before = saved(state, uploads)
    encodes, view = explainer.encodes, opened(AppState(explainer), file)
    cards = last(before, "answers")
    for side in ("full", "pruned"):
        assert {k: view.answers[side][k] for k in ("text", "n")} == {k: cards[side][k] for k in ("text", "n")}
        assert "measured earlier" in view.answers[side]["time"]
    assert view.answers["line"] == cards["line"] and view.answers["opened"] and not view.answers["quick"]
    assert view.answers["at"] == cards["at"] | {"model": OPENED}
    shown = last(before, "explorer")
    same = ("pictures", "frames", "orders", "relevance", "pick_distance", "pick_score", "between", "weights")
    assert {name: view.explorer[name] for name in same} == {name: shown[name] for name in same}
    table, here = (json.loads(v["table"]) for v in (view.savings, last(before, "savings")))
    assert table == here
    assert view.sliders == SLIDERS and view.question == QUESTION
    assert "nothing was run here" in view.notice["text"]
    assert view.run.model == OPENED and explainer.encodes == encodes


def test_it_is_the_trace_of_the_library(state, explainer, uploads):
    file, _ = saved(state, uploads)
    trace, made = (
        load_trace(file),
        explainer.run(sources.load_frames(Source(seed=1))[0], QUESTION, explainer.defaults),
    )
    assert torch.equal(trace.vision.features, made.vision.features)
    assert trace.full.text == made.full.text and trace.fingerprint == explainer.fingerprint


def test_tokens_of_ones_own_are_shown_as_such(state, uploads):
    file, before = saved(state, uploads, own=[2, 4, 9])
    view = opened(state, file)
    assert view.explorer["own"] == {"tokens": [2, 4, 9], "keep": 0.25, "weight": 1 / 3}
    assert view.answers["at"]["own"] == "2,4,9" and view.answers["pruned"]["n"] == 3
    assert json.loads(view.savings["table"])["mine"] == json.loads(last(before, "savings")["table"])["mine"]


def test_an_answer_that_is_not_finished_cannot_be_saved(state, uploads):
    with pytest.raises(ValueError, match="no finished answer"):
        write_run_file(state, run_of(state), SLIDERS, None, uploads)


def test_an_opened_run_can_be_saved_again(state, uploads):
    file, _ = saved(state, uploads)
    text = file.read_text()
    again, _ = write_run_file(state, opened(state, file).run, SLIDERS, None, uploads)
    a, b = json.loads(text), json.loads(again.read_text())
    assert a == b


def test_another_models_page_shows_it_too(state, stranger, uploads):
    file, before = saved(state, uploads)
    view = opened(stranger, file)
    assert view.answers["full"]["text"] == last(before, "answers")["full"]["text"]
    assert "made by tiny, which is not the open model" in view.notice["text"]
    assert [value for _, value in view.method["choices"]] == ["rediprune"]


def test_everything_that_needs_no_model_works_there(state, stranger, uploads):
    file, _ = saved(state, uploads)
    run = opened(stranger, file).run
    assert len(json.loads(build_story(stranger, run, SLIDERS)["told"])["steps"]) == 7
    assert distances_payload(stranger, run)["between"]
    drawn, _ = write_overlay(stranger, run, {"keep": 0.5, "weight": 0.9}, "png", 0, uploads)
    assert drawn.is_file()


@pytest.mark.parametrize("method", ["divprune", "cdpruner"])
def test_a_run_by_a_method_behind_the_projector_is_told_and_drawn_as_well(state, stranger, uploads, method):
    run = replace(run_of(state), method=method)
    answered(state, run)
    file, _ = write_run_file(state, run, SLIDERS, None, uploads)
    shown = opened(stranger, file).run
    story = build_story(stranger, shown, SLIDERS)
    assert len(json.loads(story.get("told", "{}")).get("steps", [])) == 7, story
    drawn, _ = write_overlay(stranger, shown, SLIDERS, "picking.png", 0, uploads)
    assert drawn.is_file()
    assert list(comparing.compare(state, shown, SLIDERS, [method], Event()))[-1]["told"]


def test_what_needs_the_model_is_refused_there_in_one_sentence(state, stranger, uploads):
    file, _ = saved(state, uploads)
    run = opened(stranger, file).run
    for found in (
        answered(stranger, run),
        list(handlers.answer_with_user_tokens(stranger, [1], run, SLIDERS, Event())),
        list(handlers.change_settings(stranger, run, "random", "prompt-tail", "frame", SLIDERS, Event())),
    ):
        assert "made by tiny, and the open model is other" in found[-1].notice["text"]
        assert found[-1].answers == {"busy": False}
    (news,) = comparing.compare(stranger, run, SLIDERS, ["rediprune"], Event())
    assert "made by tiny" in news["line"]


def test_weights_of_the_same_name_are_told_apart(state, uploads):
    file, _ = saved(state, uploads)
    twin = AppState(Explainer(tiny.model(seed=3), tiny.processor(), "tiny", Card()))
    said = answered(twin, opened(twin, file).run)[-1].notice["text"]
    assert "another tiny, with other weights" in said


def test_its_own_model_goes_on_with_it(state, explainer, uploads):
    file, before = saved(state, uploads)
    fresh = AppState(explainer)
    run = opened(fresh, file).run
    found = answered(fresh, run, redraw=False)
    cards = last(found, "answers")
    assert cards["full"]["text"] == last(before, "answers")["full"]["text"]
    assert not cards.get("opened") and cards["at"]["model"] == fresh.models.generation
    assert "everyone" not in last(found, "notice")["text"]
    mine = list(handlers.answer_with_user_tokens(fresh, [1, 2], run, SLIDERS, Event()))
    assert last(mine, "answers")["pruned"]["n"] == 2
    compared = list(comparing.compare(fresh, run, SLIDERS, ["rediprune"], Event()))
    assert compared[-1]["busy"] is False and "told" in compared[-1]


def test_from_an_opened_run_one_goes_on_to_an_example(state, stranger, uploads):
    file, _ = saved(state, uploads)
    run = opened(stranger, file).run
    found = list(handlers.show_example(stranger, 2, False, "", run, SLIDERS, Event()))
    assert last(found, "answers")["at"]["model"] == stranger.models.generation
    assert "everyone" not in last(found, "notice")["text"]
    assert last(found, "run").source == Source(seed=2)


@pytest.mark.parametrize("content", [b"", b"no json", b'{"format": 3}', b"\x80\x04pickle"])
def test_a_bad_file_gets_a_sentence_and_changes_nothing(state, uploads, content):
    (uploads / "bad.json").write_bytes(content)
    view = opened(state, uploads / "bad.json")
    assert view.notice["kind"] == "error" and "bad.json cannot be opened as a trace" in view.notice["text"]
    assert view.answers == {"busy": False} and view.run is None and view.explorer is None


@pytest.mark.parametrize("path", ["/etc/hostname", None, 5, "../secret"])
def test_a_path_that_was_not_uploaded_gets_a_sentence(state, path):
    (view,) = handlers.open_trace(state, path)
    assert "No file arrived" in view.notice["text"]


def test_a_file_that_is_gone_is_said(state, uploads):
    file, _ = saved(state, uploads)
    run = opened(state, file).run
    file.unlink()
    assert "no longer on the server" in answered(state, run)[-1].notice["text"]


def test_a_weight_between_two_stops_is_the_answers_own(state, explainer, uploads):
    from rediprune import PruneConfig, save_trace

    trace = explainer.run(tiny.image(), QUESTION, PruneConfig(0.25, alpha=0.7), max_new_tokens=2)
    view = opened(state, save_trace(trace, uploads / "between.json"))
    assert view.answers["at"]["weight"] == pytest.approx(0.7 / 1.7)
    assert view.answers["pruned"]["n"] == len(trace.kept)


def test_a_run_opens_while_no_model_does(state, uploads):
    file, before = saved(state, uploads)
    alone = AppState(ModelHolder(None))
    (view,) = handlers.open_trace(alone, str(file))
    assert view.answers["full"]["text"] == last(before, "answers")["full"]["text"]
    assert "no model is open" in answered(alone, view.run)[-1].notice["text"]


def test_whether_a_picture_is_outside_what_the_model_knows_goes_with_it(uploads):
    knows = "It knows only its own pictures."
    state = AppState(Explainer(tiny.model(), tiny.processor(), "tiny", Card(knows=knows)))
    tiny.image(4, (120, 80)).save(uploads / "photo.png")
    for source, outside in ((Source(seed=1), False), (Source(path=str(uploads / "photo.png")), True)):
        run = replace(run_of(state), source=source)
        answered(state, run)
        file, _ = write_run_file(state, run, SLIDERS, None, uploads)
        view = opened(state, file)
        assert (knows in view.notice["text"]) is outside
        assert last(answered(state, view.run), "answers")["foreign"] is outside


def test_a_link_is_answered(state):
    found = list(
        handlers.open_link(state, "?scene=2&keep=50&method=random&budget=x", run_of(state), SLIDERS, Event())
    )
    cards = last(found, "answers")
    assert (cards["at"]["keep"], cards["at"]["method"], cards["dials"]) == (0.5, "random", True)
    assert last(found, "sliders") == {"keep": 0.5, "weight": 1 / 3}
    assert last(found, "run").source == Source(seed=2)
    assert "budget “x”" in last(found, "notice")["text"]


def test_a_link_that_is_none_changes_nothing(state):
    (view,) = handlers.open_link(state, SimpleNamespace(), run_of(state), SLIDERS, Event())
    assert view.notice["kind"] == "error" and view.answers == {"busy": False}


def test_frames_are_not_taken_anew_from_an_opened_clip(state, uploads):
    file, _ = saved(state, uploads)
    run = opened(state, file).run
    assert [v.answers for v in handlers.resample_clip(state, 4, run, SLIDERS, Event())] == [{"busy": False}]


def test_a_choice_by_hand_in_an_opened_run_stays_in_the_picture(state, uploads):
    """The answer to it is a live one, so the picture is sent anew: with the choice, else it would be lost."""
    file, _ = saved(state, uploads)
    found = list(handlers.answer_with_user_tokens(state, [1, 2], opened(state, file).run, SLIDERS, Event()))
    assert last(found, "explorer")["own"] == {"tokens": [1, 2], "keep": 0.25, "weight": 1 / 3}


def test_the_question_of_an_opened_run_gives_way_to_the_examples_own(state, uploads):
    file, _ = saved(state, uploads)
    view = opened(state, file)
    for asked, kept in ((view.question, False), ("Mine?", True)):
        found = list(handlers.show_example(state, 2, False, asked, view.run, SLIDERS, Event()))
        assert (last(found, "run").question == asked) is kept


def test_an_agreement_that_the_file_does_not_know_is_not_called_certain(state, uploads):
    file, _ = saved(state, uploads)
    record = json.loads(file.read_text())
    record["agreement"]["full_on_full"] = None
    file.write_text(json.dumps(record))
    assert "unknown from all tokens" in opened(state, file).answers["line"]


def test_endless_seconds_in_a_file_are_no_measure_for_what_a_sweep_will_take(state, uploads):
    file, _ = saved(state, uploads)
    record = json.loads(file.read_text())
    record["measured"]["pruned"]["seconds"] = "inf"
    file.write_text(json.dumps(record))
    assert opened(state, file).answers["pruned"]["seconds"] is None
