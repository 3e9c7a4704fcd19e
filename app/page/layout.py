"""Where everything stands on the page: components, their first values and their look. No behaviour."""

from __future__ import annotations

import gradio as gr
from PIL import Image

from rediprune import Explainer, draw
from rediprune.draw import palette

from ..answer.answering import PUBLIC_MODEL
from ..model import offer as model_offer
from ..state.app_state import AppState, PageRun
from ..state.options import BUDGETS, WEIGHTS, method_choices, query_choices
from ..state.sources import CLIP_EXAMPLES, EXAMPLES, N_FRAMES, Source, load_frames, suggestions
from ..views import cards as views
from ..views.cards import PageUpdate
from ..views.explorer import data_url
from .web_part import web_part

HEAD = """<h1>ReDiPrune: answer from a few of the picture's tokens</h1>
<p>The language model is handed only tokens that fit the question and are unlike each other.</p>"""


def layout(
    explainer: Explainer, state: AppState, run: PageRun, sliders: dict, first: PageUpdate
) -> tuple[dict, dict]:
    """The components: those that a View changes, by its field's name, and those that a visitor works."""
    parts, controls = {"run": gr.State(run)}, {}
    with gr.Row(elem_id="rp-head"):
        with gr.Column(scale=6, min_width=320, elem_id="rp-name"):
            gr.HTML(HEAD, elem_id="rp-title")
            parts["models"] = web_part(
                "cards/models",
                {**state.menu.state(), "baked": True},  # the page itself asks for the state of its day
                elem_id="rp-models",
                offer=model_offer.rows(),
            )
        with gr.Column(scale=4, min_width=320, elem_id="rp-news"):
            parts["notice"] = web_part("cards/notice", first.notice, elem_id="rp-notice")
    with gr.Row(elem_id="rp-page"):
        with gr.Column(scale=6, min_width=320, elem_id="rp-left"):
            parts["explorer"] = web_part(
                "explorer/explorer", first.explorer, elem_id="rp-explorer", look=_look(), **sliders
            )
            controls["saved"] = web_part("explorer/saved", elem_id="rp-saved")
            controls["measured"] = web_part("explorer/measured", elem_id="rp-measured")
            parts["sliders"] = web_part("explorer/knobs", sliders, elem_id="rp-knobs", weights=WEIGHTS)
            with gr.Row(elem_id="rp-menus"):
                parts["method"] = gr.Dropdown(method_choices(explainer), value=run.method, label="Method")
                queries = query_choices(explainer)
                parts["query"] = gr.Dropdown(queries, value=run.query, label="Relevance is measured against")
                budgets = [(words, name) for name, words in BUDGETS.items()]
                menu = {k: v for k, v in (first.budget or views.budget_update(1)).items() if k != "__type__"}
                parts["budget"] = gr.Dropdown(budgets, value=run.budget, elem_id="rp-budget", **menu)
            controls["scenes"] = web_part(
                "cards/scenes", elem_id="rp-scenes", examples=_thumbnails(), first=run.source.seed
            )
            with gr.Accordion("Your own picture or clip", open=False, elem_id="rp-own"):
                outside = views.outside(explainer.knows, PUBLIC_MODEL)
                parts["outside"] = gr.HTML(outside["value"], visible=outside["visible"], elem_id="rp-outside")
                with gr.Row(elem_id="rp-files"):
                    parts["photo"] = gr.Image(
                        type="filepath",
                        image_mode=None,
                        sources=["upload", "clipboard", "webcam"],
                        label="Picture",
                        height=220,
                        elem_id="rp-photo",
                    )
                    with gr.Column(min_width=160, elem_id="rp-clip-side"):
                        parts["clip"] = gr.File(label="Clip", height=140, elem_id="rp-clip")
                        counts = [(str(n), n) for n in N_FRAMES]
                        controls["frames"] = gr.Radio(
                            counts, value=run.source.n_frames, label="Frames taken of a clip"
                        )
            controls["along"] = web_part("cards/export", elem_id="rp-along")
        with gr.Column(scale=4, min_width=320, elem_id="rp-right"):
            with gr.Row(elem_id="rp-ask"):
                parts["question"] = gr.Textbox(run.question, label="Question", max_lines=2)
                controls["ask"] = gr.Button("Ask", variant="primary", elem_id="rp-go")
            parts["suggestions"] = web_part(
                "cards/suggestions", list(suggestions(run.source)), elem_id="rp-chips"
            )
            parts["answers"] = web_part("cards/answers", first.answers, elem_id="rp-answers")
            parts["savings"] = web_part("cards/savings", first.savings, elem_id="rp-savings")
    return parts, controls


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
        frames = load_frames(source)[0].frames
        small = frames[len(frames) // 2].resize((96, 96), Image.Resampling.LANCZOS)
        return {"seed": source.seed, "clip": source.clip, "picture": data_url(small)}

    scenes = [Source(seed=seed) for seed in EXAMPLES]
    return [example(source) for source in (*scenes, *(Source(seed=s, clip=True) for s in CLIP_EXAMPLES))]
