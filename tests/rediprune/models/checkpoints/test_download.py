"""A checkpoint comes from the hub whole, once, with its progress told; what is not needed stays there."""

import shutil
from collections import namedtuple

import pytest
from huggingface_hub import constants

from rediprune.models import ModelError, load
from rediprune.models.checkpoints.download import fetch_description, fetch_weights
from rediprune.models.checkpoints.progress import Progress
from tests.support import tiny
from tests.support.fake_hub import NAME, FakeHub

NOT_NEEDED = {"README.md": b"words", "pytorch_model.bin": bytes(10), "consolidated.safetensors": bytes(10)}


@pytest.fixture
def hub(tmp_path):
    served = FakeHub.of(tiny.save(tmp_path / "made"))
    served.files |= NOT_NEEDED
    with served.running(tmp_path / "cache"):
        yield served


def test_a_name_on_the_hub_opens_like_a_folder_and_reports_every_byte_and_tensor(hub):
    steps = []
    model, processor = load(NAME, progress=steps.append)
    assert type(processor).__name__ == "LlavaProcessor"
    for stage, total in (
        ("download", len(hub.files["model.safetensors"])),
        ("load", len(model.state_dict())),
    ):
        mine = [step for step in steps if step.stage == stage]
        assert {step.total for step in mine} == {total}
        assert [step.done for step in mine] == sorted(step.done for step in mine)
        assert mine[-1].done == total
    assert steps[0] == Progress("download", 0, len(hub.files["model.safetensors"]))


def test_only_what_is_needed_is_fetched_and_only_once(hub):
    load(NAME)
    assert hub.fetched() == set(hub.files) - set(NOT_NEEDED)
    hub.asked.clear()
    steps = []
    load(NAME, progress=steps.append)
    assert hub.fetched() == set()
    assert {step.stage for step in steps} == {"load"}


def test_a_repository_without_safetensors_gives_its_other_weights(hub):
    del hub.files["model.safetensors"]
    fetch_weights(NAME, fetch_description(NAME))
    assert "pytorch_model.bin" in hub.fetched()


def test_what_was_fetched_once_needs_no_connection(hub, monkeypatch):
    load(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    load(NAME)
    assert hub.asked == []


def test_weights_that_are_missing_without_a_connection_are_one_sentence(hub, monkeypatch):
    fetch_description(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=f"^{NAME} is not on this machine and the hub cannot be reached"):
        load(NAME)


def test_a_model_that_cannot_be_pruned_is_refused_before_its_weights_are_fetched(hub):
    hub.files["config.json"] = (
        b'{"model_type": "mllama", "architectures": ["MllamaForConditionalGeneration"]}'
    )
    with pytest.raises(ModelError, match=r"Mllama.* has no separate projector"):
        load(NAME)
    assert "model.safetensors" not in hub.fetched()


def test_gated_and_unknown_are_one_sentence_each(hub):
    hub.gated = True
    with pytest.raises(ModelError, match=f"^{NAME} is gated: accept its terms"):
        load(NAME)
    with pytest.raises(ModelError, match="no public model on the hub named owner/other"):
        load("owner/other")


@pytest.mark.filterwarnings("ignore:Not enough free disk space")  # the hub's own, in other words
def test_a_disk_too_full_is_said_before_anything_is_fetched(hub, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100, 90, 10))
    with pytest.raises(ModelError, match=r"takes 0\.0 GB on disk and 0\.0 GB are free in .*cache"):
        load(NAME)
    assert "model.safetensors" not in hub.fetched()


def test_a_disk_that_fills_up_on_the_way_is_one_sentence(hub, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rediprune.models.checkpoints.loading.fetch_weights", full)
    with pytest.raises(ModelError, match=r"^the disk is full"):
        load(NAME)


def test_no_connection_at_all_is_one_sentence(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="the hub cannot be reached"):
        load(NAME)


def test_progress_reads_as_a_line():
    assert str(Progress("download", 1_200_000_000, 14_130_000_000)) == "Downloading: 1.20 of 14.13 GB"
    assert str(Progress("load", 120, 1686)) == "Reading weights: 120 of 1,686 tensors"
    assert Progress("load", 1, 4).share == 0.25
