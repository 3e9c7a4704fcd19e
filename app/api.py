"""The one named endpoint, /answer: the page's main action for gradio_client and curl. It keeps no state."""

from __future__ import annotations

from dataclasses import asdict

import gradio as gr

from rediprune import Explainer
from rediprune.draw import shown_in

from .answering import SAID
from .controls import BUDGETS, METHODS, default_query, query_choices, settings
from .desk import Desk
from .sources import file_source, shown

MODELS_OWN = "default"  # whichever query is the open model's default


def offer(desk: Desk, explainer: Explainer) -> None:
    """Add /answer to the Blocks that are being built. Its components are hidden: they say what goes in.

    The menus are those of the model that is open now; what another one cannot do, it says itself.
    """

    def answer(
        media: dict,
        question: str,
        keep_ratio: float,
        weight: float,
        method: str,
        query: str,
        budget: str,
        n_frames: int,
    ) -> dict:
        """Answer a question about a picture or a clip with all visual tokens and with a pruned few.

        Args:
            media: a picture, a video, or an animated picture, which counts as a clip.
            question: one question about it.
            keep_ratio: share of the visual tokens to keep, above 0 and at most 1.
            weight: relevance against diversity, 0 (only diversity) to 1 (only relevance).
            method: which rule chooses the tokens.
            query: what relevance is measured against; "default" is the open model's own choice.
            budget: "frame": each frame of a clip keeps its share; "shared": one choice among all of them.
            n_frames: how many frames are taken of a clip, 1 to 32.
        """
        try:
            return answer_once(desk, media, question, keep_ratio, weight, method, query, budget, n_frames)
        except SAID as error:
            raise gr.Error(str(error), print_exception=False) from None

    def menu(name: str, choices: list[str], value: str) -> gr.Dropdown:
        return gr.Dropdown(choices, value=value, label=name, visible=False)

    defaults = explainer.defaults
    inputs = [
        gr.File(label="media", visible=False),
        gr.Textbox(label="question", visible=False),
        gr.Number(defaults.keep_ratio, label="keep_ratio", visible=False),
        gr.Number(defaults.weight, label="weight", visible=False),
        menu("method", list(METHODS), defaults.method),
        menu("query", [MODELS_OWN, *(name for _, name in query_choices(explainer))], MODELS_OWN),
        menu("budget", list(BUDGETS), defaults.budget),
        gr.Number(8, precision=0, label="n_frames", visible=False),
    ]
    gr.Button("answer", visible=False).click(
        answer,
        inputs,
        gr.JSON(label="result", visible=False),
        api_name="answer",
        preprocess=False,
        concurrency_id="model",
        concurrency_limit=1,
    )


def answer_once(
    desk: Desk,
    media: object,
    question: str,
    keep_ratio: float,
    weight: float,
    method: str,
    query: str,
    budget: str = "frame",
    n_frames: object = 8,
) -> dict:
    """One run as plain data: both answers, the kept tokens, the estimated savings and the agreement.

    "kept" are flat token indices, frame * tokens of a frame + token; "frames" says of each frame (or tile)
    when it is shown and how many of its tokens were kept.

    Raises:
        ValueError: any input that cannot be used, in one sentence.
        ModelError: no model is open at this moment.
    """
    given, notes = shown(file_source(media, n_frames))
    with desk.models.using() as explainer:
        query = default_query(explainer) if query == MODELS_OWN else query
        config = settings(explainer, {"keep": keep_ratio, "weight": weight}, method, query, budget)
        trace = explainer.run(given, question, config)
    said = {
        name: {"text": a.text, "visual_tokens": a.n_visual, "seconds_measured": a.seconds}
        for name, a in (("unpruned", trace.full), ("pruned", trace.pruned))
    }
    vision = trace.vision
    frames = zip(
        shown_in(len(given.frames), vision), vision.counts, vision.per_frame(trace.kept), strict=True
    )
    return {
        **said,
        "kept": trace.kept.tolist(),
        "frames": [
            {"second": given.seconds[i] if given.seconds else None, "tokens": count, "kept": len(mine)}
            for i, count, mine in frames
        ],
        "savings_estimated": asdict(trace.savings),
        "agreement": asdict(trace.agreement),
        "settings": {
            "keep_ratio": config.keep_ratio,
            "weight": config.weight,
            "method": method,
            "query": query,
            "budget": budget,
        },
        "model": trace.model_name,
        "notes": [*notes, *trace.notes],
    }
