"""Connect what a visitor does with the handlers and with the parts of the page that they change.

EVENTS and FILE_EVENTS are the tables of it. None of these events is a public endpoint (see app.api).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event as StopSignal

import gradio as gr

from rediprune.models.errors import USER_ERRORS

from ..answer import handlers
from ..export.download import prepare_download
from ..export.overlay import write_overlay
from ..export.run_file import write_run_file
from ..state.app_state import EVERY, AppState, PageRun
from ..state.shown_run import LostRunError, restore_run, restore_run_or_first
from ..views.cards import PageUpdate, notice
from ..views.evidence import distances_payload

# The fields of a PageUpdate, in the order of the outputs.
OUTPUTS = (
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
OPTIONS = ("method", "query", "budget")
ANSWERED = ("run", "sliders")  # what is answered on the page, and where the sliders stand
# The last inputs of a request: answers.js looks for the options at the end.
SETTINGS = (*ANSWERED, *OPTIONS)
PAGE_LOAD = "page.load"

# What the browser does with a request before it is sent; answers.js.
BEGIN = "(...args) => window.rediprune?.begin?.(args) ?? args"
GIVE = "(...args) => window.rediprune?.given?.(args) ?? args"
CHANGE = "(...args) => window.rediprune?.change?.(args) ?? args"


@dataclass(frozen=True)
class Event:
    """Hold one thing that a visitor does and that is answered by a stream of PageUpdates.

    Attributes:
        name: of the event in Gradio's list of endpoints; all of them are private.
        triggers: "component.event" each; PAGE_LOAD stands for the opening of the page.
        handler: a function of app.answer.handlers. By its parameters' names it gets what it asks for: state,
            run, sliders, stop, the other inputs, and `sent`.
        inputs: components whose values come along; a name before ":" is the parameter's, behind it stands the
            component ("file:photo"). Inputs that the handler does not ask for are for `apply_options`, or for
            the browser's scripts.
        sent: names of what the browser's script sends along with the event.
        js: what the browser does before it sends the request.
        apply_options: whether the options of now replace those of the answered run.
        brings_input: whether it brings a picture or a run along, so that a lost run does not matter.
        reads_file: whether a file may be read, which may be slow: then it waits in a queue of its own and
            holds up nobody who brings none.
        unread: whether files arrive unread (load_media judges them) and unchecked (file_source does).
    """

    name: str
    triggers: tuple[str, ...]
    handler: Callable[..., Iterator[PageUpdate]]
    inputs: tuple[str, ...]
    sent: tuple[str, ...] = ()
    js: str = BEGIN
    apply_options: bool = False
    brings_input: bool = False
    reads_file: bool = False
    unread: bool = False


EVENTS = (
    Event(
        "ask",
        ("ask.click", "question.submit", PAGE_LOAD),
        handlers.ask_question,
        ("question", *SETTINGS),
        apply_options=True,
    ),
    Event(
        "change",
        ("method.input", "query.input", "budget.input"),
        handlers.change_settings,
        SETTINGS,
        js=CHANGE,
    ),
    Event(
        "choose",
        ("suggestions.choose",),
        handlers.ask_suggestion,
        SETTINGS,
        sent=("text",),
        apply_options=True,
    ),
    Event("again", ("sliders.settle",), handlers.answer_again, ANSWERED),
    Event("again", ("answers.again",), handlers.answer_again, ANSWERED),
    Event("mine", ("explorer.mine",), handlers.answer_with_user_tokens, ANSWERED, sent=("tokens",)),
    Event("again", ("models.arrive",), handlers.answer_again, ANSWERED),
    Event(
        "pick",
        ("scenes.pick",),
        handlers.show_example,
        ("question", *SETTINGS),
        sent=("seed", "clip"),
        apply_options=True,
        brings_input=True,
    ),
    Event(
        "give",
        ("photo.input",),
        partial(handlers.show_upload, part="photo"),
        ("file:photo", "n_frames:frames", "question", *SETTINGS),
        js=GIVE,
        apply_options=True,
        brings_input=True,
        reads_file=True,
        unread=True,
    ),
    Event(
        "give",
        ("clip.upload",),
        partial(handlers.show_upload, part="clip"),
        ("file:clip", "n_frames:frames", "question", *SETTINGS),
        js=GIVE,
        apply_options=True,
        brings_input=True,
        reads_file=True,
        unread=True,
    ),
    Event(
        "sample", ("frames.input",), handlers.resample_clip, ("n_frames:frames", *SETTINGS), reads_file=True
    ),
    Event(
        "open_trace",
        ("export.open",),
        handlers.open_trace,
        ANSWERED,
        sent=("path",),
        brings_input=True,
        reads_file=True,
    ),
    Event("restore", ("export.restore",), handlers.open_link, ANSWERED, sent=("search",), brings_input=True),
)


def save_overlay(state: AppState, event: gr.EventData, run: PageRun, sliders: dict, cache: str) -> dict:
    """Make the picture or film that a visitor saves, at the sliders of now."""

    def write(folder: Path) -> tuple[Path, str]:
        known = restore_run(run, page_record(event))
        return write_overlay(state, known, sliders, event.kind, event.at, folder, user_tokens=event.tokens)

    return prepare_download(write, cache)


def save_run(state: AppState, event: gr.EventData, run: PageRun, cache: str) -> dict:
    """Make the file of the answered run, at the sliders that it was answered at."""
    sliders = {"keep": event.keep, "weight": event.weight}

    def write(folder: Path) -> tuple[Path, str]:
        known = restore_run(run, page_record(event))
        return write_run_file(state, known, sliders, event.tokens, folder)

    return prepare_download(write, cache)


def send_distances(state: AppState, event: gr.EventData, run: PageRun, cache: str) -> dict:
    """Send the distances that a view of the explorer needs, or one sentence on why there are none."""
    try:
        return distances_payload(state, restore_run(run, page_record(event)))
    except USER_ERRORS as error:
        return {"said": f"Not measured: {error}"}


@dataclass(frozen=True)
class FileEvent:
    """Hold one thing that a visitor asks for beside the answers: it neither waits for them nor stops one.

    Attributes:
        name, trigger: as in Event.
        handler: called with the state, the event's data and the inputs; `cache` is the folder where Gradio
            keeps the files of `output`.
        inputs, output: components.
        on_failure: the script that speaks where no handler can.
    """

    name: str
    trigger: str
    handler: Callable[..., dict]
    inputs: tuple[str, ...]
    output: str
    on_failure: str


FILE_EVENTS = (
    FileEvent("save", "explorer.save", save_overlay, ANSWERED, "saved", "unsaved"),
    FileEvent("take", "export.take", save_run, ("run",), "export", "untaken"),
    FileEvent("measure", "explorer.measure", send_distances, ("run",), "measured", "unmeasured"),
)


def connect_events(state: AppState, components: dict, at_load: Callable | None, unload: Callable) -> None:
    """Connect every event of both tables, and the two ways to stop an answer.

    Args:
        components: by the names that the tables use.
        at_load: the page's load event, None if the first answers are there already.
        unload: the page's unload event.
    """
    quiet = {"show_progress": "hidden", "api_visibility": "private"}
    turn = {
        "outputs": [components[name] for name in OUTPUTS],
        "concurrency_limit": state.at_once,
        # A second request waits in the queue; answers.js stops the first. Not "always_last": Gradio 6.31 runs
        # the second with the event data of the first.
        "trigger_mode": "multiple",
        **quiet,
    }
    for event in EVENTS:
        request = _connect(
            _find_triggers(components, event.triggers, at_load),
            _listen(state, event),
            inputs=[components[name.partition(":")[2] or name] for name in event.inputs],
            js=event.js,
            preprocess=not event.unread,
            concurrency_id="files" if event.reads_file else "model",
            **turn,
        )
        # The queue is full, or the connection broke: no handler can say so.
        _on_failure(request, "failed")
    for event in FILE_EVENTS:
        request = _connect(
            _find_triggers(components, (event.trigger,), None),
            _listen_for_file(state, event, components[event.output].GRADIO_CACHE),
            inputs=[components[name] for name in event.inputs],
            outputs=components[event.output],
            **quiet,
        )
        _on_failure(request, event.on_failure)

    def stop(event: gr.EventData, request: gr.Request) -> None:
        state.stop(_visitor(request), ticket_of({"ticket": event.ticket}))

    def leave(request: gr.Request) -> None:
        state.stop(_visitor(request))

    components["answers"].stop(stop, None, None, queue=False, api_visibility="private")
    unload(leave)


def _find_triggers(components: dict, names: Sequence[str], at_load: Callable | None) -> list[Callable]:
    """Return the Gradio triggers of these names; PAGE_LOAD is left out without `at_load`."""
    found = []
    for name in names:
        if name != PAGE_LOAD:
            component, _, event = name.partition(".")
            found.append(getattr(components[component], event))
        elif at_load is not None:
            found.append(at_load)
    return found


def _connect(triggers: list[Callable], listener: Callable, **how: object) -> gr.events.Dependency:
    """Connect one listener; gr.on knows no events of gr.HTML, so a single trigger is called itself."""
    if len(triggers) == 1:
        return triggers[0](listener, **how)
    return gr.on(triggers, listener, **how)


def _on_failure(request: gr.events.Dependency, script: str) -> None:
    call = f"() => {{ window.rediprune?.{script}?.(); }}"
    request.failure(None, js=call, api_visibility="private")


def _listen(state: AppState, event: Event) -> Callable:
    """Return the function that Gradio calls for an event: the handler's PageUpdates as lists of outputs."""
    wanted = inspect.signature(event.handler).parameters
    names = [name.partition(":")[0] for name in event.inputs]

    def listener(request: gr.Request, data: gr.EventData, *values: object) -> Iterator[list]:
        given = dict(zip(names, values, strict=True))
        given |= {name: getattr(data, name) for name in event.sent}

        def updates(stop: StopSignal) -> Iterator[PageUpdate]:
            run = _find_run(event, given)
            arguments = {**given, "state": state, "run": run, "stop": stop}
            yield from event.handler(**{name: arguments[name] for name in wanted if name in arguments})

        yield from _take_turn(state, request, given["sliders"], updates)

    listener.__name__ = event.name
    return listener


def _listen_for_file(state: AppState, event: FileEvent, cache: str) -> Callable:
    """Return the function that Gradio calls for an event beside the answers."""

    def listener(data: gr.EventData, *values: object) -> dict:
        return event.handler(state, data, *values, cache=cache)

    listener.__name__ = event.name
    return listener


def _find_run(event: Event, given: dict) -> PageRun:
    """Return the visitor's run, with the options of now where the event asks for it.

    Raises:
        LostRunError: the server has lost it, and it cannot be restored.
    """
    find = restore_run_or_first if event.brings_input else restore_run
    run = find(given["run"], page_record(given["sliders"]))
    if event.apply_options:
        run = replace(run, **{name: given[name] for name in OPTIONS})
    return run


def _take_turn(
    state: AppState,
    request: gr.Request,
    sliders: object,
    updates: Callable[[StopSignal], Iterator[PageUpdate]],
) -> Iterator[list]:
    """Yield PageUpdates as lists in the order of OUTPUTS; answers carry the ticket of their request.

    Parts that do not change are skipped.
    """
    ticket = ticket_of(sliders)
    with state.take_turn(_visitor(request), ticket, patience=10) as stop:
        for update in _end_in_sentence(updates, stop):
            if update.answers is not None:
                update = replace(update, answers={**update.answers, "ticket": ticket})
            values = (getattr(update, name) for name in OUTPUTS)
            yield [gr.skip() if value is None else value for value in values]


def _end_in_sentence(
    updates: Callable[[StopSignal], Iterator[PageUpdate]], stop: StopSignal
) -> Iterator[PageUpdate]:
    """Yield the PageUpdates, or the sentence on why the visitor's run is no longer known."""
    if stop.is_set():
        yield PageUpdate(answers=handlers.IDLE)
        return
    try:
        yield from updates(stop)
    except LostRunError as error:
        yield PageUpdate(notice=notice(str(error), "error"), answers=handlers.IDLE)


def page_record(sent: object) -> object:
    """Return what the browser says that it shows, as it came with the sliders or with an event's data.

    None if it says nothing.
    """
    if isinstance(sent, gr.EventData):
        return getattr(sent, "shows", None)
    return sent.get("shows") if isinstance(sent, dict) else None


def ticket_of(sliders: object) -> int:
    """Return the number that the browser gave a request; -1 if there is nothing to do, 0 without a number."""
    number = sliders.get("ticket") if isinstance(sliders, dict) else None
    return number if isinstance(number, int) and -1 <= number < EVERY else 0


def _visitor(request: gr.Request) -> str:
    return str(request.session_hash)
