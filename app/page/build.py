"""Build the page with `build_demo`; `launch_options` says how it is launched."""

from __future__ import annotations

from functools import partial

import gradio as gr

from rediprune import Explainer
from rediprune.draw import palette
from rediprune.explainer.model_holder import ModelHolder

from .. import api
from ..answer import handlers
from ..server import HostRules, middleware, protect
from ..server.waiting import others_wait
from ..state.app_state import AppState, PageRun
from ..state.options import default_query
from ..state.sources import EXAMPLES, Source, suggestions
from ..views.cards import PageUpdate
from .events import connect_events
from .layout import add_components
from .model_events import connect_model_menu
from .second_screen import add_second_screen
from .web_part import WEB

SYSTEM_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MAX_WAITING = 128  # requests in the queue; one more is told that the page is busy, and when to come back
VISITORS_REMEMBERED = 256  # for older ones the browser's own record is used (shown_run.py)


def launch_options(rules: HostRules | None = None) -> dict:
    """Return what `demo.launch` needs for this page: its look, its limits, and no traffic with other hosts.

    Args:
        rules: which hosts and origins are served; the default is this machine alone.
    """
    return {
        "theme": gr.themes.Default(
            primary_hue="blue",
            neutral_hue="slate",
            spacing_size="sm",
            font=SYSTEM_FONTS,
            font_mono=["ui-monospace", "monospace"],
        ),
        "css": palette.css() + "".join(_read_style(name) for name in ("page.css", "second_screen.css")),
        "run_history": False,  # if it is kept, it slows the page down after every event
        "footer_links": [],
        "max_file_size": "100mb",
        "app_kwargs": {"middleware": middleware(rules or HostRules())},
        "state_session_capacity": VISITORS_REMEMBERED,
    }


def _read_style(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")


def build_demo(models: ModelHolder | Explainer, first_run: bool = True, fixed: str = "") -> gr.Blocks:
    """Build the page without launching it.

    Args:
        models: holds the open model, which visitors may exchange for another one; or just the model.
        first_run: compute the first answers now, so that they are there at first paint; else (for models that
            take long) the page computes them when it opens.
        fixed: why visitors may not change the model, one sentence; empty if they may.
    """
    state = AppState(models, fixed=fixed)
    # Visitors' files are forgotten: Gradio looks every ten minutes and removes those older than an hour.
    demo = gr.Blocks(title="ReDiPrune", analytics_enabled=False, delete_cache=(600, 3600))
    with state.borrow_model() as explainer, demo:
        if explainer.one_at_a_time:
            state.serve_one_at_a_time()  # each would borrow a GPU
        sliders = {"keep": explainer.defaults.keep_ratio, "weight": explainer.defaults.weight}
        source = Source(seed=EXAMPLES[0])
        run = PageRun(
            source,
            suggestions(source)[0],
            explainer.defaults.method,
            default_query(explainer),
            model=state.models.generation,
        )
        first = PageUpdate()
        if first_run:
            # Once before, to warm up, so that the times shown are not those of a start.
            handlers.compute_first_update(AppState(state.models), run, sliders)
            first = handlers.compute_first_update(state, run, sliders)
        components = add_components(explainer, state, run, sliders, first)
        at_load = None if first_run else demo.load
        connect_events(state, components, at_load=at_load, unload=demo.unload)
        connect_model_menu(state.menu, components["models"], at_load=demo.load)
        add_second_screen(state, explainer, components["run"], demo.unload)
        api.add_endpoints(state, explainer)
    state.others_wait = partial(others_wait, demo)
    return protect(demo.queue(max_size=MAX_WAITING, api_open=False))  # every way in waits in this queue
