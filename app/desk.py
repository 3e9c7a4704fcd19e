"""What the page remembers: of each visitor the last question, and a bounded number of unpruned answers."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from rediprune import Explainer

from .sources import Source


@dataclass(frozen=True)
class Run:
    """What the answers on the page belong to, beside the two sliders; all that a visitor's state holds."""

    source: Source
    question: str
    method: str
    query: str


class Desk:
    """One explainer for many visitors; remembers no picture, and of answers the unpruned ones, bounded."""

    def __init__(self, explainer: Explainer, remember: int = 64):
        self.explainer = explainer
        self._full: OrderedDict[tuple, tuple] = OrderedDict()  # (look, question) -> (Answer, Timing | None)
        self._remember = remember
        self._running: dict[str, threading.Event] = {}

    def begin(self, visitor: str) -> threading.Event:
        """The stop signal of a visitor's new answer; an older one of the same visitor is stopped."""
        self.stop(visitor)
        self._running[visitor] = threading.Event()
        return self._running[visitor]

    def stop(self, visitor: str) -> None:
        """End the visitor's running answer where it stands."""
        if event := self._running.pop(visitor, None):
            event.set()

    def recall(self, key: tuple) -> tuple:
        return self._full.get(key, (None, None))

    def keep(self, key: tuple, found: tuple) -> None:
        self._full[key] = found
        self._full.move_to_end(key)
        while len(self._full) > self._remember:
            self._full.popitem(last=False)
