"""Who calls whom: the visitor's doings, the handlers, and the parts of the page that they change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event

import gradio as gr

from rediprune.models.errors import USER_ERRORS

from ..answer import handlers
from ..answer.distances import measured
from ..export.download import download
from ..export.overlay import write_overlay
from ..export.run_file import write_run_file
from ..state.app_state import EVERY, AppState, PageRun
from ..state.shown_run import LostRunError, restore_run_or_first, shown_run
from ..views.cards import PageUpdate, notice

# The parts of a View, in the order of the outputs.
PARTS = (
    "explorer",
    "answers",
    "savings",
    "notice",
    "question",
    "suggestions",
    "photo",
    "clip",
    "budget",
    "method",
    "query",
    "outside",
    "models",
    "sliders",
    "run",
)
# What the browser does with a request before it is sent; answers.js.
BEGIN = "(...args) => window.rediprune?.begin?.(args) ?? args"
GIVE = "(...args) => window.rediprune?.given?.(args) ?? args"
CHANGE = "(...args) => window.rediprune?.change?.(args) ?? args"


def connect_events(
    state: AppState, parts: dict, controls: dict, at_load: Callable | None, unload: Callable
) -> None:
    """Who calls whom. Answers take turns at the model; none is a public endpoint (see api.py)."""

    def ask(
        text: str, before: PageRun, sliders: dict, method: str, query: str, budget: str, request: gr.Request
    ):
        def answered(stop: Event) -> Iterator[PageUpdate]:
            run = replace(own(before, sliders), question=text, method=method, query=query, budget=budget)
            return handlers.answer(state, run, sliders, stop)

        yield from _turn(state, request, sliders, answered)

    def choose(
        before: PageRun,
        sliders: dict,
        method: str,
        query: str,
        budget: str,
        event: gr.EventData,
        request: gr.Request,
    ):
        def chosen(stop: Event) -> Iterator[PageUpdate]:
            question = str(event.text)
            run = replace(own(before, sliders), question=question, method=method, query=query, budget=budget)
            return handlers.ask_suggestion(state, run, sliders, stop)

        yield from _turn(state, request, sliders, chosen)

    def change(before: PageRun, sliders: dict, method: str, query: str, budget: str, request: gr.Request):
        def changed(stop: Event) -> Iterator[PageUpdate]:
            return handlers.change_settings(state, own(before, sliders), method, query, budget, sliders, stop)

        yield from _turn(state, request, sliders, changed)

    def again(before: PageRun, sliders: dict, request: gr.Request):
        def repeated(stop: Event) -> Iterator[PageUpdate]:
            return handlers.answer(state, own(before, sliders), sliders, stop, redraw=False)

        yield from _turn(state, request, sliders, repeated)

    def mine(before: PageRun, sliders: dict, event: gr.EventData, request: gr.Request):
        def answered(stop: Event) -> Iterator[PageUpdate]:
            return handlers.answer_with_user_tokens(state, event.tokens, own(before, sliders), sliders, stop)

        yield from _turn(state, request, sliders, answered)

    def pick(
        text: str, before: PageRun, sliders: dict, method: str, query: str, budget: str,
        event: gr.EventData, request: gr.Request,
    ):  # fmt: skip
        run = replace(
            restore_run_or_first(before, told_by(sliders)), method=method, query=query, budget=budget
        )
        picked = partial(handlers.show_example, state, event.seed, event.clip is True, text, run, sliders)
        yield from _turn(state, request, sliders, picked)

    def giver(to: str) -> Callable:
        def give(
            file: dict | None, n_frames: int, text: str, before: PageRun, sliders: dict,
            method: str, query: str, budget: str, request: gr.Request,
        ):  # fmt: skip
            run = replace(
                restore_run_or_first(before, told_by(sliders)), method=method, query=query, budget=budget
            )
            given = partial(handlers.show_upload, state, file, n_frames, text, run, sliders, to=to)
            yield from _turn(state, request, sliders, given)

        return give

    def sample(
        n_frames: int,
        before: PageRun,
        sliders: dict,
        method: str,
        query: str,
        budget: str,
        request: gr.Request,
    ):
        def sampled(stop: Event) -> Iterator[PageUpdate]:
            return handlers.resample_clip(state, n_frames, own(before, sliders), sliders, stop)

        yield from _turn(state, request, sliders, sampled)

    def open_trace(before: PageRun, sliders: dict, event: gr.EventData, request: gr.Request):
        given, run = {"path": event.path}, restore_run_or_first(before, told_by(sliders))
        yield from _turn(state, request, sliders, lambda stop: handlers.open_trace(state, given, run))

    def restore(before: PageRun, sliders: dict, event: gr.EventData, request: gr.Request):
        run = restore_run_or_first(before, told_by(sliders))
        restored = partial(handlers.open_link, state, event.search, run, sliders)
        yield from _turn(state, request, sliders, restored)

    def take(before: PageRun, event: gr.EventData):
        sliders = {"keep": event.keep, "weight": event.weight}

        def make(folder: Path) -> tuple[Path, str]:
            run = shown_run(before, told_by_event(event))
            return write_run_file(state, run, sliders, event.tokens, folder)

        return download(make, controls["along"].GRADIO_CACHE)

    def save(before: PageRun, sliders: dict, event: gr.EventData):
        def make(folder: Path) -> tuple[Path, str]:
            run = shown_run(before, told_by_event(event))
            return write_overlay(state, run, sliders, event.kind, event.at, folder, own=event.tokens)

        return download(make, controls["saved"].GRADIO_CACHE)

    def measure(before: PageRun, event: gr.EventData) -> dict:
        return _measured(state, before, event)

    def stop(event: gr.EventData, request: gr.Request) -> None:
        state.stop(_visitor(request), _ticket({"ticket": event.ticket}))

    def leave(request: gr.Request) -> None:
        state.stop(_visitor(request))

    turn = {
        "outputs": [parts[name] for name in PARTS],
        "concurrency_id": "model",
        "concurrency_limit": state.at_once,
        # A second request waits in the queue; answers.js stops the first. Not "always_last": Gradio 6.31 runs
        # the second with the event data of the first.
        "trigger_mode": "multiple",
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    reading = {**turn, "concurrency_id": "files"}  # a file that reads slowly holds up nobody who brings none
    question, sliders, scenes = parts["question"], parts["sliders"], controls["scenes"]
    along = controls["along"]
    photo, clip, frames = parts["photo"], parts["clip"], controls["frames"]
    menus = [parts["method"], parts["query"], parts["budget"]]
    dials = [parts["run"], sliders, *menus]
    asking = [controls["ask"].click, question.submit]
    requests = [
        gr.on([*asking, *([at_load] if at_load else [])], ask, [question, *dials], js=BEGIN, **turn),
        gr.on([menu.input for menu in menus], change, dials, js=CHANGE, **turn),
        parts["suggestions"].choose(choose, dials, js=BEGIN, **turn),
        sliders.settle(again, [parts["run"], sliders], js=BEGIN, **turn),
        parts["answers"].again(again, [parts["run"], sliders], js=BEGIN, **turn),
        parts["explorer"].mine(mine, [parts["run"], sliders], js=BEGIN, **turn),
        parts["models"].arrive(again, [parts["run"], sliders], js=BEGIN, **turn),
        scenes.pick(pick, [question, *dials], js=BEGIN, **turn),
        # preprocess=False: the file arrives unread (load_media judges it) and unchecked (file_source does).
        photo.input(giver("photo"), [photo, frames, question, *dials], preprocess=False, js=GIVE, **reading),
        clip.upload(giver("clip"), [clip, frames, question, *dials], preprocess=False, js=GIVE, **reading),
        frames.input(sample, [frames, *dials], js=BEGIN, **reading),
        along.open(open_trace, [parts["run"], sliders], js=BEGIN, **reading),
        along.restore(restore, [parts["run"], sliders], js=BEGIN, **turn),
    ]
    for request in requests:  # the queue is full, or the connection broke: no handler of ours can say so
        request.failure(None, js="() => { window.rediprune?.failed?.(); }", api_visibility="private")
    # Not one of the answers' requests: it neither waits for them nor stops one.
    saving = parts["explorer"].save(
        save, [parts["run"], sliders], controls["saved"], show_progress="hidden", api_visibility="private"
    )
    saving.failure(None, js="() => { window.rediprune?.unsaved?.(); }", api_visibility="private")
    taking = along.take(take, parts["run"], along, show_progress="hidden", api_visibility="private")
    taking.failure(None, js="() => { window.rediprune?.untaken?.(); }", api_visibility="private")
    measuring = parts["explorer"].measure(
        measure,
        parts["run"],
        controls["measured"],
        show_progress="hidden",
        api_visibility="private",
    )
    measuring.failure(None, js="() => { window.rediprune?.unmeasured?.(); }", api_visibility="private")
    parts["answers"].stop(stop, None, None, queue=False, api_visibility="private")
    unload(leave)


def _turn(
    state: AppState, request: gr.Request, sliders: object, found: Callable[[Event], Iterator[PageUpdate]]
) -> Iterator[list]:
    """Views as outputs in the order of PARTS; what did not change is skipped. Answers carry their ticket."""
    ticket = _ticket(sliders)
    with state.take_turn(_visitor(request), ticket, patience=10) as stop:
        for update in [PageUpdate(answers=handlers.IDLE)] if stop.is_set() else _found(found, stop):
            if update.answers is not None:
                update = replace(update, answers={**update.answers, "ticket": ticket})
            yield [gr.skip() if (value := getattr(update, name)) is None else value for name in PARTS]


def _found(found: Callable[[Event], Iterator[PageUpdate]], stop: Event) -> Iterator[PageUpdate]:
    """Yield the Views, or the sentence that says why the visitor's Run is not known any more."""
    try:
        yield from found(stop)
    except LostRunError as error:
        yield PageUpdate(notice=notice(str(error), "error"), answers=handlers.IDLE)


def own(before: PageRun, sliders: object) -> PageRun:
    """Return the visitor's Run, from what came with the sliders where the server's own was lost.

    Raises:
        LostRunError: it cannot be restored.
    """
    return shown_run(before, told_by(sliders))


def told_by(sliders: object) -> object:
    """Return what the browser says that it shows, as it came with the sliders; None where it says nothing."""
    return sliders.get("shows") if isinstance(sliders, dict) else None


def told_by_event(event: gr.EventData) -> object:
    """Return what the browser says that it shows, as it came with an event; None where it says nothing."""
    return getattr(event, "shows", None)


def _measured(state: AppState, before: PageRun, event: gr.EventData) -> dict:
    try:
        return measured(state, shown_run(before, told_by_event(event)))
    except USER_ERRORS as error:
        return {"said": f"Not measured: {error}"}


def _ticket(sliders: object) -> int:
    """The number that the browser gave a request; -1 where there is nothing to do, 0 without one."""
    number = sliders.get("ticket") if isinstance(sliders, dict) else None
    return number if isinstance(number, int) and -1 <= number < EVERY else 0


def _visitor(request: gr.Request) -> str:
    return str(request.session_hash)
