"""One model is open at a time: the old one is really freed, and a failed opening never leaves a riddle."""

import gc
import threading
import weakref

import pytest
import torch
from transformers import AutoModelForImageTextToText

from rediprune import Explainer, ModelError
from rediprune.explainer.model_holder import ModelHolder
from rediprune.models.checkpoints import memory
from tests.support import tiny


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {name: tiny.save(root / name, seed) for seed, name in enumerate(("first", "second"))}


@pytest.fixture(params=["room for both", "room for one"])
def roomy(request, monkeypatch):
    free = 2**40 if request.param == "room for both" else 2**20  # the tiny model's files hold 0.6 MB
    monkeypatch.setattr("rediprune.explainer.model_holder.room", lambda _: memory.Room("cpu", free, free))
    return request.param == "room for both"


def test_opening_gives_an_explainer_that_answers(folders):
    one = ModelHolder()
    with pytest.raises(ModelError, match="no model is open"), one.borrow():
        pass
    steps = []
    assert one.open(folders["first"], progress=steps.append).name == one.name == "first"
    assert steps[-1].share == 1
    with one.borrow() as explainer:
        assert explainer.run(tiny.image(), "red?", max_new_tokens=2).full is not None


def test_opening_another_frees_the_weights_of_the_old(folders, roomy):
    one = ModelHolder()
    one.open(folders["first"])
    with one.borrow() as explainer:
        explainer.run(tiny.image(), "red?", max_new_tokens=2)
        model = weakref.ref(explainer.model)
        weights = [weakref.ref(weight) for weight in explainer.model.parameters()]
    del explainer
    one.open(folders["second"])
    gc.collect()
    assert model() is None
    assert [weight() for weight in weights if weight() is not None] == []
    assert one.name == "second"


def fail(*_, **__):
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_a_failed_opening_keeps_the_old_model_or_says_that_it_was_closed(folders, roomy, monkeypatch):
    one = ModelHolder()
    one.open(folders["first"])
    with monkeypatch.context() as patch:
        patch.setattr(AutoModelForImageTextToText, "from_pretrained", fail)
        with pytest.raises(ModelError, match="second does not fit into the device's memory") as error:
            one.open(folders["second"])
    assert ("first was closed before to make room: open it again" in str(error.value)) == (not roomy)
    assert one.name == ("first" if roomy else "")
    assert one.open(folders["second"]).name == "second"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("no/such/folder",), "there is no folder"),
        (("gpt-4o",), "closed weights"),
        (("owner/model",), "cannot be reached"),
        (("owner/model", "int3"), "quantise='int3' is unknown"),
    ],
)
def test_what_fails_before_the_weights_costs_nothing(folders, arguments, sentence):
    one = ModelHolder()
    one.open(folders["first"])
    with pytest.raises(ModelError, match=sentence):
        one.open(*arguments)
    assert one.name == "first"


def test_what_cannot_fit_is_not_even_read_and_the_old_model_stays(folders, monkeypatch):
    one = ModelHolder()
    one.open(folders["first"])
    held = sum(w.numel() * w.element_size() for w in one._explainer.model.parameters())
    assert one.weight_bytes == held
    monkeypatch.setattr(ModelHolder, "weight_bytes", 0)
    monkeypatch.setattr(
        "rediprune.explainer.model_holder.room", lambda _: memory.Room("cpu", held // 3, held)
    )
    with pytest.raises(ModelError, match=r"second takes at least .* GiB and cpu has .*: choose int8"):
        one.open(folders["second"])
    assert one.name == "first"


def test_numbers_and_numerals(folders):
    one = ModelHolder()
    assert one.generation == 0
    one.open(folders["first"])
    before = one.generation
    one.open(folders["first"], dtype="bfloat16")
    with one.borrow() as explainer:
        assert one.generation != before and explainer.model.dtype == torch.bfloat16
    with pytest.raises(ModelError, match="there is no folder"):
        one.open("no/such/folder")
    assert one.generation == before + 1


def test_who_reports_may_end_the_opening(folders):
    def enough(step):
        raise ModelError("stopped")

    one = ModelHolder()
    one.open(folders["first"])
    with pytest.raises(ModelError, match=r"^stopped$"):
        one.open(folders["second"], progress=enough)
    assert one.name == "first"


def test_a_running_answer_ends_before_its_model_goes(folders, roomy):
    one = ModelHolder()
    one.open(folders["first"])
    done = threading.Event()
    with one.borrow() as explainer:
        opening = threading.Thread(target=lambda: (one.open(folders["second"]), done.set()))
        opening.start()
        assert explainer.run(tiny.image(), "red?", max_new_tokens=2).full is not None
        assert not done.is_set()
        assert one.name == "first"
    opening.join()
    assert done.is_set()
    assert one.name == "second"


def test_an_answer_that_never_ends_is_one_sentence_and_the_model_stays(folders):
    one = ModelHolder(patience=0.01)
    one.open(folders["first"])
    with one.borrow():
        with pytest.raises(ModelError, match="first is still answering: try again"):
            one.open(folders["second"])
        assert one.name == "first"
    assert one.open(folders["second"]).name == "second"


def test_many_threads_find_a_whole_model_or_a_sentence(folders):
    one = ModelHolder(Explainer(tiny.model(), tiny.processor(), "given"))
    seen = set()

    def work():
        for _ in range(50):
            try:
                with one.borrow() as explainer:
                    seen.add(explainer.name)
                    assert explainer.model.lm_head.weight.numel()
            except ModelError as error:
                seen.add(str(error)[:16])

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for name in ("first", "second", "first"):
        one.open(folders[name])
    for worker in workers:
        worker.join()
    assert seen <= {"given", "first", "second", "no model is open"}
    assert one.name == "first"
