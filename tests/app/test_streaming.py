"""A callback becomes a generator: the newest news, then the result, or what was raised."""

import threading
from contextvars import ContextVar

import pytest

from app.streaming import stream_reports

WHOSE = ContextVar("whose", default="nobody's")


def test_what_is_told_comes_in_order_and_the_result_last():
    heard = threading.Semaphore(0)

    def work(tell):
        for word in ("a", "a b"):
            tell(word)
            heard.acquire()
        return ["a", "b"]

    found = []
    for one in stream_reports(work):
        found.append(one)
        heard.release()
    assert found == ["a", "a b", ["a", "b"]]


def test_of_old_news_only_the_newest_is_told_and_neither_the_last_nor_the_result_is_dropped():
    begun, told = threading.Event(), threading.Event()

    def work(tell):
        tell("")
        begun.wait()
        for word in ("a", "a b", "a b c"):
            tell(word)
        told.set()
        return "a result"

    stream = stream_reports(work)
    assert next(stream) == ""
    begun.set()
    told.wait()
    assert list(stream) == ["a b c", "a result"]


def test_what_was_told_before_something_went_wrong_is_told():
    def work(tell):
        tell("a")
        raise ValueError("a sentence")

    stream = stream_reports(work)
    assert next(stream) == "a"
    with pytest.raises(ValueError, match="a sentence"):
        next(stream)


def test_the_thread_knows_whose_request_it_works_for():
    WHOSE.set("hers")
    assert list(stream_reports(lambda tell: WHOSE.get())) == ["hers"]
