"""What the page holds: the open model and its menu; of each visitor the last question; unpruned answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rediprune import Answer, Explainer
from rediprune.explainer.lru_cache import LruCache
from rediprune.explainer.model_holder import ModelHolder
from rediprune.explainer.protocol import ExplainerLike
from rediprune.replay.recorded_run import RecordedRun
from rediprune.trace import Agreement

from ..model.menu import ModelMenu
from ..model.threads import fit_threads
from .sources import Source, load_saved_run

EVERY = 2**53  # above every ticket a browser can count to
OPENED = -1  # Run.model where the answers were opened from a file
AT_ONCE = 2  # requests that are worked on together: one at the model, the other at what needs none
VISITORS = 1024  # of so many it is remembered which of their requests are over


@dataclass(frozen=True)
class PageRun:
    """What the answers on the page belong to, beside the two sliders; all that a visitor's state holds."""

    source: Source
    question: str
    method: str
    query: str
    budget: str = "frame"
    model: int = 0  # ModelHolder.generation of the model that answered, or OPENED
    answered: bool = field(
        default=False, compare=False
    )  # for this visitor; False in the Run that every page begins with


class AppState:
    """One model for many visitors; remembers no picture, and of answers the unpruned ones, bounded.

    A visitor's requests carry tickets, numbered upwards by the browser. To stop means: this ticket and all
    before it. So a stop that arrives late cannot hit a newer request, and one that is still in the queue
    ends before it begins.

    Args:
        models: holds the model, or the model to begin with.
        fixed: why the model cannot be changed, one sentence; empty where it can.
        at_once: how many requests are worked on together; runs of the model take turns all the same.

    Attributes:
        models: work with the model inside `models.borrow()`; it may be exchanged at any other time.
        full: unpruned answers by (number of the model, look's key, question).
        pruned: pruned answers and how far they agree, by the same, the settings and the kept tokens.
        others_wait: says whether a request waits in the page's queue now; then nothing is run that can be
        left out.
    """

    def __init__(
        self, models: ModelHolder | Explainer, remember: int = 64, fixed: str = "", at_once: int = AT_ONCE
    ):
        self.at_once, self._slots, self._waiting = at_once, threading.Semaphore(at_once), 0
        self.models = models if isinstance(models, ModelHolder) else ModelHolder(models)
        self.menu = ModelMenu(self.models, fixed)
        self.full: LruCache[Answer] = LruCache(remember)
        self.pruned: LruCache[tuple[Answer, Agreement]] = LruCache(remember)
        self.others_wait: Callable[[], bool] = lambda: False
        self._over: LruCache[int] = LruCache(VISITORS)  # the newest ticket that was stopped
        self._running: dict[str, tuple[int, threading.Event, threading.Event]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def borrow_model(self) -> Iterator[Explainer]:
        """The open model, which stays open meanwhile, with as many threads as serve it.

        Raises:
            ModelError: no model is open at this moment.
        """
        with self.models.borrow() as explainer:
            fit_threads(explainer.model)
            yield explainer

    def serve_one_at_a_time(self) -> None:
        """Work on one request at a time from now on; before the first one."""
        self.at_once, self._slots = 1, threading.Semaphore(1)

    @contextmanager
    def take_slot(self, stop: threading.Event) -> Iterator[None]:
        """Wait for one of the `at_once` places at the model and what belongs to it; files are read before.

        Once `stop` is set the wait is over: an answer that is stopped takes no time.
        """
        mine = False
        with self._lock:
            self._waiting += 1
        try:
            while not (mine or stop.is_set()):
                mine = self._slots.acquire(timeout=0.05)
        finally:
            with self._lock:
                self._waiting -= 1
        try:
            yield
        finally:
            if mine:
                self._slots.release()

    def is_crowded(self) -> bool:
        """Whether another request waits for the model now, in the queue or for a slot."""
        return self._waiting > 0 or self.others_wait()

    @contextmanager
    def borrow_explainer_of(self, run: PageRun) -> Iterator[ExplainerLike]:
        """What tells of `run`: the open model that answered it, which stays open meanwhile, or its file.

        Raises:
            ValueError: another model is open by now, or the file is gone.
            ModelError: no model is open at this moment.
        """
        if run.model == OPENED:
            yield load_saved_run(run.source)
            return
        with self.borrow_model() as explainer:
            if run.model != self.models.generation:
                raise ValueError("These answers are an earlier model's: answer again, then come back.")
            yield explainer

    @contextmanager
    def borrow_model_for(self, run: PageRun) -> Iterator[Explainer]:
        """The open model, to work on what `run` shows; it stays open meanwhile.

        Raises:
            ValueError: `run` shows an opened trace that another model made.
            ModelError: no model is open at this moment.
        """
        with self.borrow_model() as explainer:
            if run.source.trace and not made_by(explainer, load_saved_run(run.source)):
                raise ValueError(_another(load_saved_run(run.source).name, explainer.name))
            yield explainer

    @contextmanager
    def take_turn(self, visitor: str, ticket: int = 0, patience: float = 0.0) -> Iterator[threading.Event]:
        """The stop signal of a request while it runs; an older request of the same visitor is stopped.

        It is set from the start if the request was stopped while it waited, and always for ticket -1. For so
        many seconds of `patience` the older request may come to its end before this one begins: what it still
        writes of the visitor's state is then written before.
        """
        mine = (ticket, threading.Event(), threading.Event())
        with self._lock:
            if (older := self._running.get(visitor)) and older[0] <= ticket:
                older[1].set()
            self._running[visitor] = mine
            if ticket <= self._last_over(visitor):
                mine[1].set()
        if older and patience:
            older[2].wait(patience)
        try:
            yield mine[1]
        finally:
            mine[1].set()  # also when the visitor left: the thread that answers must end
            mine[2].set()
            with self._lock:
                if self._running.get(visitor) is mine:
                    del self._running[visitor]

    def stop(self, visitor: str, ticket: int = EVERY) -> None:
        """End a visitor's requests up to this ticket: one that runs where it stands, the others unbegun."""
        with self._lock:
            self._over.put(visitor, max(ticket, self._last_over(visitor)))
            number, signal, _ = self._running.get(visitor, (EVERY + 1, None, None))
            if number <= ticket:
                signal.set()

    def _last_over(self, visitor: str) -> int:
        over = self._over.get(visitor)
        return -1 if over is None else over


def made_by(explainer: Explainer, made: RecordedRun) -> bool:
    """Whether an opened run was made by the very model that is open."""
    return (explainer.name, explainer.fingerprint) == (made.name, made.fingerprint)


def _another(made: str, here: str) -> str:
    who = f"another {here}, with other weights" if made == here else made or "a model without a name"
    return (
        f"The opened run was made by {who}, and the open model is {here}: to answer anew, open that one, or "
        "choose another picture."
    )
