"""Turn a function that reports to a callback into a generator of its reports."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import TypeVar

Report = TypeVar("Report")
Result = TypeVar("Result")


def stream_reports(work: Callable[[Callable[[Report], None]], Result]) -> Iterator[Report | Result]:
    """Run `work(report)` in a thread of its own; yield what it reports, and at last what it returns.

    If several reports came since the last one was taken, only the newest is yielded; the last report always
    is. What `work` raises is raised here. The thread runs in the caller's context, in which ZeroGPU looks up
    whose request this is.
    """
    reports: queue.SimpleQueue = queue.SimpleQueue()

    def run() -> None:
        try:
            end = ("returned", work(lambda report: reports.put(("reported", report))))
        except BaseException as error:
            end = ("raised", error)
        reports.put(end)

    threading.Thread(target=copy_context().run, args=(run,), name="answer", daemon=True).start()
    ended = False
    while not ended:
        came = [reports.get()]
        while not reports.empty():
            came.append(reports.get())
        how, end = came[-1]
        ended = how != "reported"
        waiting = came[:-1] if ended else came
        if waiting:
            yield waiting[-1][1]
    if how == "raised":
        raise end
    yield end
