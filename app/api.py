"""The one named endpoint, /answer: the page's main action for gradio_client and curl. It keeps no state."""

from __future__ import annotations

from dataclasses import asdict

import gradio as gr

from .controls import METHODS, default_query, query_choices, settings
from .desk import Desk
from .handlers import SAID
from .sources import file_source, shown


def offer(desk: Desk) -> None:
    """Add /answer to the Blocks that are being built. Its components are hidden: they say what goes in."""
    explainer = desk.explainer

    def answer(image: dict, question: str, keep_ratio: float, weight: float, method: str, query: str) -> dict:
        """Answer a question about an image with all visual tokens and with a pruned few.

        Args:
            image: the picture.
            question: one question about it.
            keep_ratio: share of the visual tokens to keep, above 0 and at most 1.
            weight: relevance against diversity, 0 (only diversity) to 1 (only relevance).
            method: which rule chooses the tokens.
            query: what relevance is measured against.
        """
        try:
            return answer_once(desk, image, question, keep_ratio, weight, method, query)
        except SAID as error:
            raise gr.Error(str(error), print_exception=False) from None

    inputs = [
        gr.Image(type="filepath", image_mode=None, label="image", visible=False),
        gr.Textbox(label="question", visible=False),
        gr.Number(explainer.defaults.keep_ratio, label="keep_ratio", visible=False),
        gr.Number(explainer.defaults.weight, label="weight", visible=False),
        gr.Dropdown(list(METHODS), value=explainer.defaults.method, label="method", visible=False),
        gr.Dropdown(
            [name for _, name in query_choices(explainer)],
            value=default_query(explainer),
            label="query",
            visible=False,
        ),
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
    desk: Desk, image: object, question: str, keep_ratio: float, weight: float, method: str, query: str
) -> dict:
    """One run as plain data: both answers, the kept tokens, the estimated savings and the agreement.

    Raises:
        ValueError: any input that cannot be used, in one sentence.
    """
    explainer = desk.explainer
    config = settings(explainer, {"keep": keep_ratio, "weight": weight}, method, query)
    media, notes = shown(file_source(image))
    trace = explainer.run(media, question, config)
    said = {
        name: {"text": a.text, "visual_tokens": a.n_visual, "seconds_measured": a.seconds}
        for name, a in (("unpruned", trace.full), ("pruned", trace.pruned))
    }
    return {
        **said,
        "kept": trace.kept.tolist(),
        "savings_estimated": asdict(trace.savings),
        "agreement": asdict(trace.agreement),
        "settings": {
            "keep_ratio": config.keep_ratio,
            "weight": config.weight,
            "method": method,
            "query": query,
        },
        "model": trace.model_name,
        "notes": [*notes, *trace.notes],
    }
