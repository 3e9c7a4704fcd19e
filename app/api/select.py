"""Answer /select: which tokens are kept and why, pick by pick. The language model does not run."""

from __future__ import annotations

import math

from rediprune import Selection, VisionTokens, kept_count
from rediprune.explainer.prepare import prepare_run

from ..state.app_state import AppState
from .arguments import checked_settings, describe_frames, load_media_argument, settings_dict


def select_tokens(
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
    """Tell which visual tokens a question keeps of a picture or a clip, and why; nothing is answered.

    Returns:
        "picks": the kept tokens in the order of picking, frame by frame (or, with budget "shared", over all
        frames), each with its token (flat index, frame * tokens of a frame + token), frame, row, column,
        box (left, top, right, bottom in pixels of the picture), relevance (cosine to the query), distance
        (cosine distance to the nearest earlier pick, 0 to 2) and score (the number whose maximum chose it);
        null where the method measures no such number; "tokens": how many there were to choose from; "size":
        width and height of the picture in pixels; "frames": of each frame (or part) its second and how many
        were kept.
    """
    shown, notes = load_media_argument(media, n_frames)
    with state.borrow_model() as explainer:
        config = checked_settings(explainer, keep_ratio, weight, method, query, budget)
        prepared = prepare_run(explainer, shown, question, config)
        name = explainer.name
    vision, selection = prepared.encoding.vision, prepared.selection
    return {
        "picks": describe_picks(vision, selection),
        "tokens": prepared.encoding.n_visual,
        "size": list(shown.size),
        "frames": describe_frames(shown, vision, selection.kept()),
        "settings": settings_dict(config),
        "model": name,
        "notes": [*notes, *prepared.question.notes, *selection.notes],
    }


def describe_picks(vision: VisionTokens, selection: Selection) -> list[dict]:
    """Return every pick with its evidence, group by group of the budget; see trace.Selection."""
    n, size = vision.shape[1], selection.order.shape[-1]
    boxes = [place.token_boxes().tolist() for place in vision.geometry]
    relevance = None if selection.relevance is None else selection.relevance.flatten()
    found = []
    for g, count in enumerate(selection.counts):
        evidence = [None if x is None else x[g] for x in (selection.distance, selection.score)]
        for i in range(kept_count(count, selection.config.keep_ratio)):
            token = g * size + int(selection.order[g, i])
            t, cell = divmod(token, n)
            place = vision.geometry[t]
            row, column = divmod(cell, place.cols) if cell < place.cells else (None, None)
            distance, score = (to_json_number(x, i) for x in evidence)
            found.append(
                {
                    "token": token,
                    "frame": t,
                    "row": row,
                    "column": column,
                    "box": [round(edge, 2) for edge in boxes[t][cell]],
                    "relevance": to_json_number(relevance, token),
                    "distance": distance,
                    "score": score,
                }
            )
    return found


def to_json_number(values, i: int) -> float | None:
    """Return values[i], or None if there is no such number, because JSON has no NaN."""
    value = math.nan if values is None else float(values[i])
    return None if math.isnan(value) else value
