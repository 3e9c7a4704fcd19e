"""Layout and wiring of the page, no arithmetic: `build_demo(explainer)`; `launch_options()` is its look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from html import escape
from pathlib import Path
from threading import Event

import gradio as gr
from PIL import Image

from rediprune import Explainer, draw, palette

from . import api, handlers, views
from .controls import BUDGETS, METHODS, WEIGHTS, default_query, query_choices
from .desk import EVERY, Desk, Run
from .sources import CLIP_EXAMPLES, EXAMPLES, Source, shown, suggestions
from .views import View
from .widget import widget

SYSTEM_FONTS = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
PARTS = (
    "explorer",
    "answers",
    "savings",
    "notice",
    "question",
    "suggestions",
    "photo",
    "run",
)  # of a View, in output order
# What the browser does with a request before it is sent; answers.js.
BEGIN = "(...args) => window.rediprune?.begin?.(args) ?? args"
CHANGE = "(...args) => window.rediprune?.change?.(args) ?? args"
MAX_WAITING = 32  # requests in the queue; one more is told that the page is busy
HEAD = """<h1>ReDiPrune: answer from a few of the picture's tokens</h1>
<p>Each patch of the picture becomes a visual token, which the projector hands to the language model: here
only tokens that fit the question and are unlike each other. Model: {}</p>"""
OUTSIDE = "<p>{} For photos, start with a public checkpoint: <code>{}</code></p>"


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
        parts, controls = _layout(explainer, run, knobs, first)
        _wire(desk, parts, controls, at_load=None if first_run else demo.load, unload=demo.unload)
        api.offer(desk)
    return demo.queue(max_size=MAX_WAITING)


def _layout(explainer: Explainer, run: Run, knobs: dict, first: View) -> tuple[dict, dict]:
    """The components: those that a View changes, by its field's name, and those that a visitor works."""
    parts, controls = {"run": gr.State(run)}, {}
    with gr.Row(elem_id="rp-head"):
        with gr.Column(scale=6, min_width=320, elem_id="rp-name"):
            gr.HTML(HEAD.format(escape(explainer.name)), elem_id="rp-title")
        with gr.Column(scale=4, min_width=320, elem_id="rp-news"):
            parts["notice"] = widget("cards/notice", first.notice, elem_id="rp-notice")
    with gr.Row(elem_id="rp-page"):
        with gr.Column(scale=6, min_width=320, elem_id="rp-left"):
            parts["explorer"] = widget(
                "explorer/explorer", first.explorer, elem_id="rp-explorer", look=_look(), **knobs
            )
            controls["knobs"] = widget("explorer/knobs", knobs, elem_id="rp-knobs", weights=WEIGHTS)
            with gr.Row(elem_id="rp-menus"):
                methods = [(words, name) for name, words in METHODS.items()]
                controls["method"] = gr.Dropdown(methods, value=run.method, label="Method")
                queries = query_choices(explainer)
                controls["query"] = gr.Dropdown(
                    queries, value=run.query, label="Relevance is measured against"
                )
                budgets = [(words, name) for name, words in BUDGETS.items()]
                controls["budget"] = gr.Dropdown(budgets, value=run.budget, label="Tokens of a clip")
            controls["scenes"] = widget(
                "cards/scenes", elem_id="rp-scenes", examples=_thumbnails(), first=run.source.seed
            )
            with gr.Accordion("Your own picture: upload, paste or camera", open=False, elem_id="rp-photo"):
                if explainer.knows:
                    outside = OUTSIDE.format(escape(explainer.knows), escape(handlers.PUBLIC_MODEL))
                    gr.HTML(outside, elem_id="rp-outside")
                parts["photo"] = gr.Image(
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "clipboard", "webcam"],
                    show_label=False,
                    height=260,
                )
        with gr.Column(scale=4, min_width=320, elem_id="rp-right"):
            with gr.Row(elem_id="rp-ask"):
                parts["question"] = gr.Textbox(run.question, label="Question", max_lines=2)
                controls["ask"] = gr.Button("Ask", variant="primary", elem_id="rp-go")
            parts["suggestions"] = widget(
                "cards/suggestions", list(suggestions(run.source)), elem_id="rp-chips"
            )
            parts["answers"] = widget("cards/answers", first.answers, elem_id="rp-answers")
            parts["savings"] = widget("cards/savings", first.savings, elem_id="rp-savings")
    return parts, controls


def _wire(desk: Desk, parts: dict, controls: dict, at_load: Callable | None, unload: Callable) -> None:
    """Who calls whom. Answers take turns at the model; none is a public endpoint (see api.py)."""

    def ask(text: str, before: Run, knobs: dict, method: str, query: str, budget: str, request: gr.Request):
        run = Run(before.source, text, method, query, budget)
        yield from _turn(desk, request, knobs, lambda stop: handlers.answer(desk, run, knobs, stop))

    def choose(
        before: Run,
        knobs: dict,
        method: str,
        query: str,
        budget: str,
        event: gr.EventData,
        request: gr.Request,
    ):
        run = Run(before.source, str(event.text), method, query, budget)
        yield from _turn(desk, request, knobs, lambda stop: handlers.choose(desk, run, knobs, stop))

    def change(before: Run, knobs: dict, method: str, query: str, budget: str, request: gr.Request):
        changed = partial(handlers.change, desk, before, method, query, budget, knobs)
        yield from _turn(desk, request, knobs, changed)

    def again(before: Run, knobs: dict, request: gr.Request):
        again = partial(handlers.answer, desk, before, knobs, redraw=False)
        yield from _turn(desk, request, knobs, lambda stop: again(stop=stop))

    def pick(
        text: str, before: Run, knobs: dict, method: str, query: str, budget: str,
        event: gr.EventData, request: gr.Request,
    ):  # fmt: skip
        run = replace(before, method=method, query=query, budget=budget)
        picked = partial(handlers.pick, desk, event.seed, event.clip is True, text, run, knobs)
        yield from _turn(desk, request, knobs, picked)

    def give(
        file: dict | None, text: str, before: Run, knobs: dict, method: str, query: str, budget: str,
        request: gr.Request,
    ):  # fmt: skip
        run = replace(before, method=method, query=query, budget=budget)
        given = partial(handlers.give, desk, file, text, run, knobs)
        yield from _turn(desk, request, knobs, given)

    def stop(event: gr.EventData, request: gr.Request) -> None:
        desk.stop(_visitor(request), _ticket({"ticket": event.ticket}))

    def leave(request: gr.Request) -> None:
        desk.stop(_visitor(request))

    turn = {
        "outputs": [parts[name] for name in PARTS],
        "concurrency_id": "model",
        "concurrency_limit": 1,
        # A second request waits in the queue; answers.js stops the first. Not "always_last": Gradio 6.31 runs
        # the second with the event data of the first.
        "trigger_mode": "multiple",
        "show_progress": "hidden",
        "api_visibility": "private",
    }
    question, knobs, scenes, photo = (
        parts["question"],
        controls["knobs"],
        controls["scenes"],
        parts["photo"],
    )
    menus = [controls[name] for name in ("method", "query", "budget")]
    dials = [parts["run"], knobs, *menus]
    asking = [controls["ask"].click, question.submit]
    requests = [
        gr.on([*asking, *([at_load] if at_load else [])], ask, [question, *dials], js=BEGIN, **turn),
        gr.on([menu.input for menu in menus], change, dials, js=CHANGE, **turn),
        parts["suggestions"].choose(choose, dials, js=BEGIN, **turn),
        knobs.settle(again, [parts["run"], knobs], js=BEGIN, **turn),
        parts["answers"].again(again, [parts["run"], knobs], js=BEGIN, **turn),
        scenes.pick(pick, [question, *dials], js=BEGIN, **turn),
        # preprocess=False: the file arrives unread (load_image judges it) and unchecked (file_source does).
        photo.input(give, [photo, question, *dials], preprocess=False, js=BEGIN, **turn),
    ]
    for request in requests:  # the queue is full, or the connection broke: no handler of ours can say so
        request.failure(None, js="() => { window.rediprune?.failed?.(); }", api_visibility="private")
    parts["answers"].stop(stop, None, None, queue=False, api_visibility="private")
    unload(leave)


def _turn(
    desk: Desk, request: gr.Request, knobs: object, found: Callable[[Event], Iterator[View]]
) -> Iterator[list]:
    """Views as outputs in the order of PARTS; what did not change is skipped. Answers carry their ticket."""
    ticket = _ticket(knobs)
    with desk.turn(_visitor(request), ticket) as stop:
        for view in [View(answers=handlers.IDLE)] if stop.is_set() else found(stop):
            if view.answers is not None:
                view = replace(view, answers={**view.answers, "ticket": ticket})
            yield [gr.skip() if (value := getattr(view, name)) is None else value for name in PARTS]


def _ticket(knobs: object) -> int:
    """The number that the browser gave a request; -1 where there is nothing to do, 0 without one."""
    number = knobs.get("ticket") if isinstance(knobs, dict) else None
    return number if isinstance(number, int) and -1 <= number < EVERY else 0


def _look() -> dict:
    """The colours that the canvas needs; style sheets read the same palette as CSS variables."""
    return {
        "ramp": palette.RAMP,
        "outline": palette.OUTLINE,
        "edge": palette.OUTLINE_EDGE,
        "cursor": palette.NEXT_PICK.dark,
        "dim": palette.DIM,
        "heat": draw.HEAT,
    }


def _thumbnails() -> list[dict]:
    def example(source: Source) -> dict:
        frames = shown(source)[0].frames
        small = frames[len(frames) // 2].resize((96, 96), Image.Resampling.LANCZOS)
        return {"seed": source.seed, "clip": source.clip, "picture": views.data_url(small)}

    scenes = [Source(seed=seed) for seed in EXAMPLES]
    return [example(source) for source in (*scenes, *(Source(seed=s, clip=True) for s in CLIP_EXAMPLES))]


def _visitor(request: gr.Request) -> str:
    return str(request.session_hash)
