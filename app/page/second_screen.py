"""The second screen: how it worked on this input, and how other methods fare. Parts, and who calls whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gradio as gr

from rediprune import Explainer
from rediprune.evaluation.sweep import RATIOS

from ..answer.compare import MORE_WEIGHTS, compare, compare_over_ratios, list_methods
from ..state.app_state import EVERY, AppState, PageRun
from ..state.shown_run import LostRunError, shown_run
from ..story.handler import tell
from .web_part import web_part

QUIET = {"show_progress": "hidden", "api_visibility": "private"}


def add_second_screen(state: AppState, explainer: Explainer, run: gr.State, unload: Callable) -> None:
    """Put the second screen under the page and connect it; `run` is what the answers above belong to.

    Nothing here is computed before a visitor comes to it or asks for it, and nothing waits in the queue of
    the answers.
    """
    with gr.Column(elem_id="rp-below"):
        told = web_part("cards/story", elem_id="rp-story")
        compared = web_part("cards/compare", elem_id="rp-compare", methods=list_methods(explainer))
        swept = web_part("cards/sweep", elem_id="rp-sweep", ratios=RATIOS, more=len(MORE_WEIGHTS))

    def tells(answered: PageRun, event: gr.EventData) -> dict:
        sliders = {"keep": event.keep, "weight": event.weight}
        try:
            run = shown_run(answered, getattr(event, "shows", None))
        except LostRunError as error:
            return {"said": str(error), "at": event.at}
        return {**tell(state, run, sliders), "at": event.at}

    _said(told.tell(tells, run, told, trigger_mode="multiple", **QUIET), "untold")
    _series(state, "compare", compared, run, compare, unload)
    _series(state, "sweep", swept, run, compare_over_ratios, unload)


def _said(request, to: str) -> None:
    """Where no handler of ours can speak (a full queue, a broken connection), `to` in the scripts does."""
    request.failure(None, js=f"() => {{ window.rediprune?.{to}?.(); }}", api_visibility="private")


def _series(
    state: AppState, kind: str, part: gr.HTML, run: gr.State, work: Callable, unload: Callable
) -> None:
    """What takes long, reports as it goes, and is stopped by its visitor or when that one leaves.

    It takes turns at the model with the answers, one answer each, so that nobody waits for all of it.
    """

    def visitor(request: gr.Request) -> str:
        return f"{kind} {request.session_hash}"

    def start(answered: PageRun, event: gr.EventData, request: gr.Request) -> Iterator[dict]:
        sliders = {name: getattr(event, name) for name in ("keep", "weight", "weights", "own")}
        with state.take_turn(visitor(request), _ticket(event.ticket)) as stop:
            about = {"ticket": event.ticket, "at": event.at}
            try:
                run = shown_run(answered, getattr(event, "shows", None))
            except LostRunError as error:
                yield {"busy": False, "line": str(error), **about}
                return
            for news in work(state, run, sliders, event.methods, stop):
                yield {**news, **about}

    def halt(event: gr.EventData, request: gr.Request) -> None:
        state.stop(visitor(request), _ticket(event.ticket))

    def leave(request: gr.Request) -> None:
        state.stop(visitor(request))

    many = {"concurrency_id": "series", "concurrency_limit": 2, "trigger_mode": "multiple"}
    _said(part.start(start, run, part, **many, **QUIET), f"failed_{kind}")
    part.halt(halt, None, None, queue=False, **QUIET)
    unload(leave)


def _ticket(number: object) -> int:
    return number if type(number) is int and 0 <= number < EVERY else 0
