"""What the page keeps of visitors' files is bounded by memory: small files can hold large pictures."""

import json

import pytest
from PIL import Image

from app.state import sources
from app.state.sources import Source, load_frames, load_saved_run
from rediprune import PruneConfig, save_trace
from rediprune.explainer.explainer import Explainer
from rediprune.explainer.lru_cache import LruCache, kept_bytes
from tests.support import tiny

SIDE = 600
FRAME = 4 * SIDE * SIDE  # bytes of one picture in memory


@pytest.fixture(autouse=True)
def stores(monkeypatch):
    """Empty stores that hold two and a half of these pictures."""
    limit = FRAME * 5 // 2
    monkeypatch.setattr(sources, "_files", LruCache(sources.KEPT_FILES, limit))
    monkeypatch.setattr(sources, "_runs", LruCache(sources.KEPT_FILES, limit))
    return limit


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """A trace about one black picture: its file takes a hundredth of what it takes in memory."""
    picture = Image.new("RGB", (SIDE, SIDE))
    made = Explainer(tiny.model(), tiny.processor()).run(
        picture, "what color is the star", PruneConfig(0.25), max_new_tokens=1
    )
    path = save_trace(made, tmp_path_factory.mktemp("saved") / "run.json")
    assert path.stat().st_size < FRAME / 20
    return json.loads(path.read_text(encoding="utf-8"))


def test_five_small_traces_of_large_pictures_do_not_stay_in_memory(record, tmp_path, stores):
    for i in range(5):
        path = tmp_path / f"{i}.json"
        path.write_text(json.dumps(record | {"question": f"what is {i}"}), encoding="utf-8")
        load_saved_run(Source(path=str(path), trace=True))
        assert kept_bytes(tuple(sources._runs._kept.values())) <= stores


def test_the_pictures_of_an_opened_trace_are_in_memory_once(record, tmp_path):
    path = tmp_path / "run.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    made = load_saved_run(Source(path=str(path), trace=True))
    frames = {id(frame) for frame in (*made.media.frames, *made.look().media.frames, *made.trace.frames)}
    assert len(frames) == 1


def test_five_small_pictures_do_not_stay_in_memory_either(tmp_path, stores):
    for i in range(5):
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (SIDE, SIDE), (i, i, i)).save(path)
        assert load_frames(Source(path=str(path)))[0].size == (SIDE, SIDE)
        assert kept_bytes(tuple(sources._files._kept.values())) <= stores


def test_what_was_opened_last_is_kept_whatever_it_takes(record, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_runs", LruCache(sources.KEPT_FILES, 1))
    path = tmp_path / "run.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    source = Source(path=str(path), trace=True)
    assert load_saved_run(source) is load_saved_run(source)


def test_what_the_model_saw_is_bounded_by_memory(monkeypatch):
    monkeypatch.setattr("rediprune.explainer.explainer.ENCODING_BYTES", FRAME * 5 // 2)
    explainer = Explainer(tiny.model(), tiny.processor())
    for i in range(5):
        explainer.look(Image.new("RGB", (SIDE, SIDE), (i, i, i)))
        assert kept_bytes(tuple(explainer._encodings._kept.values())) <= FRAME * 5 // 2
    explainer.look(Image.new("RGB", (SIDE, SIDE), (4, 4, 4)))
    assert explainer.encodes == 5
