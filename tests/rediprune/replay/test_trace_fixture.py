"""A trace saved by version 0.1, kept in the repository, opens bit for bit."""

import base64
import io
import json
from pathlib import Path

import pytest
import torch
from PIL import Image

import rediprune
from rediprune import load_trace, save_trace
from rediprune.replay.recorded_run import RecordedRun
from rediprune.replay.to_json import as_dict

FILE = Path(rediprune.__file__).parents[1] / "tests" / "data" / "trace-0.1.json"


@pytest.fixture(scope="module")
def record():
    return json.loads(FILE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def trace():
    return load_trace(FILE)


def test_all_that_is_readable_comes_back(record, trace):
    """All but the versions and timed medians, which a trace does not hold."""
    made = json.loads(json.dumps(as_dict(trace)))
    apart = ("versions", "tensors", "pictures")
    assert {k: v for k, v in made.items() if k not in apart} == {
        k: v for k, v in record.items() if k not in apart
    }


def test_the_tensors_come_back_to_the_last_bit(record, trace):
    tensors = {
        "features": trace.vision.features,
        "attention": trace.vision.attention,
        "query": trace.query.vector,
        "keys": trace.query.keys,
    }
    assert set(tensors) == set(record["tensors"])
    for name, tensor in tensors.items():
        stored = record["tensors"][name]
        assert f"torch.{stored['dtype']}" == str(tensor.dtype) and stored["shape"] == list(tensor.shape)
        raw = tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        assert raw == base64.b64decode(stored["base64"]), name


def test_the_picture_comes_back_to_the_last_pixel(record, trace):
    (stored,), (frame,) = record["pictures"], trace.frames
    with Image.open(io.BytesIO(base64.b64decode(stored))) as picture:
        assert picture.convert("RGB").tobytes() == frame.tobytes()


def test_it_can_be_shown_and_chosen_from_again(trace):
    made = RecordedRun(trace)
    look = made.look()
    asked = made.ask(look, trace.question)
    assert torch.equal(made.select(look, asked).kept(), trace.kept)
    assert made.savings(look, asked, trace.kept, len(trace.full.token_ids)) == trace.savings
    assert (trace.full.text, trace.pruned.text, len(trace.kept)) == ("green", "green", 29)


def test_saved_again_it_is_the_same_file_but_for_the_versions(record, trace, tmp_path):
    again = json.loads(save_trace(trace, tmp_path / "again.json").read_text(encoding="utf-8"))
    assert again | {"versions": None, "pictures": None} == record | {"versions": None, "pictures": None}
