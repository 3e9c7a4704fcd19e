"""Check lmms.requests: what a request of lmms-eval asks, and the key that its answer is known by."""

from types import SimpleNamespace

import pytest

from rediprune.evaluation.lmms.decoding import Decoding
from rediprune.evaluation.lmms.requests import read_continuation, read_generation

DOCS = {"pope": {"test": [{"image": "a"}, {"image": "b"}]}}
GREEDY = {"max_new_tokens": 16, "temperature": 0.0, "do_sample": False, "until": ["\n\n"]}


def visual(doc: dict) -> list:
    return [doc["image"]]


def request(*args, **metadata) -> SimpleNamespace:
    return SimpleNamespace(args=args, metadata=metadata)


def asked(text="Is there a cat?", kwargs=GREEDY, doc_id=1, **metadata):
    return read_generation(request(text, kwargs, visual, doc_id, "pope", "test", **metadata), DOCS)


def test_a_generation_knows_its_sample():
    made = asked()
    assert (made.task, made.split, made.doc_id, made.name) == ("pope", "test", 1, "pope test 1")
    assert made.visuals() == ["b"] and made.target == Decoding(16, 1, ("\n\n",)) and not made.padding


def test_an_answer_is_known_by_what_was_asked():
    key = asked().key
    assert asked().key == key == asked(__padding_only__=True).key
    assert asked(**{"rank": 3}).key == key
    others = [
        asked(text="Is there a dog?"),
        asked(doc_id=0),
        asked(kwargs=GREEDY | {"max_new_tokens": 32}),
        asked(kwargs=GREEDY | {"until": ["."]}),
        read_continuation(request("Is there a cat?", " yes", visual, 1, "pope", "test"), DOCS),
        read_continuation(request("Is there a cat?", " no", visual, 1, "pope", "test"), DOCS),
    ]
    assert len({key, *(one.key for one in others)}) == 7


def test_what_pads_a_process_is_told_apart():
    assert asked(__padding_only__=True).padding


def test_a_continuation_is_words_or_made_of_the_document():
    args = ("Is there a cat?", lambda doc: f" {doc['image']}", visual, 0, "pope", "test")
    assert read_continuation(request(*args), DOCS).target == " a"
    with pytest.raises(NotImplementedError, match="acc_mutual_info"):
        read_continuation(request("", " yes"), DOCS)


def test_a_task_that_samples_is_refused_with_its_name():
    with pytest.raises(ValueError, match="generation_kwargs of pope ask for sampling"):
        asked(kwargs={"temperature": 0.7})
