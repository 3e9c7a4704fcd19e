"""Place the components on the page with their first values and their look. No behaviour."""

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
from ..views import cards
from ..views.cards import PageUpdate
from ..views.explorer import data_url
from .web_part import web_part

HEAD = """<h1>ReDiPrune: answer from a few of the picture's tokens</h1>
<p>A rule picks the tokens that the language model reads, by relevance and by diversity.</p>"""


def add_components(
    explainer: Explainer, state: AppState, run: PageRun, sliders: dict, first: PageUpdate
) -> dict:
    """Add all components of the first screen; return them by the names that page/events.py uses.

    The fields of a PageUpdate are among these names.
    """
    components = {"run": gr.State(run)}
    with gr.Row(elem_id="rp-head"):
        with gr.Column(scale=6, min_width=320, elem_id="rp-name"):
            gr.HTML(HEAD, elem_id="rp-title")
            components["models"] = web_part(
                "cards/models",
                {**state.menu.state(), "baked": True},  # the page itself asks for the state of its day
                elem_id="rp-models",
                offer=model_offer.rows(),
            )
        with gr.Column(scale=4, min_width=320, elem_id="rp-news"):
            components["notice"] = web_part("cards/notice", first.notice, elem_id="rp-notice")
    with gr.Row(elem_id="rp-page"):
        with gr.Column(scale=6, min_width=320, elem_id="rp-left"):
            components["explorer"] = web_part(
                "explorer/explorer", first.explorer, elem_id="rp-explorer", look=_look(), **sliders
            )
            components["saved"] = web_part("explorer/saved", elem_id="rp-saved")
            components["measured"] = web_part("explorer/measured", elem_id="rp-measured")
            components["sliders"] = web_part("explorer/knobs", sliders, elem_id="rp-knobs", weights=WEIGHTS)
            with gr.Row(elem_id="rp-menus"):
                components["method"] = gr.Dropdown(
                    method_choices(explainer), value=run.method, label="Method"
                )
                queries = query_choices(explainer)
                components["query"] = gr.Dropdown(
                    queries, value=run.query, label="Relevance is measured against"
                )
                budgets = [(words, name) for name, words in BUDGETS.items()]
                update = first.budget or cards.budget_update(1)
                first_look = {name: value for name, value in update.items() if name != "__type__"}
                components["budget"] = gr.Dropdown(
                    budgets, value=run.budget, elem_id="rp-budget", **first_look
                )
            components["scenes"] = web_part(
                "cards/scenes", elem_id="rp-scenes", examples=_thumbnails(), first=run.source.seed
            )
            with gr.Accordion("Your own picture or clip", open=False, elem_id="rp-own"):
                outside = cards.outside_update(explainer.knows, PUBLIC_MODEL)
                components["outside"] = gr.HTML(
                    outside["value"], visible=outside["visible"], elem_id="rp-outside"
                )
                with gr.Row(elem_id="rp-files"):
                    components["photo"] = gr.Image(
                        type="filepath",
                        image_mode=None,
                        sources=["upload", "clipboard", "webcam"],
                        label="Picture",
                        height=220,
                        elem_id="rp-photo",
                    )
                    with gr.Column(min_width=160, elem_id="rp-clip-side"):
                        components["clip"] = gr.File(label="Clip", height=140, elem_id="rp-clip")
                        counts = [(str(n), n) for n in N_FRAMES]
                        components["frames"] = gr.Radio(
                            counts, value=run.source.n_frames, label="Frames taken of a clip"
                        )
            components["export"] = web_part("cards/export", elem_id="rp-along")
        with gr.Column(scale=4, min_width=320, elem_id="rp-right"):
            with gr.Row(elem_id="rp-ask"):
                components["question"] = gr.Textbox(run.question, label="Question", max_lines=2)
                components["ask"] = gr.Button("Ask", variant="primary", elem_id="rp-go")
            components["suggestions"] = web_part(
                "cards/suggestions", list(suggestions(run.source)), elem_id="rp-chips"
            )
            components["answers"] = web_part("cards/answers", first.answers, elem_id="rp-answers")
            components["savings"] = web_part("cards/savings", first.savings, elem_id="rp-savings")
    return components


def _look() -> dict:
    """Return the colours that the canvas needs; style sheets read the same palette as CSS variables."""
    return {
        "ramp": palette.RAMP,
        "outline": palette.OUTLINE,
        "edge": palette.OUTLINE_EDGE,
        "cursor": palette.NEXT_PICK.dark,
        "dim": palette.DIM,
        "heat": draw.HEAT,
    }


def _thumbnails() -> list[dict]:
    """Return a small picture of every example, with what the browser needs to ask for it."""

    def example(source: Source) -> dict:
        frames = load_frames(source)[0].frames
        small = frames[len(frames) // 2].resize((96, 96), Image.Resampling.LANCZOS)
        return {"seed": source.seed, "clip": source.clip, "picture": data_url(small)}

    scenes = [Source(seed=seed) for seed in EXAMPLES]
    clips = [Source(seed=seed, clip=True) for seed in CLIP_EXAMPLES]
    return [example(source) for source in (*scenes, *clips)]
