"""What happens when a visitor does something: plain generators of Views, no Gradio, testable without a browser.

Bad input of every kind ends in one sentence in the notice; the picture, the question and the answers stay.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from rediprune import Answer, Explainer, PruneConfig, Selection, alpha_from_weight

from . import views
from .sources import Source, file_source, picture, scene_source, suggestions
from .views import QUERIES, QUERY_WORDS, WEIGHTS, View, notice

QUICK_SECONDS = 2.0  # where both answers come within this, a released slider answers again by itself
PUBLIC_MODEL = "python app.py --model llava-hf/llava-1.5-7b-hf"
IDLE = {"busy": False}  # back to the answers that were there before
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """What the answers on the page belong to, beside the two sliders: small, and all that a visitor's state holds."""

    source: Source
    question: str
    method: str
    query: str


class Desk:
    """One explainer at the service of many visitors; holds no picture, and of answers the unpruned ones, bounded."""

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


def default_query(explainer: Explainer) -> str:
    """The menu entry of the model's default query."""
    return _query_name(explainer.defaults)


def query_choices(explainer: Explainer) -> list[tuple[str, str]]:
    """(words, value) of the queries that this model can be asked with; the default says that it is."""
    found = []
    for name, words in QUERIES.items():
        query, _, pointing = name.partition("/")
        if query in explainer.queries and (not pointing or pointing in explainer.pointings):
            found.append((words + (" (default)" if name == default_query(explainer) else ""), name))
    return found


def settings(explainer: Explainer, knobs: dict, method: str, query: str) -> PruneConfig:
    """The PruneConfig of the page's controls; the weight is that of the nearest stop, as the picture shows it.

    Raises:
        ValueError: anything out of range.
    """
    try:
        keep, weight = float(knobs["keep"]), float(knobs["weight"])
    except (TypeError, KeyError, ValueError):
        raise ValueError("The sliders sent no numbers: reload the page.") from None
    if not 0 <= weight <= 1:  # also refuses NaN
        raise ValueError(f"weight={weight} is out of range: it must be a number in [0, 1]")
    name, _, pointing = query.partition("/")
    return replace(
        explainer.defaults,
        keep_ratio=keep,
        alpha=alpha_from_weight(WEIGHTS[_nearest(weight)]),
        method=method,
        query=name,
        pointing=pointing or explainer.defaults.pointing,
    )


def pick(desk: Desk, seed: object, asked: str, before: Run, knobs: dict, stop: threading.Event) -> Iterator[View]:
    """Show the scene of that number and ask about it. `asked` is what stands in the question box."""
    yield from _show(desk, lambda: scene_source(seed), asked, before, knobs, stop)


def give(desk: Desk, file: object, asked: str, before: Run, knobs: dict, stop: threading.Event) -> Iterator[View]:
    """Show a visitor's own picture and ask about it; `file` as in sources.file_source, None where it was taken away."""
    if file is not None:
        yield from _show(desk, lambda: file_source(file), asked, before, knobs, stop)


def _show(desk: Desk, find: Callable[[], Source], asked: str, before: Run, knobs: dict, stop) -> Iterator[View]:
    try:
        source = find()
        picture(source)
        fitting = suggestions(source)
    except (ValueError, OSError) as error:
        yield View(notice=notice(str(error), "error"))
        return
    own = asked.strip() and asked not in suggestions(before.source)  # what a visitor wrote is not thrown away
    question = asked if own else fitting[0]
    yield View(question=question, suggestions=list(fitting))
    yield from answer(desk, replace(before, source=source, question=question), knobs, stop)


def choose(desk: Desk, run: Run, knobs: dict, stop: threading.Event) -> Iterator[View]:
    """Ask a suggested question: it is written into the box, then asked."""
    yield View(question=run.question)
    yield from answer(desk, run, knobs, stop)


def first_paint(desk: Desk, run: Run, knobs: dict) -> View:
    """A real run, to its end, as one View."""
    found: dict = {}
    for view in answer(desk, run, knobs, threading.Event()):
        found |= {name: value for name, value in vars(view).items() if value is not None and value != IDLE}
    return View(**found)


def answer(desk: Desk, run: Run, knobs: dict, stop: threading.Event, redraw: bool = True) -> Iterator[View]:
    """Answer with the kept tokens and with all of them; yields the page's changes as they come.

    Args:
        run: what is asked.
        knobs: {"keep": ratio in (0, 1], "weight": in [0, 1]}.
        stop: set from elsewhere to end the answers where they stand.
        redraw: False where only the sliders moved: the picture already shows it.
    """
    try:
        yield from _answer(desk, run, knobs, stop, redraw)
    except (ValueError, OSError) as error:  # their messages are written for the person at the page
        yield View(notice=notice(str(error), "error"), answers=IDLE)
    except Exception:
        log.exception("an answer failed")
        text = "Something went wrong inside the program (its log says what). Nothing of yours is lost: try again."
        yield View(notice=notice(text, "error"), answers=IDLE)
    finally:
        stop.set()  # also when the visitor left: the thread that answers must end


def _answer(desk: Desk, run: Run, knobs: dict, stop: threading.Event, redraw: bool) -> Iterator[View]:
    explainer = desk.explainer
    config = settings(explainer, knobs, run.method, run.query)
    image, image_notes = picture(run.source)
    yield View(answers={"busy": True, "line": "Reading the picture."})
    look = explainer.look(image)
    asked = explainer.ask(look, run.question, config)
    orders = explainer.select(look, asked, config, [alpha_from_weight(w) for w in WEIGHTS])
    selection = orders.at(_nearest(config.weight))
    kept = selection.kept(config.keep_ratio)
    drawn = _explorer_view(explainer, run, image, look, asked, config, orders) if redraw else None
    said = _news(explainer, run, (*image_notes, *asked.notes))

    n, k = look.vision.features.shape[0] * look.vision.features.shape[1], kept.numel()
    key = (look.key, asked.question)
    full, full_timing = desk.recall(key)
    cards = {
        "busy": True,
        "line": "Answering.",
        "pruned": views.answer(None, k, state="wait"),
        "full": views.answer(full, n, state="wait" if full is None else "done"),
    }
    yield View(explorer=drawn, answers=dict(cards), notice=said, run=run)

    # One after the other, so that neither answer's time is spoiled by the other; the quick one comes first.
    pruned = None
    for pruned in _stream(explainer, look, asked, kept, stop):
        cards["pruned"] = views.answer(*_either(pruned, k))
        yield View(answers=dict(cards))
    if full is None:
        for full in _stream(explainer, look, asked, None, stop):
            cards["full"] = views.answer(*_either(full, n))
            yield View(answers=dict(cards))
    stopped = stop.is_set()
    at = {"keep": config.keep_ratio, "weight": config.weight}
    quick = not stopped and pruned.seconds + full.seconds < QUICK_SECONDS
    cards |= {"busy": False, "at": at, "quick": quick, "line": "Stopped: the answers end where they stood."}
    if stopped:
        yield View(answers=dict(cards))
        return
    cards["line"] = views.agreement(explainer.agreement(look, asked, kept, full, pruned))
    yield View(answers=dict(cards), savings=_savings_view(explainer, look, asked, selection, full, pruned))
    if quick:
        full_timing = full_timing or explainer.time(look, asked, None, steps=1)
        measured = views.timing(full_timing, explainer.time(look, asked, kept, steps=1))
        yield View(savings=_savings_view(explainer, look, asked, selection, full, pruned, measured))
    desk.keep(key, (full, full_timing))


def _stream(explainer, look, asked, kept, stop: threading.Event) -> Iterator[str | Answer]:
    """The text so far, again and again, and at last the Answer. The model works in a thread of its own."""
    news: queue.SimpleQueue = queue.SimpleQueue()

    def work() -> None:
        try:
            news.put(explainer.answer(look, asked, kept, on_text=news.put, stop=stop))
        except BaseException as error:
            news.put(error)

    threading.Thread(target=work, name="answer", daemon=True).start()
    while True:
        found = news.get()
        while isinstance(found, str) and not news.empty():
            found = news.get()  # only the newest text is worth a message
        if isinstance(found, BaseException):
            raise found
        yield found
        if isinstance(found, Answer):
            return


def _either(found: str | Answer, n: int) -> tuple:
    return (None, n, found, "stream") if isinstance(found, str) else (found, n)


def _explorer_view(explainer, run: Run, image, look, asked, config: PruneConfig, orders: Selection) -> dict:
    relevance = orders.relevance
    if relevance is None:  # the method looks at no query, but the reader may want to
        relevance = explainer.select(look, asked, replace(config, method="relevance")).relevance
    why = QUERY_WORDS[_query_name(config)]
    if explainer.why_query and _query_name(config) == default_query(explainer):
        why += f" Default here: {explainer.why_query}"
    return views.explorer(
        image,
        look.vision.geometry[0],
        orders,
        np.asarray(relevance[0], dtype=np.float32),
        about=f"Measured against: {QUERIES[_query_name(config)]}",
        why=why,
        weighted=run.method == "rediprune",
    )


def _savings_view(explainer, look, asked, selection, full: Answer, pruned: Answer, measured: str = "") -> dict:
    config, n_new = selection.config, len(full.token_ids)
    by_percent = [
        explainer.savings(look, asked, selection.kept(percent / 100), n_new, config.method)
        for percent in range(1, 101)
    ]
    measured = measured or views.one_timing(full, pruned)
    return views.savings(by_percent[0], by_percent, config.keep_ratio, f"{measured} (at {config.keep_ratio:.0%} kept)")


def _news(explainer: Explainer, run: Run, notes: tuple[str, ...]) -> dict:
    if not run.source.is_scene and explainer.knows:
        text = " ".join((explainer.knows, "For photos, start with a public checkpoint:", *notes))
        return notice(text, code=PUBLIC_MODEL)
    return notice(" ".join(notes))


def _query_name(config: PruneConfig) -> str:
    return config.query if config.query == "prompt-tail" else f"{config.query}/{config.pointing}"


def _nearest(weight: float) -> int:
    return min(range(len(WEIGHTS)), key=lambda i: abs(WEIGHTS[i] - weight))

