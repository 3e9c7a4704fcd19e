"""A function that reports to a callback -> a generator of what it reports."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import TypeVar

News, Result = TypeVar("News"), TypeVar("Result")


def stream_reports(work: Callable[[Callable[[News], None]], Result]) -> Iterator[News | Result]:
    """Run `work(tell)` in a thread of its own; yields what it tells, and at last what it returns.

    Of news that came while nobody asked, only the newest is yielded; the last news always is. What `work`
    raises is raised here. The thread runs in the caller's context: that says whose request this is, and
    ZeroGPU asks.
    """
    news: queue.SimpleQueue = queue.SimpleQueue()

    def run() -> None:
        try:
            end = ("returned", work(lambda said: news.put(("told", said))))
        except BaseException as error:
            end = ("raised", error)
        news.put(end)

    threading.Thread(target=copy_context().run, args=(run,), name="answer", daemon=True).start()
    ended = False
    while not ended:
        came = [news.get()]
        while not news.empty():
            came.append(news.get())
        how, end = came[-1]
        ended = how != "told"
        told = came[:-1] if ended else came
        if told:
            yield told[-1][1]
    if how == "raised":
        raise end
    yield end
