"""Build the second screen: how the method worked on this input, and how other methods do, with its events."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gradio as gr

from rediprune import Explainer
from rediprune.evaluation.sweep import RATIOS

from ..answer.compare import MORE_WEIGHTS, compare, compare_over_ratios, list_methods
from ..state.app_state import EVERY, AppState, PageRun
from ..state.shown_run import LostRunError, restore_run
from ..story.handler import build_story
from .web_part import web_part

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
SERIES_INPUTS = ("keep", "weight", "weights", "own")  # what the browser sends with the start of a series


def add_second_screen(state: AppState, explainer: Explainer, run: gr.State, unload: Callable) -> None:
    """Add the second screen below the page and connect it; `run` is what the answers above belong to.

    Nothing here is computed before a visitor scrolls to it or asks for it, and nothing waits in the queue of
    the answers.
    """
    with gr.Column(elem_id="rp-below"):
        story = web_part("cards/story", elem_id="rp-story")
        comparison = web_part("cards/compare", elem_id="rp-compare", methods=list_methods(explainer))
        sweep = web_part("cards/sweep", elem_id="rp-sweep", ratios=RATIOS, more=len(MORE_WEIGHTS))

    def tell(answered: PageRun, event: gr.EventData) -> dict:
        sliders = {"keep": event.keep, "weight": event.weight}
        try:
            known = restore_run(answered, getattr(event, "shows", None))
        except LostRunError as error:
            return {"said": str(error), "at": event.at}
        return {**build_story(state, known, sliders), "at": event.at}

    request = story.tell(tell, run, story, trigger_mode="multiple", **QUIET)
    _report_failure(request, "untold")
    _connect_series(state, "compare", comparison, run, compare, unload)
    _connect_series(state, "sweep", sweep, run, compare_over_ratios, unload)


def _report_failure(request: gr.events.Dependency, callback_name: str) -> None:
    """Let a script speak where no handler can: a full queue, a broken connection."""
    call = f"() => {{ window.rediprune?.{callback_name}?.(); }}"
    request.failure(None, js=call, api_visibility="private")


def _connect_series(
    state: AppState, kind: str, part: gr.HTML, run: gr.State, work: Callable, unload: Callable
) -> None:
    """Connect work that takes long, reports as it goes, and ends when its visitor stops it or leaves.

    It takes turns at the model with the answers, one answer each, so that nobody waits for all of it.
    """

    def visitor(request: gr.Request) -> str:
        return f"{kind} {request.session_hash}"

    def start(answered: PageRun, event: gr.EventData, request: gr.Request) -> Iterator[dict]:
        sliders = {name: getattr(event, name) for name in SERIES_INPUTS}
        with state.take_turn(visitor(request), _ticket(event.ticket)) as stop:
            belongs_to = {"ticket": event.ticket, "at": event.at}
            try:
                known = restore_run(answered, getattr(event, "shows", None))
            except LostRunError as error:
                yield {"busy": False, "line": str(error), **belongs_to}
                return
            for update in work(state, known, sliders, event.methods, stop):
                yield {**update, **belongs_to}

    def halt(event: gr.EventData, request: gr.Request) -> None:
        state.stop(visitor(request), _ticket(event.ticket))

    def leave(request: gr.Request) -> None:
        state.stop(visitor(request))

    limits = {"concurrency_id": "series", "concurrency_limit": 2, "trigger_mode": "multiple"}
    _report_failure(part.start(start, run, part, **limits, **QUIET), f"failed_{kind}")
    part.halt(halt, None, None, queue=False, **QUIET)
    unload(leave)


def _ticket(number: object) -> int:
    return number if type(number) is int and 0 <= number < EVERY else 0
