"""/select: which tokens are kept and why, pick by pick. The language model does not run."""

from __future__ import annotations

import math

from rediprune import Selection, VisionTokens, kept_count

from ..state.app_state import AppState
from .arguments import dials, frames, given, said


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
    """Which visual tokens a question keeps of a picture or a clip, and why; quick, as nothing is answered.

    Returns:
        "picks": the kept tokens in the order of picking, frame by frame (or, with budget "shared", over all
        frames), each with its token (flat index, frame * tokens of a frame + token), frame, row, column,
        box (left, top, right, bottom in pixels of the picture), relevance (cosine to the query), distance
        (cosine distance to the nearest earlier pick, 0 to 2) and score (the number whose maximum chose it);
        null where the method measures no such number; "tokens": how many there were to choose from; "size":
        width and height of the picture in pixels; "frames": of each frame (or part) its second and how many
        were kept.
    """
    shown, notes = given(media, n_frames)
    with state.borrow_model() as explainer:
        config = dials(explainer, keep_ratio, weight, method, query, budget)
        look = explainer.look(shown)
        asked = explainer.ask(look, question, config)
        selection = explainer.select(look, asked, config)
        name = explainer.name
    return {
        "picks": picks(look.vision, selection),
        "tokens": look.n_visual,
        "size": list(shown.size),
        "frames": frames(shown, look.vision, selection.kept()),
        "settings": said(config),
        "model": name,
        "notes": [*notes, *asked.notes, *selection.notes],
    }


def picks(vision: VisionTokens, selection: Selection) -> list[dict]:
    """Every pick with its evidence, one group of the budget behind the other; see trace.Selection."""
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
            distance, score = (number(x, i) for x in evidence)
            found.append(
                {
                    "token": token,
                    "frame": t,
                    "row": row,
                    "column": column,
                    "box": [round(edge, 2) for edge in boxes[t][cell]],
                    "relevance": number(relevance, token),
                    "distance": distance,
                    "score": score,
                }
            )
    return found


def number(values, i: int) -> float | None:
    """values[i], or None where there is none: JSON has no NaN."""
    value = math.nan if values is None else float(values[i])
    return None if math.isnan(value) else value
