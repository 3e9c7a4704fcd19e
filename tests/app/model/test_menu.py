"""The model menu without a browser: what it offers, how an opening goes, and every way it can fail."""

import json
import shutil
import threading

import pytest
import torch
from transformers import AutoModelForImageTextToText

from app.model import offer as model_offer
from app.model.menu import ModelMenu
from rediprune import Explainer, ModelError
from rediprune.explainer.model_holder import ModelHolder
from rediprune.models.checkpoints import memory
from rediprune.models.checkpoints.catalog import CATALOG, find
from rediprune.models.checkpoints.progress import Progress
from tests.support import tiny
from tests.support.fake_hub import NAME, FakeHub

LARGE = "llava-hf/llava-1.5-13b-hf"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny.save(tmp_path_factory.mktemp("models") / "other", seed=1))


@pytest.fixture
def menu():
    return ModelMenu(ModelHolder(Explainer(tiny.model(), tiny.processor(), "first")))


@pytest.fixture
def small(monkeypatch):
    """A machine with 2 GiB."""

    def here(device, freed=0):
        return memory.Room(str(device), 2**31, 2**31)

    monkeypatch.setattr("app.model.menu.room", here)
    monkeypatch.setattr("app.model.offer.room", here)


def opened(menu: ModelMenu, name: str, precision: str = "stored") -> list[dict]:
    """Every state up to the end."""
    return list(menu.follow(menu.open(name, precision)))


def test_every_checkpoint_is_offered_and_unverified_dimensions_are_marked():
    offer = json.loads(model_offer.rows())
    assert [row["name"] for row in offer["models"]] == [entry.name for entry in CATALOG]
    for row in offer["models"]:
        assert row["unverified"] == (not find(row["name"]).verified)
    assert {row["unverified"] for row in offer["models"]} == {True, False}
    assert offer["models"][0]["parameters"] == "7.06 B"
    assert list(offer["precisions"]) == ["stored", "bf16", "int8", "int4"]


def test_what_fits_is_said_of_every_checkpoint_in_every_form(menu, small):
    fits = json.loads(menu.fits())
    assert fits["room"] == "2.0 GiB are free for a model on cpu now."
    assert set(fits["models"]) == {entry.name for entry in CATALOG}
    found = fits["models"][LARGE]
    assert {made["verdict"] for made in found.values()} == {"no"}
    assert float(found["bf16"]["need"]) > float(found["int8"]["need"]) > float(found["int4"]["need"])
    assert "estimated" in found["bf16"]["sentence"]


def test_an_opening_is_followed_to_its_end(menu, folder):
    before = menu.state()
    assert before["name"] == "first" and "float32, on cpu" in before["about"] and not before["busy"]
    states = opened(menu, f" {folder} ")
    assert all(state["busy"] for state in states[:-1])
    last = states[-1]
    assert (last["name"], last["said"], last["failed"]) == ("other", "other is open.", False)
    assert last["number"] != before["number"]


def test_the_numbers_are_those_that_were_asked_for(menu, folder):
    assert "bfloat16" in opened(menu, folder, "bf16")[-1]["about"]


def test_the_built_in_model_has_a_name_of_its_own(menu, folder, monkeypatch):
    monkeypatch.setattr("app.model.menu.DEFAULT_MODEL", folder)
    assert opened(menu, model_offer.BUILT_IN)[-1]["name"] == "other"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("/no/such/folder", "there is no folder /no/such/folder"),
        ("gpt-4o", "closed weights"),
        ("owner/model", "the hub cannot be reached"),
        (__file__, "is a file, not a folder"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence_and_the_model_stays(menu, name, sentence):
    last = opened(menu, name)[-1]
    assert last["said"].startswith("Not opened: ") and sentence in last["said"] and last["failed"]
    assert last["said"].endswith(".") and not last["said"].endswith("..")
    assert last["name"] == "first" and not last["busy"]


def test_code_that_comes_with_a_model_is_never_run_from_the_menu(menu, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    own = shutil.copytree(folder, tmp_path / "own")
    config = json.loads((own / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (own / "config.json").write_text(json.dumps(config))
    (own / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    before = menu.state()["name"]
    last = opened(menu, str(own))[-1]
    assert last["failed"] and "comes with Python code of its own" in last["said"]
    assert menu.state()["name"] == before
    assert not (tmp_path / "ran").exists()


def test_how_an_opening_ended_is_told_to_its_visitor_alone(menu, folder):
    mine = opened(menu, "/no/such/folder")[-1]
    assert mine["failed"] and "/no/such/folder" in mine["said"]
    assert not any("/no/such/folder" in str(value) for value in menu.state().values())
    assert opened(menu, folder)[-1]["said"] == "other is open."
    state = menu.state()
    assert state["name"] == "other" and "said" not in state and "failed" not in state


def test_the_end_of_an_opening_is_not_taken_from_the_next_one(menu, folder):
    first = menu.open("/no/such/folder", "stored")
    list(menu.follow(first))
    opened(menu, folder)
    assert "/no/such/folder" in list(menu.follow(first))[-1]["said"]


NONSENSE = ("", " ", None, 7, "a" * 301, "a\nb")


@pytest.mark.parametrize(
    ("name", "precision"),
    [*((name, "stored") for name in NONSENSE), ("x", "int3"), ("x", None), ("x", ["int8"])],
)
def test_nonsense_is_refused_before_anything_begins(menu, name, precision):
    with pytest.raises(ModelError, match=r"which model|not offered"):
        menu.open(name, precision)
    assert not menu.state()["busy"]


def test_what_does_not_fit_is_refused_before_it_is_fetched(menu, small):
    last = opened(menu, LARGE)[-1]
    assert "it does not fit" in last["said"] and "LLaVA-1.5 13B in bf16" in last["said"]
    assert last["name"] == "first"


def test_a_fixed_model_stays_and_the_menu_says_why(folder):
    reason = "this page is public"
    menu = ModelMenu(ModelHolder(Explainer(tiny.model(), tiny.processor(), "first")), fixed=reason)
    with pytest.raises(ModelError, match=reason):
        menu.open(folder, "stored")
    assert menu.state()["fixed"] == reason


def test_where_the_old_model_had_to_go_and_the_new_one_fails_it_is_said_that_none_is_open(
    menu, folder, monkeypatch
):
    def fail(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("rediprune.explainer.model_holder._room_for_both", lambda *_: False)
    with monkeypatch.context() as patch:
        patch.setattr(AutoModelForImageTextToText, "from_pretrained", fail)
        last = opened(menu, folder)[-1]
    assert last["name"] == "" and "does not fit" in last["said"] and "first was closed before" in last["said"]
    assert opened(menu, folder)[-1]["name"] == "other"


class Slow(ModelHolder):
    """Opens nothing: reports a step whenever the test says so, and ends when it is told to."""

    def __init__(self):
        super().__init__()
        self.go_on, self.told = threading.Semaphore(0), threading.Semaphore(0)

    def open(self, name, quantise=None, progress=None, dtype=None):
        for done in range(1, 5):
            self.go_on.acquire()
            try:
                progress(Progress("download", done * 10**9, 4 * 10**9))
            finally:
                self.told.release()
        raise ModelError("it came to its end")

    def step(self):
        self.go_on.release()
        self.told.acquire()


def test_progress_is_told_in_bytes_and_percent_and_one_opening_runs_at_a_time():
    models = Slow()
    menu = ModelMenu(models)
    opening = menu.open("owner/model", "stored")
    assert menu.state()["line"] == "Checking owner/model."
    models.step()
    assert menu.state()["line"] == "Downloading: 1.00 of 4.00 GB (25%)" and menu.state()["share"] == 0.25
    with pytest.raises(ModelError, match="owner/model is being opened already"):
        menu.open("owner/other", "stored")
    for _ in range(3):
        models.step()
    assert list(menu.follow(opening))[-1]["said"] == "Not opened: it came to its end."


def test_an_opening_ends_when_it_is_stopped():
    models = Slow()
    menu = ModelMenu(models)
    opening = menu.open("owner/model", "stored")
    models.step()
    menu.stop()
    assert menu.state()["line"] == "Stopping."
    models.step()
    last = list(menu.follow(opening))[-1]
    assert (
        last["said"] == "Not opened: stopped as you asked; files that arrived whole stay for the next time."
    )
    menu.stop()  # nothing runs: nothing happens
    assert not menu.state()["busy"]


def test_a_download_from_the_hub_can_be_followed_stopped_and_taken_up_again(menu, tmp_path, folder):
    with FakeHub.of(tiny.save(tmp_path / "made")).running(tmp_path / "cache") as hub:
        told, report = [], menu._report

        def stopping(step):
            told.append(step)
            menu.stop()
            report(step)

        menu._report = stopping
        assert "stopped as you asked" in opened(menu, NAME)[-1]["said"]
        assert {step.stage for step in told} == {"download"}
        menu._report = report
        hub.gated = True
        assert "is gated: accept its terms" in opened(menu, NAME)[-1]["said"]
        hub.gated = False
        assert opened(menu, NAME)[-1]["name"] == NAME
