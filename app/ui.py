"""The page, put together: `build_demo(explainer)`; `launch_options()` is its look."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from rediprune import Explainer, palette

from . import api, handlers
from .controls import default_query
from .desk import Desk, Run
from .layout import layout
from .sources import EXAMPLES, Source, suggestions
from .views import View
from .wiring import wire

SYSTEM_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MAX_WAITING = 32  # requests in the queue; one more is told that the page is busy


def launch_options() -> dict:
    """What `demo.launch` needs for this page: its look, and nothing from or to other hosts."""
    return {
        "theme": gr.themes.Default(
            primary_hue="blue",
            neutral_hue="slate",
            spacing_size="sm",
            font=SYSTEM_FONTS,
            font_mono=["ui-monospace", "monospace"],
        ),
        "css": palette.css() + Path(__file__).with_name("page.css").read_text(encoding="utf-8"),
        "run_history": False,  # kept, it slows the page down after every event
        "footer_links": [],
        "max_file_size": "100mb",
        "state_session_capacity": 256,
    }


def build_demo(explainer: Explainer, first_run: bool = True) -> gr.Blocks:
    """The page for one model; not launched.

    Args:
        explainer: the model.
        first_run: compute the first answers now, so that they are there at first paint; else (for models that
            take long) the page computes them when it opens.
    """
    desk = Desk(explainer)
    knobs = {"keep": explainer.defaults.keep_ratio, "weight": explainer.defaults.weight}
    source = Source(seed=EXAMPLES[0])
    run = Run(source, suggestions(source)[0], explainer.defaults.method, default_query(explainer))
    if first_run:
        handlers.first_paint(
            Desk(explainer), run, knobs
        )  # warms up, so that the times shown are not those of a start
    first = handlers.first_paint(desk, run, knobs) if first_run else View()
    # Files that visitors give are forgotten: looked at every ten minutes, removed after an hour.
    with gr.Blocks(title="ReDiPrune", analytics_enabled=False, delete_cache=(600, 3600)) as demo:
        parts, controls = layout(explainer, run, knobs, first)
        wire(desk, parts, controls, at_load=None if first_run else demo.load, unload=demo.unload)
        api.offer(desk)
    return demo.queue(max_size=MAX_WAITING)
