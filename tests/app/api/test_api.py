"""The endpoints through a real client: they say what the library says, and of bad input a sentence."""

import threading

import av
import pytest
from gradio_client import Client, handle_file
from PIL import Image, ImageChops

from app.api.arguments import checked_settings
from rediprune import Explainer, PruneConfig, draw, kept_count
from rediprune.evaluation.sweep import sweep
from rediprune.evaluation.sweep_report import COLUMNS, row_values, smallest_holding_ratio
from rediprune.explainer.encode import as_media_input
from rediprune.explainer.model_card import Card
from rediprune.explainer.model_holder import ModelHolder
from tests.support import tiny
from tests.support.footage import write, write_sound
from tests.support.visitor import served

QUESTION = "What color is the star?"
ENDPOINTS = ["/answer", "/select", "/overlay", "/sweep", "/about"]
DIALS = ["keep_ratio", "weight", "method", "query", "budget", "n_frames"]
BOUNDS = ["weight", "query", "budget", "n_frames"]


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card())


@pytest.fixture(scope="module")
def models(explainer):
    return ModelHolder(explainer)


@pytest.fixture(scope="module")
def client(models):
    with served(models) as url:
        yield Client(url, verbose=False)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A picture, a clip, and what is neither."""
    folder = tmp_path_factory.mktemp("files")
    tiny.image(1).save(folder / "photo.png")
    (folder / "broken.png").write_bytes(b"nothing")
    write(folder / "clip.mp4", n=40)
    write_sound(folder / "song.wav", "pcm_s16le")
    return {path.stem: handle_file(str(path)) for path in folder.iterdir()}


@pytest.fixture
def call(client, files):
    """The result of an endpoint for the picture, or for what is said."""

    def called(name, **how):
        how = how if name == "about" else {"media": files["photo"], "question": QUESTION, **how}
        return client.predict(**how, api_name=f"/{name}")

    return called


def test_the_endpoints_are_these_and_nothing_of_the_pages_own(client):
    found = client.view_api(return_format="dict")
    assert list(found["named_endpoints"]) == ENDPOINTS and not found["unnamed_endpoints"]
    taken = {
        name: [p["parameter_name"] for p in one["parameters"]]
        for name, one in found["named_endpoints"].items()
    }
    assert taken == {
        "/answer": ["media", "question", *DIALS],
        "/select": ["media", "question", *DIALS],
        "/overlay": ["media", "question", *DIALS, "frame"],
        "/sweep": ["media", "question", "methods", "keep_ratios", *BOUNDS],
        "/about": [],
    }
    for name, one in found["named_endpoints"].items():
        assert "The result:" in one["description"] and "Args" not in one["description"]
        needed = [p["parameter_name"] for p in one["parameters"] if not p["parameter_has_default"]]
        assert needed == ([] if name == "/about" else ["media", "question"])


@pytest.mark.parametrize(
    ("name", "how"),
    [("answer", {}), ("select", {}), ("sweep", {"methods": ["grid"]})],
    ids=["answer", "select", "sweep"],
)
def test_a_ratio_that_keeps_everything_by_rounding_is_said_by_every_endpoint(call, name, how):
    for ratio, said in ((0.99, True), (1.0, False), (0.5, False)):
        ratios = {"keep_ratios": [ratio]} if name == "sweep" else {"keep_ratio": ratio}
        notes = call(name, **how, **ratios)["notes"]
        assert any("keeps all 36 visual tokens" in note for note in notes) == said


def test_answer_answers_with_defaults(call):
    found = call("answer")
    assert found["unpruned"]["visual_tokens"] == tiny.N
    assert found["pruned"]["visual_tokens"] == kept_count(tiny.N, 0.15) == len(found["kept"])
    assert found["frames"] == [{"second": None, "tokens": tiny.N, "kept": len(found["kept"])}]
    assert found["savings_estimated"]["prefill"] > 1
    assert found["agreement"]["kl_first"] >= 0


@pytest.mark.parametrize(
    ("budget", "count"), [("frame", 4 * kept_count(tiny.N, 0.15)), ("shared", kept_count(4 * tiny.N, 0.15))]
)
def test_a_clip_is_answered_and_its_picks_told_with_either_budget(call, files, budget, count):
    how = {"media": files["clip"], "budget": budget, "n_frames": 4}
    found, told = call("answer", **how), call("select", **how)
    assert found["unpruned"]["visual_tokens"] == told["tokens"] == 4 * tiny.N
    assert sum(frame["kept"] for frame in found["frames"]) == len(found["kept"]) == count
    assert [frame["second"] for frame in found["frames"]] == [0, 1.3, 2.6, 3.9]
    assert sorted(pick["token"] for pick in told["picks"]) == found["kept"]
    assert all(pick["frame"] == pick["token"] // tiny.N for pick in told["picks"])
    assert told["frames"] == found["frames"]


def test_select_says_each_pick_as_the_library_does_and_runs_no_language_model(call, explainer, monkeypatch):
    monkeypatch.setattr(explainer.model, "generate", None)
    monkeypatch.setattr(explainer, "answer", None)
    found = call("select", keep_ratio=0.25, weight=0.5)
    config = PruneConfig(keep_ratio=0.25, alpha=1.0)
    look = explainer.look(tiny.image(1))
    selection = explainer.select(look, explainer.ask(look, QUESTION, config), config)
    order = selection.order[0, : kept_count(tiny.N, 0.25)].tolist()
    boxes = look.vision.geometry[0].token_boxes().tolist()
    assert [pick["token"] for pick in found["picks"]] == order
    for i, pick in enumerate(found["picks"]):
        assert pick["relevance"] == float(selection.relevance[0, order[i]])
        assert pick["score"] == float(selection.score[0, i])
        assert pick["distance"] == (float(selection.distance[0, i]) if i else None)
        assert pick["box"] == pytest.approx(boxes[order[i]])
        assert pick["row"] * tiny.GRID + pick["column"] == pick["token"]
    assert found["size"] == [tiny.IMAGE_SIZE, tiny.IMAGE_SIZE] and found["model"] == "tiny"
    assert found["settings"]["weight"] == 0.5 and found["settings"]["query"] == "prompt-tail"


def test_a_method_without_evidence_has_picks_without_it(call):
    picks = call("select", method="grid")["picks"]
    assert {pick[name] for pick in picks for name in ("relevance", "distance", "score")} == {None}


def test_overlay_draws_what_the_library_draws(call, explainer):
    look = explainer.look(tiny.image(1))
    kept = explainer.select(look, explainer.ask(look, QUESTION)).kept(0.5)
    (drawn,) = draw.film(as_media_input(tiny.image(1)).frames, look.vision, kept, 448)
    with Image.open(call("overlay", keep_ratio=0.5)) as made:
        assert ImageChops.difference(made, drawn).getbbox() is None


def test_the_overlay_of_a_clip_is_a_film_or_one_of_its_frames(call, files):
    how = {"media": files["clip"], "n_frames": 4}
    with av.open(call("overlay", **how)) as film:
        assert len(list(film.decode(video=0))) == 4
    with Image.open(call("overlay", **how, frame=3)) as one:
        assert one.format == "PNG"


def test_sweep_has_the_librarys_rows_and_grows_row_by_row(client, files, monkeypatch):
    points = []

    def watched(*given, **how):
        for point in sweep(*given, **how, max_new_tokens=4):
            points.append(point)
            yield point

    monkeypatch.setattr("app.api.sweep.sweep", watched)
    job = client.submit(files["photo"], QUESTION, ["rediprune", "grid"], [1, 0.1], api_name="/sweep")
    found = job.result()
    assert [(p.line.method, p.ratio) for p in points] == [
        (method, ratio) for ratio in (0.1, 1) for method in ("rediprune", "grid", "random")
    ]
    assert found["rows"] == [dict(zip(COLUMNS, row_values(p), strict=True)) for p in points]
    assert found["unpruned"]["text"] == points[0].full_text and found["tokens"] == tiny.N
    assert found["holds_from"] == {p.line.method: smallest_holding_ratio(points, p.line) for p in points}
    assert [(part["done"], part["of"]) for part in job.outputs()] == [(i, 6) for i in range(1, 7)]


def test_a_sweep_that_is_cancelled_lets_go_of_the_model(client, files, monkeypatch):
    begun, ended, points = threading.Event(), threading.Event(), []

    def endless(*given, **how):
        (point, *_) = sweep(*given, **how, max_new_tokens=1)
        try:
            while len(points) < 3000:
                points.append(point)
                yield point
                begun.set()
        finally:
            ended.set()

    monkeypatch.setattr("app.api.sweep.sweep", endless)
    job = client.submit(files["photo"], QUESTION, ["grid"], [0.1], api_name="/sweep")
    assert begun.wait(30)
    job.cancel()
    assert ended.wait(30) and len(points) < 3000


def test_about_says_what_the_open_model_can_do(call, explainer):
    found = call("about")
    assert found["model"] == "tiny" and set(found["methods"]) == set(explainer.methods)
    assert set(found["queries"]) == {"default", "prompt-tail"}  # it has no text tower
    assert found["defaults"]["keep_ratio"] == explainer.defaults.keep_ratio


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("answer", {"question": " "}, "question is empty"),
        ("answer", {"keep_ratio": 0}, "keep_ratio"),
        ("answer", {"method": "magic"}, "magic"),
        ("answer", {"budget": "magic"}, "magic"),
        ("answer", {"n_frames": 99}, "from 1 to 32"),
        ("answer", {"media": "broken"}, "broken.png"),
        ("answer", {"media": "song"}, "only sound"),
        ("answer", {"media": None}, "No uploaded file"),
        ("select", {"question": 5}, "must be text, not int"),
        ("select", {"keep_ratio": None}, "must be numbers"),
        ("select", {"weight": 1.5}, "weight=1.5"),
        ("select", {"method": ["grid"]}, "must be text"),
        ("select", {"query": "text-tower/cosine"}, "text"),
        ("select", {"media": handle_file("https:///nowhere.png")}, "could be fetched"),
        ("overlay", {"frame": 1}, "no frame 1 of 1"),
        ("overlay", {"query": "magic"}, "magic"),
        ("sweep", {"methods": ["magic"]}, "magic"),
        ("sweep", {"methods": "grid"}, "list of names"),
        ("sweep", {"keep_ratios": [0.1] * 21}, "1 to 20 numbers"),
        ("sweep", {"keep_ratios": ["0.1"]}, "1 to 20 numbers"),
        ("sweep", {"keep_ratios": [2]}, "keep_ratio=2"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, files, capfd, name, change, words):
    if isinstance(change.get("media"), str):
        change = {"media": files[change["media"]]}
    with pytest.raises(Exception, match=words) as said:
        call(name, **change)
    assert "\n" not in str(said.value) and len(str(said.value)) < 250
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("name", ["keep_ratio", "weight"])
def test_nan_is_out_of_range(explainer, name):
    """gradio_client itself sends none; another client may."""
    given = {"keep_ratio": 0.1, "weight": 0.5, name: float("nan")}
    with pytest.raises(ValueError, match=f"{name}=nan is out of range"):
        checked_settings(explainer, **given, method="rediprune", query="default", budget="frame")


def test_a_file_that_the_page_made_may_be_named_by_its_address(client, call, files):
    made = Client(client.src, verbose=False, download_files=False)
    address = made.predict(files["photo"], QUESTION, api_name="/overlay")["url"]
    assert call("select", media=handle_file(address))["size"] == [448, 448]


def test_the_endpoints_follow_a_change_of_the_model(call, models, tmp_path):
    """The last one here: the model stays."""
    models.open(tiny.save(tmp_path / "other", seed=1))
    assert call("about")["model"] == call("select")["model"] == call("answer")["model"] == "other"
