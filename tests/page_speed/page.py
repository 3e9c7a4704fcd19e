"""Serve the measured page: the real one, with a button that fetches made-up tokens as an answer would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import gradio as gr

from app.answer import answering
from app.page.build import build_demo, launch_options
from rediprune import Explainer
from rediprune.explainer.model_card import Card
from tests.support import tiny

from .made_up import message


@contextmanager
def served() -> Iterator[tuple[str, Callable[[str, bool], None]]]:
    """Yield the page's address and `show(size, whole)`, which sets the next message of #rp-speed."""
    wanted = {}
    number = count()

    def sent() -> dict:
        """Send the message as an answer would; it is numbered, because an unchanged value goes unnoticed."""
        return message(wanted["size"], wanted["whole"]) | {"about": f"Made up, message {next(number)}"}

    # A slider that is let go asks for no answer: what the model does then is not what is measured.
    quick = answering.QUICK_SECONDS
    answering.QUICK_SECONDS = 0
    demo = build_demo(Explainer(tiny.model(), tiny.processor(), "tiny", Card()))
    explorer = next(part for part in demo.blocks.values() if part.elem_id == "rp-explorer")
    with demo:
        button = gr.Button("Show", elem_id="rp-speed")
        quiet = {"show_progress": "hidden", "api_visibility": "private"}
        button.click(sent, None, explorer, **quiet)
    try:
        _, address, _ = demo.launch(
            prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **launch_options()
        )
        yield address, lambda size, whole: wanted.update(size=size, whole=whole)
    finally:
        demo.close()
        answering.QUICK_SECONDS = quick
