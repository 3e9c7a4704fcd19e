"""What happens when a visitor does something: plain generators of Views, testable without a browser."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from rediprune.models.errors import USER_ERRORS

from ..state import link
from ..state.app_state import OPENED, AppState, PageRun
from ..state.options import method_choices, query_choices
from ..state.sources import (
    Source,
    checked_n_frames,
    file_source,
    load_frames,
    scene_source,
    suggested,
    suggestions,
    trace_source,
)
from ..views import cards as views
from ..views.cards import PageUpdate, notice
from . import saved_run as opening
from .answering import IDLE, answer


def show_example(
    state: AppState,
    seed: object,
    clip: bool,
    asked: str,
    before: PageRun,
    sliders: dict,
    stop: threading.Event,
) -> Iterator[PageUpdate]:
    """Show the scene or clip of that number and ask about it. `asked` is what stands in the question box."""
    yield from _show(state, lambda: scene_source(seed, clip), asked, before, sliders, stop)


def show_upload(
    state: AppState,
    file: object,
    n_frames: object,
    asked: str,
    before: PageRun,
    sliders: dict,
    stop: threading.Event,
    to: str = "photo",
) -> Iterator[PageUpdate]:
    """Show a visitor's own file and ask about it; `file` as in file_source, None where it was removed.

    `to` is the part of the page that it was given to, "photo" or "clip"; the other one is emptied.
    """
    if file is None:
        yield PageUpdate(answers=IDLE)
    else:
        yield from _show(state, lambda: file_source(file, n_frames), asked, before, sliders, stop, to)


def resample_clip(
    state: AppState, n_frames: object, before: PageRun, sliders: dict, stop: threading.Event
) -> Iterator[PageUpdate]:
    """Answer the answered question on another number of frames, where a visitor's clip is shown."""
    try:
        wanted = replace(before.source, n_frames=checked_n_frames(n_frames))
        still = before.source.is_scene or before.source.trace
        same = still or wanted == before.source or not load_frames(wanted, stop.is_set)[0].clip
    except USER_ERRORS as error:
        yield PageUpdate(notice=notice(str(error), "error"), answers=IDLE)
        return
    if same:
        yield PageUpdate(answers=IDLE)
    else:
        yield from answer(state, replace(before, source=wanted), sliders, stop)


def _show(
    state: AppState,
    find: Callable[[], Source],
    asked: str,
    before: PageRun,
    sliders: dict,
    stop: threading.Event,
    to: str = "",
) -> Iterator[PageUpdate]:
    empty = {part: views.cleared_update() for part in ("photo", "clip")}
    try:
        source = find()
        load_frames(source, stop.is_set)  # before all else that reads the file
        fitting = suggestions(source)
    except USER_ERRORS as error:
        yield PageUpdate(notice=notice(str(error), "error"), answers=IDLE, **({to: empty[to]} if to else {}))
        return
    # What a visitor wrote is not thrown away; the question of an opened run came from its file.
    ours = suggested(asked, before.source) or (before.model == OPENED and asked == before.question)
    own = asked.strip() and not ours
    question = asked if own else fitting[0]
    empty.pop(to, None)
    yield PageUpdate(question=question, suggestions=list(fitting), **empty)
    yield from answer(state, replace(before, source=source, question=question), sliders, stop)


def open_trace(state: AppState, file: object, before: PageRun) -> Iterator[PageUpdate]:
    """Show a saved run that a visitor gave; where it cannot be opened, everything stays as it was."""
    try:
        yield opening.show_saved_run(state, trace_source(file))
    except USER_ERRORS as error:
        yield PageUpdate(notice=notice(str(error), "error"), answers=IDLE)


def open_link(
    state: AppState, search: object, before: PageRun, sliders: dict, stop: threading.Event
) -> Iterator[PageUpdate]:
    """Answer what a link says; what makes no sense in it is left out, and the notice says so."""
    try:
        with state.models.borrow() as explainer:
            linked = link.read(search, before, sliders, explainer)
            methods, queries = method_choices(explainer), query_choices(explainer)
    except USER_ERRORS as error:
        yield PageUpdate(notice=notice(str(error), "error"), answers=IDLE)
        return
    run = linked.run
    yield PageUpdate(
        question=run.question,
        suggestions=list(suggestions(run.source)),
        method=views.menu(methods, run.method),
        query=views.menu(queries, run.query),
        budget={"value": run.budget, "__type__": "update"},
        sliders=linked.sliders,
    )
    for update in answer(state, run, linked.sliders, stop, news=linked.notes):
        yield opening.mark_sliders_set(update)


def ask_suggestion(
    state: AppState, run: PageRun, sliders: dict, stop: threading.Event
) -> Iterator[PageUpdate]:
    """Ask a suggested question: it is written into the box, then asked."""
    yield PageUpdate(question=run.question)
    yield from answer(state, run, sliders, stop)


def answer_with_user_tokens(
    state: AppState, tokens: object, before: PageRun, sliders: dict, stop: threading.Event
) -> Iterator[PageUpdate]:
    """Answer the answered question from the tokens that the visitor chose, as the browser lists them."""
    own = [] if tokens is None else tokens
    yield from answer(state, before, sliders, stop, redraw=False, own=own)


def change_settings(
    state: AppState,
    before: PageRun,
    method: str,
    query: str,
    budget: str,
    sliders: dict,
    stop: threading.Event,
) -> Iterator[PageUpdate]:
    """Answer the answered question by another method, query or budget; what is unsent in the box stays so.

    Gradio reports a menu also when it only loses the focus: where nothing changed, nothing is done.
    """
    wanted = replace(before, method=method, query=query, budget=budget)
    if wanted == before:
        yield PageUpdate(answers=IDLE)
    else:
        yield from answer(state, wanted, sliders, stop)


def compute_first_update(state: AppState, run: PageRun, sliders: dict) -> PageUpdate:
    """A real run, to its end, as one View."""
    found: dict = {}
    for update in answer(state, run, sliders, threading.Event()):
        found |= {name: value for name, value in vars(update).items() if value is not None and value != IDLE}
    return PageUpdate(**found)
