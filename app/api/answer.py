"""Answer /answer, the page's main action."""

from __future__ import annotations

from dataclasses import asdict

from ..server.departures import stop_when_caller_leaves
from ..state.app_state import AppState
from .arguments import checked_settings, describe_frames, load_media_argument, settings_dict


def answer_question(
    state: AppState,
    media: object,
    question: str,
    keep_ratio: float,
    weight: float,
    method: str,
    query: str,
    budget: str,
    n_frames: int,
) -> dict:
    """Answer a question about a picture or a clip twice: with all visual tokens, and with a pruned few.

    Shows what pruning does to the answer and what it saves. Both are answers of the model that is open on
    the page.

    Returns:
        "unpruned" and "pruned": both answers, their count of visual tokens, wall-clock seconds of one run;
        "kept": flat token indices, frame * tokens of a frame + token; "frames": of each frame (or part) its
        second and how many of its tokens were kept; "savings_estimated": by closed formula, FLOPs and bytes
        of the KV cache, ratios are unpruned / pruned; "agreement": log-probabilities of the answers in
        nats, and KL(unpruned || pruned) of the first answer token in nats.
    """
    shown, notes = load_media_argument(media, n_frames)
    with state.borrow_model() as explainer, stop_when_caller_leaves() as stop:
        config = checked_settings(explainer, keep_ratio, weight, method, query, budget)
        with state.take_slot(stop):
            trace = explainer.run(shown, question, config, stop=stop)
    answers = {
        name: {"text": a.text, "visual_tokens": a.n_visual, "seconds_measured": a.seconds}
        for name, a in (("unpruned", trace.full), ("pruned", trace.pruned))
    }
    return {
        **answers,
        "kept": trace.kept.tolist(),
        "frames": describe_frames(shown, trace.vision, trace.kept),
        "savings_estimated": asdict(trace.savings),
        "agreement": asdict(trace.agreement),
        "settings": settings_dict(config),
        "model": trace.model_name,
        "notes": [*notes, *trace.notes],
    }
