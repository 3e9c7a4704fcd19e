"""`--model small` opens the best-fitting model, or one that is here, or one sentence says what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

import rediprune
from app.model.menu import ModelMenu
from app.start import small_model as start
from app.start.small_model import is_small, progress_printer, small_model
from rediprune.explainer.model_holder import ModelHolder
from rediprune.models import ModelError
from rediprune.models.checkpoints import small
from rediprune.models.checkpoints.catalog import find
from rediprune.models.checkpoints.memory import Fit
from rediprune.models.checkpoints.progress import Progress
from rediprune.models.checkpoints.small import SmallModel, free_for_downloads, is_here
from tests.support import photo_models

ROOT = Path(rediprune.__file__).parents[1]
INTERNVL = find("OpenGVLab/InternVL3-1B-hf")
SMOLVLM = find("HuggingFaceTB/SmolVLM-256M-Instruct")


@pytest.fixture
def machine(monkeypatch):
    """Return a function that sets which models fit, which are here, and what a fetch raises."""
    fetched = []

    def make(fitting=(INTERNVL, SMOLVLM), here=(), error: str = "") -> list[str]:
        candidates = [SmallModel(entry, Fit("fits", ""), 4.6) for entry in fitting]
        monkeypatch.setattr(start, "small_candidates", lambda *_, **__: candidates)
        monkeypatch.setattr(start, "is_here", lambda entry: entry in here)

        def prepare(name, progress):
            fetched.append(name)
            if error:
                raise ModelError(error)

        monkeypatch.setattr(start, "prepare", prepare)
        return fetched

    return make


@pytest.mark.parametrize(
    ("name", "stands"), [("small", True), (" Small ", True), ("./small", False), (None, False)]
)
def test_the_word_stands_for_the_model(name, stands):
    assert is_small(name) == stands


def test_the_best_one_is_fetched_and_said_with_its_size_its_licence_and_its_seconds(machine):
    fetched, said = machine(), []
    assert small_model("cpu", said.append) == INTERNVL.name
    assert fetched == [INTERNVL.name]
    (sentence,) = said
    assert "OpenGVLab/InternVL3-1B-hf (1.9 GB to download; Apache-2.0)" in sentence
    assert "about 5 s here, estimated" in sentence


def test_without_a_connection_one_that_is_here_is_opened_and_this_is_said(machine):
    machine(here=(SMOLVLM,), error="the hub cannot be reached")
    said = []
    assert small_model("cpu", said.append) == SMOLVLM.name
    assert said[-1] == "the hub cannot be reached. SmolVLM 256M is on this machine and is opened instead."


def test_without_a_connection_and_with_nothing_here_the_exact_command_is_said(machine):
    machine(error="it is not on this machine and the hub cannot be reached")
    with pytest.raises(ModelError, match=r"run `hf download OpenGVLab/InternVL3-1B-hf` where .* \(1\.9 GB\)"):
        small_model("cpu", lambda _: None)


def test_a_damaged_model_that_is_here_is_not_opened_in_place_of_itself(machine):
    machine(here=(INTERNVL,), error="a file is damaged")
    with pytest.raises(ModelError, match="a file is damaged"):
        small_model("cpu", lambda _: None)


def test_a_machine_without_room_is_said_by_the_smallest_model(machine):
    machine(fitting=())
    with pytest.raises(ModelError, match=r"even SmolVLM 256M needs 0\.5 GB on the disk"):
        small_model("cpu", lambda _: None)


def test_an_unknown_device_is_said_before_anything_is_fetched(machine):
    fetched = machine()
    with pytest.raises(ModelError, match="device='tpu' is unknown"):
        small_model("tpu", lambda _: None)
    assert fetched == []


def test_a_download_is_told_in_ten_steps_and_the_reading_of_weights_not_at_all():
    said = []
    report = progress_printer(said.append)
    for done in range(1001):
        report(Progress("download", done * 10**6, 10**9))
    report(Progress("load", 1, 2))
    assert len(said) == 11 and said[-1] == "Downloading: 1.00 of 1.00 GB"


@pytest.mark.parametrize(("size", "whole"), [(513_028_808, True), (400_000_000, False), (0, False)])
def test_a_model_is_here_where_all_of_its_weights_lie_in_the_cache(monkeypatch, tmp_path, size, whole):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(small, "snapshot_download", lambda name, **_: str(snapshot))
    snapshot = tmp_path / "models--HuggingFaceTB--SmolVLM-256M-Instruct" / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    if size:
        with (snapshot / "model.safetensors").open("wb") as file:
            file.truncate(size)  # a hole: no space is taken
    assert is_here(SMOLVLM) == whole


def test_an_empty_cache_holds_no_model_and_has_the_room_of_its_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "not" / "there"))
    assert free_for_downloads() > 0
    assert not is_here(SMOLVLM)


def test_the_menu_opens_a_small_model_quick_and_says_so(tmp_path):
    """The way of a visitor: the holder that app.py makes, and the menu's line about the open model."""
    folder = photo_models.save(INTERNVL, tmp_path)
    models = ModelHolder(device="cpu", quick=True)
    menu = ModelMenu(models)
    states = list(menu.follow(menu.open(str(folder), "stored")))
    assert states[-1]["said"] == "InternVL3-1B-hf is open." and not states[-1]["failed"]
    assert states[-1]["about"].endswith("on cpu; shown one tile of 448 x 448 (max_patches=1)")
    with models.borrow() as explainer:
        look = explainer.look(photo_models.photograph((4000, 3000)))
    assert len(look.vision.all) == INTERNVL.photograph.tokens


def test_the_page_ends_with_that_sentence_where_nothing_can_be_fetched(tmp_path):
    """The whole way, offline and with an empty cache."""
    variables = {
        **os.environ,
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
        "GRADIO_TEMP_DIR": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, "app.py", "--model", "small", "--device", "cpu"],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1
    assert "run `hf download " in done.stderr and "Traceback" not in done.stderr
    assert "leave --model out for the built-in model" in done.stderr
