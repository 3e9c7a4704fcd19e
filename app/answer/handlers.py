"""Do what a visitor asks for: plain generators of PageUpdates, which can be tested without a browser.

Every handler takes the AppState, what the browser sent, the visitor's run and the stop signal. What cannot be
done ends in one sentence in the notice.
"""

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
    is_suggested,
    load_frames,
    scene_source,
    suggestions,
    trace_source,
)
from ..views import cards
from ..views.cards import PageUpdate, notice
from .answering import IDLE, AnswerRequest, answer
from .saved_run import mark_sliders_set, show_saved_run


def ask_question(
    state: AppState, question: str, run: PageRun, sliders: dict, stop: threading.Event
) -> Iterator[PageUpdate]:
    """Answer the question that stands in the box, about the input that is shown."""
    yield from answer(state, AnswerRequest(replace(run, question=question), sliders), stop)


def ask_suggestion(
    state: AppState, text: object, run: PageRun, sliders: dict, stop: threading.Event
) -> Iterator[PageUpdate]:
    """Ask a suggested question: write it into the box, then answer it."""
    yield PageUpdate(question=str(text))
    yield from ask_question(state, str(text), run, sliders, stop)


def answer_again(state: AppState, run: PageRun, sliders: dict, stop: threading.Event) -> Iterator[PageUpdate]:
    """Answer the answered question at the sliders of now; the picture already shows them."""
    yield from answer(state, AnswerRequest(run, sliders, redraw=False), stop)


def answer_with_user_tokens(
    state: AppState, tokens: object, run: PageRun, sliders: dict, stop: threading.Event
) -> Iterator[PageUpdate]:
    """Answer the answered question from the tokens that the visitor chose, as the browser lists them."""
    chosen = [] if tokens is None else tokens
    yield from answer(state, AnswerRequest(run, sliders, user_tokens=chosen, redraw=False), stop)


def change_settings(
    state: AppState,
    run: PageRun,
    method: str,
    query: str,
    budget: str,
    sliders: dict,
    stop: threading.Event,
) -> Iterator[PageUpdate]:
    """Answer the answered question by another method, query or budget; unsent text in the box stays.

    Gradio reports a dropdown also when it only loses the focus: if nothing changed, nothing is done.
    """
    wanted = replace(run, method=method, query=query, budget=budget)
    if wanted == run:
        yield PageUpdate(answers=IDLE)
    else:
        yield from answer(state, AnswerRequest(wanted, sliders), stop)


def show_example(
    state: AppState,
    seed: object,
    clip: object,
    question: str,
    run: PageRun,
    sliders: dict,
    stop: threading.Event,
) -> Iterator[PageUpdate]:
    """Show the scene or clip of a number and ask about it; `question` is what stands in the box."""
    yield from _show(state, lambda: scene_source(seed, clip is True), question, run, sliders, stop)


def show_upload(
    state: AppState,
    file: object,
    n_frames: object,
    question: str,
    run: PageRun,
    sliders: dict,
    stop: threading.Event,
    part: str = "photo",
) -> Iterator[PageUpdate]:
    """Show a visitor's own file and ask about it.

    Args:
        file: as in file_source; None if the visitor removed it.
        n_frames: how many frames to take of a clip.
        question: what stands in the box.
        part: the part of the page that got the file, "photo" or "clip"; the other one is emptied.
    """
    if file is None:
        yield PageUpdate(answers=IDLE)
    else:
        yield from _show(state, lambda: file_source(file, n_frames), question, run, sliders, stop, part)


def resample_clip(
    state: AppState, n_frames: object, run: PageRun, sliders: dict, stop: threading.Event
) -> Iterator[PageUpdate]:
    """Answer the answered question on another number of frames, if a visitor's clip is shown."""
    try:
        wanted = replace(run.source, n_frames=checked_n_frames(n_frames))
        has_fixed_frames = run.source.is_scene or run.source.trace
        nothing_changes = (
            has_fixed_frames or wanted == run.source or not load_frames(wanted, stop.is_set)[0].clip
        )
    except USER_ERRORS as error:
        yield _refuse(error)
        return
    if nothing_changes:
        yield PageUpdate(answers=IDLE)
    else:
        yield from answer(state, AnswerRequest(replace(run, source=wanted), sliders), stop)


def open_trace(state: AppState, path: object) -> Iterator[PageUpdate]:
    """Show a saved run that a visitor uploaded; if it cannot be opened, everything stays as it was."""
    try:
        yield show_saved_run(state, trace_source({"path": path}))
    except USER_ERRORS as error:
        yield _refuse(error)


def open_link(
    state: AppState, search: object, run: PageRun, sliders: dict, stop: threading.Event
) -> Iterator[PageUpdate]:
    """Answer what a link says; what cannot be used of it is left out, and the notice says so."""
    try:
        with state.models.borrow() as explainer:
            linked = link.read(search, run, sliders, explainer)
            methods, queries = method_choices(explainer), query_choices(explainer)
    except USER_ERRORS as error:
        yield _refuse(error)
        return
    wanted = linked.run
    yield PageUpdate(
        question=wanted.question,
        suggestions=list(suggestions(wanted.source)),
        method=cards.dropdown_update(methods, wanted.method),
        query=cards.dropdown_update(queries, wanted.query),
        budget={"value": wanted.budget, "__type__": "update"},
        sliders=linked.sliders,
    )
    request = AnswerRequest(wanted, linked.sliders, notes=linked.notes)
    for update in answer(state, request, stop):
        yield mark_sliders_set(update)


def compute_first_update(state: AppState, run: PageRun, sliders: dict) -> PageUpdate:
    """Answer a run to its end and return all changes as one PageUpdate."""
    found: dict = {}
    for update in answer(state, AnswerRequest(run, sliders), threading.Event()):
        found |= {name: value for name, value in vars(update).items() if value is not None and value != IDLE}
    return PageUpdate(**found)


def _show(
    state: AppState,
    find: Callable[[], Source],
    question: str,
    run: PageRun,
    sliders: dict,
    stop: threading.Event,
    part: str = "",
) -> Iterator[PageUpdate]:
    """Show another input and ask about it; `part` of the page got it and keeps it, unless it is refused."""
    emptied = {name: cards.cleared_update() for name in ("photo", "clip")}
    try:
        source = find()
        load_frames(source, stop.is_set)  # before all else that reads the file
        fitting = suggestions(source)
    except USER_ERRORS as error:
        refused_part = {part: emptied[part]} if part else {}
        yield replace(_refuse(error), **refused_part)
        return
    # What a visitor wrote is not thrown away; the question of an opened run came from its file.
    came_from_page = is_suggested(question, run.source) or (run.model == OPENED and question == run.question)
    if came_from_page or not question.strip():
        question = fitting[0]
    emptied.pop(part, None)
    yield PageUpdate(question=question, suggestions=list(fitting), **emptied)
    yield from answer(state, AnswerRequest(replace(run, source=source, question=question), sliders), stop)


def _refuse(error: Exception) -> PageUpdate:
    return PageUpdate(notice=notice(str(error), "error"), answers=IDLE)
