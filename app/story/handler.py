"""Tell the story of the answer on the page when a visitor scrolls to it: plain data for cards/story.js."""

from __future__ import annotations

import json
from dataclasses import asdict

from PIL import Image
from torch import Tensor

from rediprune import draw
from rediprune.draw.film import resize_to, scale_geometry
from rediprune.explainer.encode import MediaInput
from rediprune.explainer.prepare import PreparedRun, prepare_run
from rediprune.explainer.protocol import ExplainerLike
from rediprune.models.errors import USER_ERRORS

from ..state.app_state import AppState, PageRun
from ..state.options import METHODS, QUERIES, to_prune_config
from ..state.sources import load_frames
from ..views.explorer import data_url
from .numbers import list_first_picks, measure_against
from .steps import build_steps

SIDE = 320  # longer side of the picture beside the steps, in pixels


def build_story(state: AppState, run: PageRun, sliders: dict) -> dict:
    """Return the steps of the answered run, or under "said" one sentence on why there are none.

    Nothing is encoded or answered for it: encoding, question and unpruned answer are remembered.

    Args:
        run: what was answered.
        sliders: {"keep", "weight"} that it was answered at.
    """
    try:
        media, _ = load_frames(run.source)
        with state.borrow_explainer_of(run) as explainer:
            payload = _build_payload(explainer, state, run, sliders, media)
    except USER_ERRORS as error:
        return {"said": str(error)}
    return {"told": json.dumps(payload)}  # one string: Gradio compares nested values number by number


def _build_payload(
    explainer: ExplainerLike, state: AppState, run: PageRun, sliders: dict, media: MediaInput
) -> dict:
    recorded = explainer.trace
    if recorded:
        config = explainer.defaults
    else:
        config = to_prune_config(explainer, sliders, run.method, run.query, run.budget)
    prepared = prepare_run(explainer, media, run.question, config)
    encoding, question = prepared.encoding, prepared.question
    if recorded:
        full = recorded.full
    else:
        full = state.full.get((run.model, encoding.key, question.question))
    if full is None:
        raise ValueError("The story is about a finished answer: ask, and let both answers end.")
    kept = prepared.selection.kept()
    savings = explainer.savings(encoding, question, kept, len(full.token_ids), config.method, config.budget)
    measured = measure_against(explainer, encoding, question, config)
    steps = build_steps(explainer, encoding, question, prepared.selection, savings, measured)
    weight = f", weight {config.weight:.2f}" if config.method == "rediprune" else ""
    settings = f"{METHODS[run.method]}, at {config.keep_ratio:.0%} kept{weight}"
    return {
        "about": f"{settings}. Query: {QUERIES[run.query]}.",
        "steps": [asdict(step) for step in steps],
        "pictures": _draw_pictures(prepared, media, measured["query"].relevance),
    }


def _draw_pictures(prepared: PreparedRun, media: MediaInput, relevance: Tensor) -> dict[str, str]:
    """Draw what each step highlights, on the frame of the first pick; data URLs by name."""
    vision, selection = prepared.encoding.vision, prepared.selection
    n = vision.shape[1]
    picks = [pick.token for pick in list_first_picks(vision, selection)]
    t = picks[0] // n
    image = resize_to(media.frames[draw.picture_index(len(media.frames), vision)[t]], SIDE)
    place = scale_geometry(vision.geometry[t], image.size)

    def draw_kept(tokens: list[int]) -> Image.Image:
        return draw.mark_kept(image, place, [token % n for token in tokens if token // n == t])

    of_frame = relevance[t, : place.cells + place.n_global].numpy()
    drawn = {
        "all": draw_kept(vision.all.tolist()),
        "heat": draw.heatmap(image, place, of_frame),
        "picks": draw_kept(picks),
        "kept": draw_kept(selection.kept().tolist()),
    }
    return {name: data_url(picture) for name, picture in drawn.items()}
