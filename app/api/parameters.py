"""Describe each parameter of the endpoints once: in words, and as a hidden component with a default."""

from __future__ import annotations

import gradio as gr
from gradio.components import Component

from rediprune import PruneConfig
from rediprune.evaluation.sweep import RATIOS, SEEDS

from ..state.options import BUDGETS, METHODS, QUERIES
from ..state.sources import N_FRAMES
from .arguments import MODELS_OWN
from .fetch import fetch_by_url
from .sweep import MOST


def _describe(menu: dict[str, str]) -> str:
    return "; ".join(f"{name}: {words.partition(': ')[2] or words}" for name, words in menu.items())


# One line each: Gradio reads a parameter's words off one line of a docstring.
WORDS = {
    "media": "A picture, a video, or an animated picture, which counts as a clip; or the http(s) URL of one.",
    "question": "One question about it, such as: What color is the star?",
    "keep_ratio": "Share of the visual tokens to keep, above 0 and at most 1; 0.15 keeps 15%.",
    "weight": "Of rediprune: 0 (only diversity) to 1 (only relevance), taken as the nearest 1/20, or as 1/3.",
    "method": f"Which rule chooses the tokens. {_describe(METHODS)}.",
    "query": f"What relevance is measured against. {MODELS_OWN}: its own choice; {_describe(QUERIES)}.",
    "budget": 'Of a clip: "frame" keeps the share of every frame, "shared" chooses once among all frames.',
    "n_frames": f"How many frames are taken of a clip, 1 to {N_FRAMES[-1]}; a picture has one.",
    "frame": "Draw only this frame of a clip, or part of a picture that is read in parts, counted from 0.",
    "methods": f"The rules to compare; random is always among them, as the mean of {SEEDS} masks.",
    "keep_ratios": f"Shares of the visual tokens to keep, 1 to {MOST} of them, each above 0 and at most 1.",
}


def parameters(defaults: PruneConfig) -> dict[str, Component]:
    """Return a hidden component for each of WORDS.

    The dropdowns list what any model may know; the open model itself refuses what it cannot do.

    Args:
        defaults: of the model that the page starts with.
    """
    hidden = {"visible": False}
    ratios = gr.JSON(list(RATIOS), label="keep_ratios", **hidden)
    ratios.api_info = lambda: {"type": "array", "items": {"type": "number"}}
    return {
        "media": fetch_by_url(gr.File(label="media", **hidden)),
        "question": gr.Textbox(label="question", **hidden),
        "keep_ratio": gr.Number(defaults.keep_ratio, label="keep_ratio", **hidden),
        "weight": gr.Number(defaults.weight, label="weight", **hidden),
        "method": gr.Dropdown(list(METHODS), value=defaults.method, label="method", **hidden),
        "query": gr.Dropdown([MODELS_OWN, *QUERIES], value=MODELS_OWN, label="query", **hidden),
        "budget": gr.Dropdown(list(BUDGETS), value=defaults.budget, label="budget", **hidden),
        "n_frames": gr.Number(8, precision=0, label="n_frames", **hidden),
        "frame": gr.Number(precision=0, label="frame", **hidden),
        "methods": gr.Dropdown(
            list(METHODS), value=["rediprune", "grid"], multiselect=True, label="methods", **hidden
        ),
        "keep_ratios": ratios,
    }
