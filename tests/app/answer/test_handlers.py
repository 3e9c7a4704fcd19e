"""What a visitor does, without a browser: real runs of a tiny model, and one sentence for every bad input."""

import base64
import importlib
import itertools
import json
import math
import threading
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from app.answer import answering, handlers
from app.state import options, sources
from app.state.app_state import AppState, PageRun
from app.state.sources import Source
from app.views import cards, explorer
from rediprune import Explainer, PruneConfig, alpha_from_weight, kept_count
from rediprune.costs.stopwatch import Timing
from rediprune.explainer.encode import as_media_input
from rediprune.explainer.model_card import Card
from tests.support import tiny
from tests.support.footage import write, write_sound

SLIDERS = {"keep": 0.25, "weight": 1 / 3}
KNOWS = "It knows only its own pictures."


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card(knows=KNOWS, why_query="it points best."))


@pytest.fixture(autouse=True)
def uploads(tmp_path, monkeypatch):
    """The folder of uploads is this test's own."""
    monkeypatch.setattr(sources, "get_upload_folder", lambda: str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    return tmp_path / "uploads"


@pytest.fixture(autouse=True)
def world(monkeypatch):
    """Clips of the built-in world are not what these tests are about, and take time to draw."""
    monkeypatch.setattr(sources, "_clip", _clip)


@cache
def _clip(seed):
    frames = [tiny.image(10 * seed + t) for t in range(8)]
    return SimpleNamespace(images=frames, questions=[SimpleNamespace(text="Is the dog near?")])


@pytest.fixture
def state(explainer):
    return AppState(explainer)


@pytest.fixture
def photo(uploads):
    path = uploads / "photo.png"
    tiny.image(1, (120, 80)).save(path)
    return Source(path=str(path))


def run_of(source=None, question="What color is the star?", method="rediprune", query="prompt-tail", **more):
    return PageRun(source or Source(seed=1), question, method, query, **more)


def media(source):
    return sources.load_frames(source)[0]


def answered(state, run, sliders=SLIDERS, **how):
    return list(answering.answer(state, answering.AnswerRequest(run, sliders, **how), threading.Event()))


def given(state, path, n_frames=8, asked="", **how):
    file = {"path": str(path)}
    return list(
        handlers.show_upload(state, file, n_frames, asked, run_of(), SLIDERS, threading.Event(), **how)
    )


def news(found):
    """The sentence that the visitor reads when something was not done; every view list must end with it."""
    notices = [view.notice for view in found if view.notice]
    assert notices[-1]["kind"] == "error"
    assert not (found[-1].answers or {}).get("busy")
    return notices[-1]["text"]


def last(found, part):
    return [value for view in found if (value := getattr(view, part)) is not None][-1]


def test_a_run_ends_with_both_answers_of_the_library(state, explainer):
    run = run_of()
    cards = last(answered(state, run), "answers")
    trace = explainer.run(media(run.source), run.question, PruneConfig(keep_ratio=0.25))
    assert cards["full"]["text"] == trace.full.text
    assert cards["pruned"]["text"] == trace.pruned.text
    assert cards["pruned"]["n"] == kept_count(tiny.N, 0.25) == trace.kept.numel()
    at = cards["at"]
    assert (at["keep"], at["weight"]) == (0.25, pytest.approx(1 / 3))
    assert (at["question"], at["method"], at["query"]) == (run.question, run.method, run.query)
    assert at["picture"] == last(answered(state, run), "explorer")["setting"]["picture"]
    assert not cards["busy"]


def test_both_answers_stream_growing_text(state):
    found = [view.answers for view in answered(state, run_of()) if view.answers and "full" in view.answers]
    for side in ("pruned", "full"):
        texts = [cards[side]["text"] for cards in found if cards[side]["state"] == "stream"]
        assert texts, side
        assert all(b.startswith(a) for a, b in itertools.pairwise(texts))


def test_the_browser_gets_the_orders_of_every_weight_as_the_library_picks_them(state, explainer):
    run = run_of()
    sent = last(answered(state, run), "explorer")
    orders = np.frombuffer(base64.b64decode(sent["orders"]), "<u2").reshape(len(options.WEIGHTS), tiny.N)
    look = explainer.look(media(run.source))
    asked = explainer.ask(look, run.question)
    for w in (0, 7, len(options.WEIGHTS) - 1):
        config = PruneConfig(alpha=alpha_from_weight(options.WEIGHTS[w]))
        assert (orders[w] == explainer.select(look, asked, config).order[0].numpy()).all()
    relevance = np.frombuffer(base64.b64decode(sent["relevance"]), "<f4")
    assert relevance == pytest.approx(explainer.select(look, asked).relevance[0].numpy())


def test_the_default_weight_is_a_stop_of_the_slider():
    assert PruneConfig().weight in [pytest.approx(w) for w in options.WEIGHTS]
    assert options.WEIGHTS[0] == 0 and options.WEIGHTS[-1] == 1


def test_a_moved_slider_encodes_nothing_and_answers_only_the_pruned_side_again(state, explainer, monkeypatch):
    answered(state, run_of())
    encodes, calls = explainer.encodes, []
    real = explainer.answer
    monkeypatch.setattr(explainer, "answer", lambda *a, **k: calls.append(a[2]) or real(*a, **k))
    found = answered(state, run_of(), {"keep": 0.5, "weight": 1.0}, redraw=False)
    assert explainer.encodes == encodes
    assert [kept.numel() for kept in calls] == [kept_count(tiny.N, 0.5)]
    assert all(view.explorer is None for view in found)


def test_at_100_percent_both_answers_are_the_same(state):
    cards = last(answered(state, run_of(), {"keep": 1.0, "weight": 0.0}), "answers")
    assert cards["full"]["text"] == cards["pruned"]["text"]
    assert "Same answer" in cards["line"]


def test_a_ratio_that_keeps_everything_by_rounding_is_answered_and_said(state):
    found = answered(state, run_of(), {"keep": 0.99, "weight": 0.5})
    cards = last(found, "answers")
    assert cards["full"]["text"] == cards["pruned"]["text"] and cards["pruned"]["n"] == tiny.N
    said = last(found, "notice")
    assert "keep_ratio=0.99 keeps all 36 visual tokens" in said["text"] and said["kind"] != "error"
    assert "keeps all" not in last(answered(state, run_of(), {"keep": 1.0, "weight": 0.5}), "notice")["text"]


def test_a_ratio_that_leaves_one_token_works(state):
    assert last(answered(state, run_of(), {"keep": 1e-6, "weight": 0.5}), "answers")["pruned"]["n"] == 1


def test_the_estimates_of_every_percent_are_the_librarys(state, explainer):
    run = run_of()
    table = json.loads(last(answered(state, run), "savings")["table"])
    assert len(table["rows"]) == 100
    trace = explainer.run(media(run.source), run.question, PruneConfig(keep_ratio=0.25))
    row = table["rows"][24]
    assert row["prefill"] == pytest.approx(trace.savings.prefill)
    assert row["kv"] == trace.savings.kv_bytes_pruned
    assert table["rows"][99]["visual_only"] == 1.0
    assert set(table["definitions"]) == {"visual_only", "prefill", "end_to_end", "kv_bytes", "measured"} | {
        "agreement",
        "weight",
        "relevance",
        "budget",
        "order",
        "distance",
    }


@pytest.mark.parametrize("method", ["random", "grid", "relevance", "diversity"])
def test_every_method_can_be_shown_with_its_relevance(state, method):
    sent = last(answered(state, run_of(method=method)), "explorer")
    assert not sent["setting"]["weighted"]
    assert len(base64.b64decode(sent["relevance"])) == 4 * tiny.N


def test_a_photo_is_shown_with_what_the_model_knows_and_how_to_load_another(state, photo):
    said = last(answered(state, run_of(photo)), "notice")
    assert KNOWS in said["text"] and "--model llava-hf/llava-1.5-7b-hf" in said["code"]


def test_a_scene_is_shown_without_a_word(state):
    assert last(answered(state, run_of()), "notice")["text"] == ""


@pytest.mark.parametrize(
    ("question", "words"),
    [("", "empty"), ("   \n", "empty"), ("why " * 2500, "10,0|9,9"), ("what is <image>", "control token")],
)
def test_a_question_that_cannot_be_asked_gets_a_sentence(state, question, words):
    assert any(w in news(answered(state, run_of(question=question))) for w in words.split("|"))


def test_a_script_in_a_question_is_asked_as_text(state):
    run = run_of(question="<script>alert(1)</script>")
    found = answered(state, run)
    assert last(found, "run").question == run.question
    assert not last(found, "answers")["busy"]


@pytest.mark.parametrize(
    "sliders",
    [
        {"keep": 0, "weight": 0.5},
        {"keep": math.nan, "weight": 0.5},
        {"keep": 0.5, "weight": 2},
        {"keep": "x"},
        {},
        None,
    ],
)
def test_sliders_out_of_range_get_a_sentence(state, sliders):
    assert news(answered(state, run_of(), sliders))


@pytest.mark.parametrize("changed", [{"method": "magic"}, {"query": "magic"}, {"budget": "magic"}])
def test_an_unknown_menu_entry_gets_a_sentence(state, changed):
    assert "magic" in news(answered(state, run_of(**changed)))


@pytest.mark.parametrize("seed", [-1, 1.5, "7", None, True, 2**40, math.nan, math.inf])
def test_a_scene_that_does_not_exist_gets_a_sentence(state, seed):
    found = list(handlers.show_example(state, seed, False, "", run_of(), SLIDERS, threading.Event()))
    assert "whole number" in news(found)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 64])
def test_a_broken_file_gets_a_sentence_that_names_it(state, uploads, content):
    path = uploads / "holiday.png"
    path.write_bytes(content)
    found = given(state, path)
    assert "holiday.png" in news(found)
    assert all(view.run is None for view in found)


def test_a_file_that_the_server_has_forgotten_gets_a_sentence(state):
    assert "no longer" in news(answered(state, run_of(Source(path="/nowhere/x.png"))))


def test_only_an_uploaded_file_is_a_source_and_every_other_path_gets_the_same_sentence(tmp_path, uploads):
    outside, link = tmp_path / "outside.png", uploads / "link.png"
    tiny.image(1).save(outside)
    link.symlink_to(outside)
    (tmp_path / "uploads2").mkdir()
    (tmp_path / "uploads2" / "x.png").write_bytes(outside.read_bytes())
    refused = (
        outside,
        link,
        uploads,
        uploads / ".." / "outside.png",
        uploads / "missing.png",
        tmp_path / "uploads2" / "x.png",
        "/etc/passwd",
        "https://example.org/x.png",
        "a\0b",
    )
    for file in (*({"path": str(path)} for path in refused), str(outside), {"path": 7}, {}, [], None):
        with pytest.raises(ValueError) as said:
            sources.file_source(file)
        assert str(said.value) == sources.NO_UPLOAD, file
    (uploads / "mine.png").write_bytes(outside.read_bytes())
    assert sources.file_source({"path": str(uploads / "mine.png")}).path == str(uploads / "mine.png")


@pytest.mark.parametrize("mode", ["CMYK", "LA", "1", "I;16", "P"])
@pytest.mark.parametrize("size", [(1, 1), (90, 60)])
def test_odd_pictures_are_answered(state, uploads, mode, size):
    path = uploads / "odd.tiff"
    Image.new(mode, size).save(path)
    found = given(state, path)
    assert last(found, "answers")["pruned"]["n"] == kept_count(tiny.N, SLIDERS["keep"])


def test_a_new_picture_replaces_a_suggested_question_but_not_ones_own(state):
    before = run_of()
    is_suggested = sources.suggestions(before.source)[0]
    for asked, expected in ((is_suggested, sources.suggestions(Source(seed=2))[0]), ("My own?", "My own?")):
        found = list(handlers.show_example(state, 2, False, asked, before, SLIDERS, threading.Event()))
        assert last(found, "question") == expected
        assert last(found, "run") == run_of(Source(seed=2), expected)


def test_a_stopped_answer_says_so_and_is_not_remembered(state, explainer):
    stop = threading.Event()
    found = []
    for view in answering.answer(state, answering.AnswerRequest(run_of(), SLIDERS), stop):
        found.append(view)
        if view.answers and view.answers.get("pruned", {}).get("state") == "stream":
            stop.set()
    assert "Stopped" in last(found, "answers")["line"]
    assert not last(found, "answers")["busy"]
    look = explainer.look(media(Source(seed=1)))
    assert state.full.get((0, look.key, run_of().question)) is None


def test_a_visitor_who_leaves_ends_the_answer(state):
    stop = threading.Event()
    running = answering.answer(state, answering.AnswerRequest(run_of(), SLIDERS), stop)
    next(running)
    running.close()
    assert stop.is_set()


def test_a_new_request_of_the_same_visitor_stops_the_old_one(state):
    with (
        state.take_turn("a", 1) as first,
        state.take_turn("b", 1) as other,
        state.take_turn("a", 2) as second,
    ):
        assert first.is_set() and not second.is_set() and not other.is_set()
    assert not state._running


def test_a_late_stop_never_hits_a_newer_request(state):
    with state.take_turn("a", 2) as newer:
        state.stop("a", 1)
        assert not newer.is_set()
        state.stop("a", 2)
        assert newer.is_set()


def test_a_request_that_was_stopped_in_the_queue_is_over_before_it_begins(state):
    state.stop("a", 3)
    for ticket, over in ((3, True), (2, True), (4, False), (-1, True)):
        with state.take_turn("a", ticket) as stop:
            assert stop.is_set() == over
    with state.take_turn("b", 1) as other:
        assert not other.is_set()


def test_a_menu_that_did_not_change_does_nothing_and_a_changed_one_asks_what_was_answered(state):
    before = run_of()
    same = (before.method, before.query, before.budget)
    (nothing,) = handlers.change_settings(state, before, *same, SLIDERS, threading.Event())
    assert nothing == cards.PageUpdate(answers=answering.IDLE)
    found = list(
        handlers.change_settings(state, before, "grid", before.query, "frame", SLIDERS, threading.Event())
    )
    assert last(found, "run") == run_of(method="grid")
    assert last(found, "answers")["at"]["method"] == "grid"


def test_a_remembered_answer_says_that_it_was_measured_earlier_and_the_times_compared_are_of_one_turn(
    state, explainer, monkeypatch
):
    answered(state, run_of())
    timed, real = [], explainer.time
    monkeypatch.setattr(explainer, "time", lambda *a, **how: timed.append(a[2] is None) or real(*a, **how))
    found = answered(state, run_of(), {"keep": 0.5, "weight": 0.5})
    cards = last(found, "answers")
    assert "measured earlier" in cards["full"]["time"] and "earlier" not in cards["pruned"]["time"]
    assert timed == [True, False] * (len(timed) // 2) and len(timed) in (10, 20, 30)  # again if it was busy
    assert last(found, "savings")["measured"].count("–") == 2  # each median beside its spread


def test_an_error_inside_is_logged_and_gets_a_sentence(state, explainer, monkeypatch, caplog):
    def fails(*_, **__):
        raise RuntimeError("inner secret")

    monkeypatch.setattr(explainer, "answer", fails)
    found = answered(state, run_of())
    said = news(found)
    assert "try again" in said and "inner secret" not in said
    assert found[-1].answers["full"]["state"] == "idle"  # never the answers of another question
    assert "inner secret" in caplog.text


def test_the_menu_offers_only_what_the_model_can(explainer):
    assert [name for _, name in options.query_choices(explainer)] == ["prompt-tail"]


@pytest.fixture
def video(uploads):
    return write(uploads / "clip.mp4", n=40, images=[tiny.image(t // 5, (120, 80)) for t in range(40)])


def test_a_clip_is_sent_frame_by_frame_with_its_times_and_where_its_tokens_lie(state, explainer, video):
    found = given(state, video, 4, part="clip")
    sent, run = last(found, "explorer"), last(found, "run")
    assert run.source == Source(path=str(video), n_frames=4)
    frames = json.loads(sent["frames"])
    shown = media(run.source)
    assert [frame["second"] for frame in frames] == list(shown.seconds)
    assert [frame["label"] for frame in frames] == [f"{second:.1f} s" for second in shown.seconds]
    assert [frame["picture"] for frame in frames] == [0, 1, 2, 3] and len(sent["pictures"]) == 4
    assert frames[0]["box"] == [20, 0, 100, 80] and frames[0]["whole"] == 0  # a square crop of 120 x 80
    assert len(frames[0]["x"]) == len(frames[0]["y"]) == 2 * tiny.GRID
    assert (sent["n"], sent["counts"], sent["clip"]) == (tiny.N, [tiny.N] * 4, True)
    assert last(found, "answers")["pruned"]["n"] == 4 * kept_count(tiny.N, SLIDERS["keep"])
    assert last(found, "budget")["interactive"]
    assert last(found, "photo")["value"] is None and all(view.clip is None for view in found)
    assert last(found, "question") == sources.CLIP_QUESTIONS[0]


@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_the_browser_gets_the_order_of_either_budget_as_the_library_picks_it(state, explainer, budget):
    run = run_of(Source(seed=2, clip=True), budget=budget)
    found = answered(state, run)
    sent = last(found, "explorer")
    groups = 8 if budget == "frame" else 1
    assert sent["counts"] == [8 * tiny.N // groups] * groups and not sent["wide"]
    orders = np.frombuffer(base64.b64decode(sent["orders"]), "<u2")
    orders = orders.reshape(len(options.WEIGHTS), groups, -1)
    look = explainer.look(media(run.source))
    config = PruneConfig(alpha=alpha_from_weight(options.WEIGHTS[7]), budget=budget)
    assert (
        orders[7] == explainer.select(look, explainer.ask(look, run.question), config).order.numpy()
    ).all()
    trace = explainer.run(media(run.source), run.question, PruneConfig(keep_ratio=0.25, budget=budget))
    table = json.loads(last(found, "savings")["table"])
    assert table["rows"][24]["end_to_end"] == pytest.approx(trace.savings.end_to_end)
    assert last(found, "answers")["pruned"]["text"] == trace.pruned.text


def test_one_frame_has_one_budget_and_the_menu_says_why(state, photo):
    for source in (Source(seed=1), photo):
        menu = last(answered(state, run_of(source)), "budget")
        assert not menu["interactive"] and "only one" in menu["label"]


def test_an_animated_picture_is_a_clip_wherever_it_is_given(state, uploads):
    path = uploads / "dance.gif"
    frames = [tiny.image(t) for t in range(5)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=500)
    found = given(state, path, part="photo")
    assert len(json.loads(last(found, "explorer")["frames"])) == 5
    assert "only 5 frames" in last(found, "notice")["text"]  # what load_video notes is said


def test_another_number_of_frames_asks_again_but_only_about_a_visitors_clip(state, video, photo):
    before = run_of(Source(path=str(video), n_frames=4), "Is it near?")
    found = list(handlers.resample_clip(state, 8, before, SLIDERS, threading.Event()))
    assert last(found, "run").source.n_frames == 8 and last(found, "run").question == "Is it near?"
    assert last(found, "answers")["full"]["n"] == 8 * tiny.N
    for other, n in ((before, 4), (run_of(photo), 16), (run_of(Source(seed=1, clip=True)), 16)):
        (nothing,) = handlers.resample_clip(state, n, other, SLIDERS, threading.Event())
        assert nothing == cards.PageUpdate(answers=answering.IDLE)
    for n in (0, 33, 2.5, "8", None, True):
        assert "from 1 to 32" in news(
            list(handlers.resample_clip(state, n, before, SLIDERS, threading.Event()))
        )
        assert "from 1 to 32" in news(given(state, video, n))


def bad_clip(folder, kind):
    path = folder / "holiday.mp4"
    if kind == "sound":
        return write_sound(folder / "holiday.wav", "pcm_s16le")
    if kind == "truncated":
        path.write_bytes(write(folder / "whole.mp4").read_bytes()[:300])
    else:
        path.write_bytes({"empty": b"", "text": b"Dear diary, " * 50}[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [("sound", "only sound"), ("truncated", "cut off"), ("empty", "empty"), ("text", "no video")],
)
def test_a_bad_clip_gets_its_sentence_empties_its_own_place_and_loses_nothing(state, uploads, kind, says):
    path = bad_clip(uploads, kind)
    found = given(state, path, part="clip")
    assert says in news(found) and path.name in news(found)
    assert len(found) == 1 and found[0].clip["value"] is None and found[0].photo is None
    assert found[0].run is found[0].explorer is found[0].question is None


def test_what_says_neither_is_told_both(state, uploads):
    (uploads / "notes.txt").write_text("Dear diary")
    assert "notes.txt is neither a picture nor a video" in news(given(state, uploads / "notes.txt"))


def test_a_clip_of_the_world_is_picked_by_its_number(state):
    found = list(handlers.show_example(state, 3, True, "", run_of(), SLIDERS, threading.Event()))
    assert last(found, "run").source == Source(seed=3, clip=True)
    frames = json.loads(last(found, "explorer")["frames"])
    assert [frame["second"] for frame in frames] == [t * sources.CLIP_SECONDS for t in range(8)]
    assert last(found, "suggestions") == ["Is the dog near?"]
    assert last(found, "photo")["value"] is None and last(found, "clip")["value"] is None


def test_a_question_of_ones_own_stays_when_the_file_before_is_gone(state):
    before = run_of(Source(path="/nowhere/x.mp4"), "My own?")
    found = list(handlers.show_example(state, 2, False, "My own?", before, SLIDERS, threading.Event()))
    assert last(found, "question") == "My own?"
    assert last(found, "run").source == Source(seed=2)


@pytest.mark.parametrize("name", ["llava_next", "video_llava"])
def test_tiles_lie_in_one_picture_and_tokens_of_the_whole_are_told(name):
    family = importlib.import_module(f"tests.families.{name}").FAMILY
    explainer = Explainer(family.model(), family.processor(), name, Card())
    frames = [tiny.image(t, (150, 61)) for t in range(2)]
    shown = as_media_input(frames if "video" in family.kinds else frames[0])
    look = explainer.look(shown)
    asked = explainer.ask(look, "Is it near?")
    orders = explainer.select(look, asked, alphas=[0.0, 1.0])
    relevance = orders.relevance.numpy()
    sent = explorer.explorer_payload(shown, look.vision, orders, relevance, "", "", {})
    told = json.loads(sent["frames"])
    assert sent["counts"] == list(look.vision.counts)
    if name == "llava_next":
        assert len(sent["pictures"]) == 1 and {frame["picture"] for frame in told} == {0}
        assert [frame["label"] for frame in told] == ["whole", *(f"part {i}" for i in range(1, len(told)))]
        assert min(sent["counts"]) < sent["n"]  # tokens of padding are no tokens
        assert np.isnan(np.frombuffer(base64.b64decode(sent["relevance"]), "<f4")).any()
    else:
        assert [frame["whole"] for frame in told] == [1, 1] and sent["n"] == tiny.N + 1
    for frame, place in zip(told, look.vision.geometry, strict=True):
        x, y = place.spans
        assert frame["x"] == pytest.approx(x.flatten().tolist(), abs=0.01)
        assert frame["y"] == pytest.approx(y.flatten().tolist(), abs=0.01)


def test_the_estimate_is_there_with_the_answers_and_the_better_times_follow(state):
    """Timing both prompts takes a while; until then another picture's numbers must not stand here."""
    found = [view.savings for view in answered(state, run_of()) if view.savings]
    assert ["one run each" in one["measured"] for one in found] == [True, False]
    assert "median" in found[1]["measured"] and found[0]["table"] == found[1]["table"]
    assert found[0]["picture"] == last(answered(state, run_of()), "explorer")["setting"]["picture"]


def timing(prefill: float) -> Timing:
    return Timing(prefill, (prefill, prefill), math.nan, (math.nan, math.nan), 5, 1, "cpu")


@pytest.mark.parametrize(
    ("tries", "shown"),
    [
        ([(0.9, 0.85), (0.016, 0.008)], "prefill 16 ms (16–16 ms) → 8.0 ms (8.0–8.0 ms), median of 5 on cpu"),
        (
            [(0.016, 0.9), (0.016, 0.008)],
            "prefill 16 ms (16–16 ms) → 8.0 ms (8.0–8.0 ms), median of 5 on cpu",
        ),
        ([(9, 8), (9, 8), (9, 8)], "median of 5 on cpu; not reliable: the machine was busy"),
    ],
)
def test_a_prefill_longer_than_its_answer_is_measured_again_or_said_to_be_unreliable(
    explainer, monkeypatch, tries, shown
):
    real = explainer.answer
    monkeypatch.setattr("app.answer.timing.PAUSES", (0.0, 0.0))
    monkeypatch.setattr(
        explainer,
        "answer",
        lambda *a, **how: replace(real(*a, **how), seconds=0.04, first_token_seconds=0.03),
    )
    left = iter(tries)
    monkeypatch.setattr(explainer, "time_both", lambda *_, **__: tuple(map(timing, next(left))))
    found = answered(AppState(explainer), run_of())
    assert shown in last(found, "savings")["measured"]
    assert next(left, None) is None


def test_an_answer_that_was_held_up_is_timed_once_more_and_keeps_its_words(explainer, monkeypatch):
    slow, real = [True, True], explainer.answer

    def answer(*args, **how):
        took = 0.9 if slow and slow.pop() else 0.03
        return replace(real(*args, **how), seconds=took, first_token_seconds=took)

    monkeypatch.setattr(explainer, "answer", answer)
    monkeypatch.setattr(explainer, "time_both", lambda *_, **__: (timing(0.016), timing(0.008)))
    found = answered(AppState(explainer), run_of())
    cards = [view.answers for view in found if view.answers and "full" in view.answers]
    done = [card for card in cards if not card["busy"]]
    for side in ("full", "pruned"):
        assert [card[side]["text"] for card in done] == [done[0][side]["text"]] * len(done)
        assert done[0][side]["time"].startswith("900 ms") and done[-1][side]["time"].startswith("30 ms")
