"""What a Space does to app.py: its variables choose the model, and on ZeroGPU the model's work is lent."""

import re
import runpy
import sys
from pathlib import Path

import pytest
import torch

from tests.support import tiny
from tests.support.fake_spaces import Spaces

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def started(monkeypatch):
    """Runs app.py as a Space does, with these variables, up to its launch; returns what it defines."""
    monkeypatch.delitem(sys.modules, "_rediprune_kept", raising=False)

    def start(**variables):
        monkeypatch.setattr(sys, "argv", ["app.py"])
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))
        return runpy.run_path(str(ROOT / "app.py"), run_name="app_of_a_space")

    yield start
    sys.modules.pop("_rediprune_kept", None)


@pytest.fixture
def zero_gpu(monkeypatch):
    """`spaces` as on ZeroGPU: a model may be sent to "cuda" before there is one."""
    from gradio import Error

    fake, move = Spaces(refused=Error), torch.nn.Module.to

    def to(module, *args, **how):
        return module if args == ("cuda",) else move(module, *args, **how)

    monkeypatch.setitem(sys.modules, "spaces", fake)
    monkeypatch.setattr(torch.nn.Module, "to", to)
    return fake


@pytest.mark.parametrize(
    ("name", "value"),
    [("MODEL", "/no/such/folder"), ("DEVICE", "cuda:99"), ("DTYPE", "float7"), ("QUANTISE", "int3")],
)
def test_a_variable_stands_for_a_flag(started, name, value):
    with pytest.raises(SystemExit, match=re.escape(value)):
        started(**{f"REDIPRUNE_{name}": value})


def test_a_variable_that_is_empty_says_nothing(started, tmp_path):
    made = started(REDIPRUNE_MODEL=tiny.save(tmp_path), REDIPRUNE_DEVICE="", REDIPRUNE_QUANTISE="")
    assert made["args"].quantise is None and not made["ZERO_GPU"]


def test_quantised_models_are_refused_on_zero_gpu(started, monkeypatch):
    monkeypatch.setitem(sys.modules, "spaces", Spaces())
    with pytest.raises(SystemExit, match="not offered on ZeroGPU"):
        started(SPACES_ZERO_GPU="true", REDIPRUNE_QUANTISE="int4")


def test_visitors_of_a_space_cannot_change_its_model_and_those_of_ones_own_page_can(started, tmp_path):
    folder, told = tiny.save(tmp_path), []
    for variables in ({}, {"SPACE_ID": "someone/something"}):
        sys.modules.pop("_rediprune_kept", None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("app.page.build.build_demo", lambda models, first_run, fixed: told.append(fixed))
            started(REDIPRUNE_MODEL=folder, **variables)
    assert told[0] == "" and "REDIPRUNE_MODEL" in told[1]


def test_only_app_py_reads_variables():
    for path in (ROOT / "app").rglob("*.py"):
        assert not re.search(r"\benviron|\bgetenv", path.read_text(encoding="utf-8")), path


def test_on_zero_gpu_the_page_answers_by_lent_work(started, zero_gpu, tmp_path):
    from gradio_client import Client, handle_file

    from app.page.build import launch_options

    demo = started(SPACES_ZERO_GPU="true", REDIPRUNE_MODEL=tiny.save(tmp_path / "model"))["demo"]
    assert len(zero_gpu.decorated) == 1 and not zero_gpu.calls  # nothing is lent before somebody asks
    tiny.image(1).save(tmp_path / "photo.png")
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **launch_options())
    try:
        client = Client(url, verbose=False)
        asked = (handle_file(str(tmp_path / "photo.png")), "What color is the star?")
        found = client.predict(*asked, api_name="/answer")
        assert found["unpruned"]["visual_tokens"] == tiny.N > found["pruned"]["visual_tokens"]
        assert len(zero_gpu.calls) == 5
        zero_gpu.refusal = "You have exceeded your free ZeroGPU quota."
        with pytest.raises(Exception, match="exceeded your free ZeroGPU quota"):
            client.predict(asked[0], "Another one?", api_name="/answer")
    finally:
        demo.close()
