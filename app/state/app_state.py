"""Hold the open model and its menu, the requests that run, and the answers that are remembered."""

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

EVERY = 2**53  # above every ticket that a browser can count to
OPENED = -1  # PageRun.model if the answers were opened from a file
AT_ONCE = 2  # requests that are served at a time: one uses the model, the other does what needs none
VISITORS = 1024  # visitors whose stopped requests are remembered


@dataclass(frozen=True)
class PageRun:
    """Hold what the answers on the page belong to, besides the two sliders; a visitor's whole state."""

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
    """Hold one model for many visitors, and a bounded number of answers; pictures are not kept here.

    A visitor's requests carry tickets, numbered upwards by the browser. A stop ends this ticket and all
    earlier ones: so a stop that arrives late cannot hit a newer request, and a request that is still in the
    queue ends before it begins.

    Args:
        models: holds the model, or the model to begin with.
        fixed: why the model cannot be changed, one sentence; empty if it can.
        at_once: how many requests are served at a time; runs of the model take turns in any case.

    Attributes:
        models: work with the model inside `models.borrow()`; it may be exchanged at any other time.
        full: unpruned answers by (number of the model, look's key, question).
        pruned: pruned answers and how far they agree, by the key of `full`, the settings and the kept tokens.
        others_wait: returns whether a request waits in the page's queue now; then nothing is run that can be
            left out.
    """

    def __init__(
        self, models: ModelHolder | Explainer, remember: int = 64, fixed: str = "", at_once: int = AT_ONCE
    ):
        self.at_once = at_once
        self._slots = threading.Semaphore(at_once)
        self._waiting = 0
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
        """Yield the open model, which stays open meanwhile, with the number of threads that suits it.

        Raises:
            ModelError: no model is open at this moment.
        """
        with self.models.borrow() as explainer:
            fit_threads(explainer.model)
            yield explainer

    def serve_one_at_a_time(self) -> None:
        """Serve one request at a time from now on; to be called before the first one."""
        self.at_once = 1
        self._slots = threading.Semaphore(1)

    @contextmanager
    def take_slot(self, stop: threading.Event) -> Iterator[None]:
        """Wait for one of the `at_once` places at the model; files are read before.

        The wait ends when `stop` is set: a stopped answer takes no time.
        """
        is_taken = False
        with self._lock:
            self._waiting += 1
        try:
            while not (is_taken or stop.is_set()):
                is_taken = self._slots.acquire(timeout=0.05)
        finally:
            with self._lock:
                self._waiting -= 1
        try:
            yield
        finally:
            if is_taken:
                self._slots.release()

    def is_crowded(self) -> bool:
        """Return whether another request waits for the model now, in the queue or for a slot."""
        return self._waiting > 0 or self.others_wait()

    @contextmanager
    def borrow_explainer_of(self, run: PageRun) -> Iterator[ExplainerLike]:
        """Yield what explains `run`: the model that answered it, which stays open meanwhile, or its file.

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
        """Yield the open model to answer about the input of `run`; it stays open meanwhile.

        Raises:
            ValueError: `run` shows an opened trace that another model made.
            ModelError: no model is open at this moment.
        """
        with self.borrow_model() as explainer:
            if run.source.trace and not was_made_by(explainer, load_saved_run(run.source)):
                raise ValueError(_name_other_model(load_saved_run(run.source).name, explainer.name))
            yield explainer

    @contextmanager
    def take_turn(self, visitor: str, ticket: int = 0, patience: float = 0.0) -> Iterator[threading.Event]:
        """Yield the stop signal of a request while it runs; stop an older request of the same visitor.

        The signal is set from the start if the request was stopped while it waited, and always for ticket -1.
        For up to `patience` seconds this request waits for the older one to end, so that what that one still
        writes to the visitor's state is written before.
        """
        stop, ended = threading.Event(), threading.Event()
        request = (ticket, stop, ended)
        with self._lock:
            if (older := self._running.get(visitor)) and older[0] <= ticket:
                older[1].set()
            self._running[visitor] = request
            if ticket <= self._last_over(visitor):
                stop.set()
        if older and patience:
            older[2].wait(patience)
        try:
            yield stop
        finally:
            stop.set()  # also when the visitor left: the thread that answers must end
            ended.set()
            with self._lock:
                if self._running.get(visitor) is request:
                    del self._running[visitor]

    def stop(self, visitor: str, ticket: int = EVERY) -> None:
        """End a visitor's requests up to this ticket: a running one now, waiting ones before they begin."""
        with self._lock:
            self._over.put(visitor, max(ticket, self._last_over(visitor)))
            number, signal, _ = self._running.get(visitor, (EVERY + 1, None, None))
            if number <= ticket:
                signal.set()

    def _last_over(self, visitor: str) -> int:
        over = self._over.get(visitor)
        return -1 if over is None else over


def was_made_by(explainer: Explainer, recorded: RecordedRun) -> bool:
    """Return whether an opened run was made by the model that is open now."""
    return (explainer.name, explainer.fingerprint) == (recorded.name, recorded.fingerprint)


def _name_other_model(made: str, here: str) -> str:
    who = made or "a model without a name"
    if made == here:
        who = f"another {here}, with other weights"
    return (
        f"The opened run was made by {who}, and the open model is {here}: to answer anew, open that one, or "
        "choose another picture."
    )
