"""A callback becomes a generator: the newest news, then the result, or what was raised."""

import threading
from contextvars import ContextVar

import pytest

from app.streamed import streamed

WHOSE = ContextVar("whose", default="nobody's")


def test_what_is_told_comes_in_order_and_the_result_last():
    heard = threading.Semaphore(0)

    def work(tell):
        for word in ("a", "a b"):
            tell(word)
            heard.acquire()
        return ["a", "b"]

    found = []
    for one in streamed(work):
        found.append(one)
        heard.release()
    assert found == ["a", "a b", ["a", "b"]]


def test_of_old_news_only_the_newest_is_told_and_the_result_is_never_dropped():
    told = threading.Event()

    def work(tell):
        for word in ("a", "a b", "a b c"):
            tell(word)
        told.set()
        return "a result"

    stream = streamed(work)
    first = next(stream)  # whatever was there by then
    told.wait()
    assert first in {"a", "a b", "a b c", "a result"} and [first, *stream][-1] == "a result"


def test_what_goes_wrong_is_raised_where_it_is_asked_for():
    def work(tell):
        tell("a")
        raise ValueError("a sentence")

    with pytest.raises(ValueError, match="a sentence"):
        list(streamed(work))


def test_the_thread_knows_whose_request_it_works_for():
    WHOSE.set("hers")
    assert list(streamed(lambda tell: WHOSE.get())) == ["hers"]
