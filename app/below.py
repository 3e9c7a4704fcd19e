"""The second screen: how it worked on this input. Its parts, and who calls whom there."""

from __future__ import annotations

import gradio as gr

from .desk import Desk, Run
from .telling import tell
from .widget import widget


def below(desk: Desk, run: gr.State) -> None:
    """Put the second screen under the page and connect it; `run` is what the answers above belong to.

    Nothing here is computed before a visitor comes to it, and nothing waits in the queue of the answers.
    """
    with gr.Column(elem_id="rp-below"):
        told = widget("cards/story", elem_id="rp-story")

    def tells(answered: Run, event: gr.EventData) -> dict:
        return {**tell(desk, answered, {"keep": event.keep, "weight": event.weight}), "at": event.at}

    told.tell(tells, run, told, show_progress="hidden", api_visibility="private", trigger_mode="multiple")
