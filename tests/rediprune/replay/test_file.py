"""trace_file: a run saved and opened again is the same to the last bit; anything else gets one sentence."""

import json
import math
import re
import time
from dataclasses import fields, is_dataclass, replace

import pytest
import torch
from PIL import Image

import rediprune
from rediprune import PruneConfig, TraceError, alpha_from_weight, load_trace, save_trace
from rediprune.costs.estimate import estimate_from_costs
from rediprune.explainer.encode import MediaInput
from rediprune.explainer.explainer import Explainer
from rediprune.replay.file import MOST_PARTS
from rediprune.replay.to_json import FORMAT
from rediprune.selection.select import select_tokens
from tests.support import tiny

QUESTION = "what color is the star"
WEIGHTS = [alpha_from_weight(i / 20) for i in range(21)]


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), name="tiny")


@pytest.fixture(scope="module")
def trace(explainer):
    return explainer.run(tiny.image(), QUESTION, PruneConfig(0.25), max_new_tokens=2)


@pytest.fixture(scope="module")
def record(trace, tmp_path_factory):
    path = save_trace(trace, tmp_path_factory.mktemp("saved") / "run.json")
    return json.loads(path.read_text(encoding="utf-8"))


def again(trace, folder):
    return load_trace(save_trace(trace, folder / "run.json"))


def same(a, b) -> bool:
    """Whether two records hold the same, tensors to the last bit and NaN like NaN."""
    if isinstance(a, torch.Tensor):
        return (
            a.dtype == b.dtype
            and a.shape == b.shape
            and torch.equal(a.isnan(), b.isnan())
            and (torch.equal(a.nan_to_num(), b.nan_to_num()) if a.is_floating_point() else torch.equal(a, b))
        )
    if isinstance(a, Image.Image):
        return a.mode == b.mode and a.size == b.size and a.tobytes() == b.tobytes()
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


def test_everything_comes_back_to_the_last_bit(trace, tmp_path):
    found = again(trace, tmp_path)
    different = [f.name for f in fields(trace) if not same(getattr(trace, f.name), getattr(found, f.name))]
    assert different == []


def test_a_record_of_tensors_is_equal_to_itself_alone(trace, tmp_path):
    loaded = again(trace, tmp_path)
    for part in ("vision", "query", "selection"):
        assert getattr(trace, part) == getattr(trace, part) != getattr(loaded, part)
    assert trace != loaded and len({trace, loaded}) == 2


@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_so_does_a_clip_with_its_times(explainer, budget, tmp_path):
    clip = MediaInput(tuple(tiny.image(seed) for seed in range(3)), True, (0.0, 0.1, 0.7))
    made = explainer.run(clip, QUESTION, PruneConfig(0.2, budget=budget), max_new_tokens=1)
    assert same(made, again(made, tmp_path))


@pytest.mark.parametrize("method", ["random", "grid", "relevance", "diversity", "divprune", "cdpruner"])
def test_so_does_every_method(explainer, method, tmp_path):
    made = explainer.run(tiny.image(), QUESTION, PruneConfig(0.2, method=method), max_new_tokens=1)
    assert same(made, again(made, tmp_path))


def test_numbers_of_16_bits_and_gaps_come_back(trace, tmp_path):
    present = torch.ones(trace.vision.shape, dtype=torch.bool)
    present[0, 30:] = False
    vision = replace(
        trace.vision,
        features=trace.vision.features.bfloat16(),
        valid=present,
        attention=torch.rand(trace.vision.shape),
    )
    selection = select_tokens(vision, trace.query, trace.config)
    made = replace(trace, vision=vision, selection=selection, kept=selection.kept(), costs=None)
    made = replace(made, pruned=replace(made.pruned, kept=made.kept))
    assert same(made, again(made, tmp_path))


def test_every_weight_and_ratio_is_chosen_again_without_the_model(explainer, trace, tmp_path):
    found = again(trace, tmp_path)
    look = explainer.look(tiny.image())
    here = explainer.select(look, explainer.ask(look, QUESTION, trace.config), trace.config, WEIGHTS)
    there = select_tokens(found.vision, found.query, found.config, WEIGHTS)
    assert same(here, there)
    assert torch.equal(here.kept(0.4), there.kept(0.4))


def test_the_estimate_of_another_ratio_needs_no_model_either(explainer, trace, tmp_path):
    found = again(trace, tmp_path)
    look = explainer.look(tiny.image())
    asked = explainer.ask(look, QUESTION, trace.config)
    kept = trace.selection.kept(0.5)
    assert estimate_from_costs(found.costs, len(kept), 2) == explainer.savings(look, asked, kept, 2)


def test_the_pictures_are_those_that_the_model_saw(explainer, trace, tmp_path):
    found = again(trace, tmp_path)
    assert (
        explainer.look(MediaInput(found.frames, found.clip, found.seconds)).key
        == explainer.look(tiny.image()).key
    )


def test_it_is_opened_by_the_public_names():
    assert {"save_trace", "load_trace", "TraceError"} <= set(rediprune.__all__)


def refused(record, tmp_path, change=None):
    if change:
        record = json.loads(json.dumps(record))
        change(record)
    path = tmp_path / "given.json"
    path.write_text(record if isinstance(record, str) else json.dumps(record), encoding="utf-8")
    with pytest.raises(TraceError) as error:
        load_trace(path)
    said = str(error.value)
    assert said.startswith("given.json cannot be opened as a trace: ") and said.endswith(".")
    assert len(said) < 250 and "\n" not in said
    return said


def put(*path):
    """A change: the value at the end of a path of keys."""
    *way, last, value = path

    def change(record):
        for key in way:
            record = record[key]
        record[last] = value

    return change


def zero_shapes(record):
    record["costs"]["shapes"] = dict.fromkeys(record["costs"]["shapes"], 0)


def no_weights(record):
    record["query"]["weights"] = [0.0] * len(record["query"]["weights"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("format", FORMAT + 1), "this program knows"),
        (put("format", 2), "held no visual tokens"),
        (put("format", True), "its format is"),
        (put("tensors", None), "no visual tokens"),
        (put("tensors", "features", None), "no visual tokens"),
        (put("tensors", "features", "dtype", ["float32"]), "known format"),
        (put("tensors", "features", "dtype", "object"), "known format"),
        (put("tensors", "features", "shape", [1, 36, 2**60]), "known format"),
        (put("tensors", "features", "shape", [10**4290] * 1000), "4,291 digits"),
        (put("tensors", "features", "shape", [2**26] * 1000), "known format"),
        (put("tensors", "features", "shape", [1, 1, 1, 36, 32]), "known format"),
        (put("tensors", "features", "shape", [2**26] * 4), "not as many numbers"),
        (put("tensors", "features", "shape", [-1, 36, 32]), "known format"),
        (put("tensors", "features", "shape", [36, 32]), "its features have shape"),
        (put("tensors", "features", "base64", "!!!"), "damaged"),
        (put("tensors", "features", "base64", "AAAA"), "not as many numbers"),
        (put("tensors", "features", {"dtype": "float32", "shape": [1], "base64": "AADAfw=="}), "NaN"),
        (put("tensors", "query", "shape", [2, 32]), "do not fit|not as many"),
        (put("kept", [0, 36]), "out of the range"),
        (put("kept", [3, 3]), "each once"),
        (put("kept", []), "each once"),
        (put("kept", [True]), "out of the range"),
        (put("kept", {"0": 1}), "not a list"),
        (put("selection", "order", 0, 0, 36), "out of the range"),
        (put("selection", "order", [[0] * 36]), "every token once"),
        (put("selection", "order", [[0]]), "shape"),
        (put("selection", "alphas", [None]), "weights and its order"),
        (put("selection", "relevance", 0, 0, None), "no relevance"),
        (put("selection", "relevance", 0, 0, "inf"), "not finite"),
        (put("selection", "score", 0, 0, "1"), "where a number belongs"),
        (put("config", "keep_ratio", 2), "keep_ratio"),
        (put("config", "method", "magic"), "method"),
        (put("config", "alpha", 10**400), "401 digits"),
        (put("config", "seed", 2**64), "seed"),
        (put("config", "seed", 0.5), "seed"),
        (put("frames", 0, "rows", 7), "more places than tokens"),
        (put("frames", 0, "rows", 5), "do not fit"),
        (put("frames", 0, "box", [0, 0, "inf", 1]), "not finite"),
        (put("frames", 0, "image_size", [9, 9]), "do not fit"),
        (put("frames", []), "for 0 frames"),
        (put("frames", [{}] * 5000), "more than 4,096 frames"),
        (put("frames", 0, "box", [0, 0, 1e300, 1]), "box"),
        (put("frames", 0, "box", [84, 0, 84, 84]), "box of a frame of it is empty"),
        (put("frames", 0, "box", [84, 0, 0, 84]), "box of a frame of it is empty"),
        (put("frames", 0, "image_size", [2**40, 84]), "out of the range"),
        (put("present", [[False] * 36]), "no tokens"),
        (put("question", 5), "not a text"),
        (put("question", "x" * 30_000), "longer"),
        (put("answers", "full", "token_ids", [-1]), "out of the range"),
        (put("answers", "full", None), "not an object"),
        (put("measured", "full", "seconds", -1), "where a number belongs"),
        (put("estimated", "full", "prefill", "inf"), "not finite"),
        (put("agreement", "same_text", 1), "true or false"),
        (put("costs", "shapes", "vocab", -3), "out of the range"),
        (put("costs", "choices", [1]), "does not fit"),
        (put("costs", "choices", [1] * 36), "more choices than frames"),
        (zero_shapes, "out of the range"),
        (put("costs", "shapes", "llm_width", 0), "out of the range"),
        (put("costs", "shapes", "vision_width", 2**60), "out of the range"),
        (put("costs", "shapes", "vision_windowed_layers", 999), "more windowed layers than layers"),
        (put("costs", "query_flops", 1e300), "query_flops"),
        (put("costs", "method", "magic"), "no estimate can be made"),
        (put("estimated", "full", "prefill", -1), "prefill"),
        (put("estimated", "kv_bytes_full", 2**63), "kv_bytes_full"),
        (put("query", "weights", [0.0] * 128), "weights"),
        (no_weights, "no token of its query has a weight"),
        (put("notes", [""] * 20_000), "more than 10,000 texts"),
        (put("seconds", [1e300]), "seconds"),
        (put("answers", "full", "n_visual", 2**62), "out of the range"),
        (put("query", "sign", 0), "sign"),
        (put("pictures", ["AAAA"]), "no PNG"),
        (put("pictures", [7]), "no PNG"),
        (put("pictures", None), "list of pictures"),
        (put("pictures", [""] * 5000), "more than 4,096 pictures"),
        (put("clip", None), "true or false"),
        (put("seconds", [1.0, 2.0]), "do not fit"),
    ],
)
def test_a_file_that_does_not_fit_gets_one_sentence(record, change, words, tmp_path):
    assert re.search(words, refused(record, tmp_path, change))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON"),
        ("not json", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"format": 3, "kept": NaN, "selection": 1}', "no JSON"),
        ('{"format": ' + "9" * 10_000 + "}", "10,000 digits"),
        ('{"format": 3, "kept": [], "kept": [], "selection": {}}', "there twice"),
        ('{"a":' * 100_000, "no JSON"),
        ("[1, 2]", "no trace of ReDiPrune"),
        ('{"format": 3}', "no trace of ReDiPrune"),
        ("[" + "0," * MOST_PARTS + "0]", "parts"),
    ],
)
def test_what_is_no_trace_gets_one_sentence(text, words, tmp_path):
    assert words in refused(text, tmp_path)


def test_half_a_file_gets_one_sentence(record, tmp_path):
    text = json.dumps(record)
    assert "no JSON" in refused(text[: len(text) // 2], tmp_path)


def test_a_pickle_is_not_executed(tmp_path):
    torch.save({"a": 1}, tmp_path / "given.json")
    with pytest.raises(TraceError, match="no JSON"):
        load_trace(tmp_path / "given.json")


def test_a_small_picture_file_that_holds_a_huge_picture_is_not_decoded(record, tmp_path, monkeypatch):
    monkeypatch.setattr("rediprune.replay.file.MOST_PIXELS", 100)
    assert "megapixels" in refused(record, tmp_path)


def test_a_file_beyond_the_limit_is_not_read(record, tmp_path, monkeypatch):
    monkeypatch.setattr("rediprune.replay.file.MOST_BYTES", 1000)
    assert "larger than" in refused(record, tmp_path)


def test_a_trace_that_could_not_be_opened_is_not_written(trace, tmp_path, monkeypatch):
    monkeypatch.setattr("rediprune.replay.file.MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="can be opened again"):
        save_trace(trace, tmp_path / "run.json")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_gets_one_sentence(tmp_path):
    with pytest.raises(TraceError, match=r"none\.json cannot be opened as a trace: there is no file"):
        load_trace(tmp_path / "none.json")


def test_hostile_numbers_are_refused_at_once(record, tmp_path):
    """A thousand sides of 4,291 digits were multiplied for over a minute, with the whole server waiting."""
    began = time.perf_counter()
    refused(record, tmp_path, put("tensors", "features", "shape", [10**4290] * 1000))
    assert time.perf_counter() - began < 5


def test_a_trace_of_more_pixels_than_can_be_opened_is_not_written(trace, tmp_path, monkeypatch):
    monkeypatch.setattr("rediprune.replay.file.MOST_PIXELS", 1000)
    with pytest.raises(ValueError, match="can be opened again"):
        save_trace(trace, tmp_path / "run.json")
    assert list(tmp_path.iterdir()) == []


def test_frames_whose_pictures_are_not_there_are_refused(explainer, tmp_path):
    """Four pictures for three frames: the third frame would be drawn on a picture behind the last."""
    clip = MediaInput(tuple(tiny.image(seed) for seed in range(3)), True)
    made = explainer.run(clip, QUESTION, PruneConfig(0.2), max_new_tokens=1)
    path = save_trace(replace(made, frames=(*made.frames, made.frames[0])), tmp_path / "run.json")
    with pytest.raises(TraceError, match="do not fit"):
        load_trace(path)
