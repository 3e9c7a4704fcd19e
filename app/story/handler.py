"""The story of the answer on the page, told when a visitor comes to it: plain data for cards/story.js."""

from __future__ import annotations

import json
from dataclasses import asdict

from PIL import Image
from torch import Tensor

from rediprune import draw
from rediprune.draw.film import resize_to, scale_geometry
from rediprune.explainer.encode import Encoding, MediaInput
from rediprune.explainer.protocol import ExplainerLike
from rediprune.models.errors import USER_ERRORS
from rediprune.trace import Selection

from ..state.app_state import AppState, PageRun
from ..state.options import METHODS, QUERIES, to_prune_config
from ..state.sources import load_frames
from ..views.explorer import data_url
from .numbers import against, first_picks
from .steps import story

SIDE = 320  # of the picture beside the steps, in pixels


def tell(state: AppState, run: PageRun, sliders: dict) -> dict:
    """The steps of the answered run, or under "said" one sentence on why there are none.

    Nothing is encoded or answered for it: the look, the question and the unpruned answer are remembered.

    Args:
        run: what was answered.
        knobs: {"keep", "weight"} that it was answered at.
    """
    try:
        media, _ = load_frames(run.source)
        with state.borrow_explainer_of(run) as explainer:
            return _told(explainer, state, run, sliders, media)
    except USER_ERRORS as error:
        return {"said": str(error)}


def _told(explainer: ExplainerLike, state: AppState, run: PageRun, sliders: dict, media: MediaInput) -> dict:
    recorded = explainer.trace
    if recorded:
        config = explainer.defaults
    else:
        config = to_prune_config(explainer, sliders, run.method, run.query, run.budget)
    look = explainer.look(media)
    asked = explainer.ask(look, run.question, config)
    full = recorded.full if recorded else state.full.get((run.model, look.key, asked.question))
    if full is None:
        raise ValueError("The story is told of a finished answer: ask, and let both answers end.")
    selection = explainer.select(look, asked, config)
    kept = selection.kept()
    savings = explainer.savings(look, asked, kept, len(full.token_ids), config.method, config.budget)
    measured = against(explainer, look, asked, config)
    steps = story(explainer, look, asked, selection, savings, measured)
    weight = f", weight {config.weight:.2f}" if config.method == "rediprune" else ""
    about = f"{METHODS[run.method]}, at {config.keep_ratio:.0%} kept{weight}. Query: {QUERIES[run.query]}."
    pictures = _pictures(look, selection, media, kept, measured["query"].relevance)
    told = {"about": about, "steps": [asdict(step) for step in steps], "pictures": pictures}
    return {"told": json.dumps(told)}  # one string: Gradio compares nested values number by number


def _pictures(
    look: Encoding, selection: Selection, media: MediaInput, kept: Tensor, relevance: Tensor
) -> dict[str, str]:
    """What lights up, on the frame of the first pick, as data URLs."""
    n, picks = look.vision.shape[1], [pick.token for pick in first_picks(look.vision, selection)]
    t = picks[0] // n
    image = resize_to(media.frames[draw.picture_index(len(media.frames), look.vision)[t]], SIDE)
    place = scale_geometry(look.vision.geometry[t], image.size)

    def lit(tokens: list[int]) -> Image.Image:
        return draw.mark_kept(image, place, [token % n for token in tokens if token // n == t])

    of_frame = relevance[t, : place.cells + place.n_global].numpy()
    drawn = {
        "all": lit(look.vision.all.tolist()),
        "heat": draw.heatmap(image, place, of_frame),
        "picks": lit(picks),
        "kept": lit(kept.tolist()),
    }
    return {name: data_url(picture) for name, picture in drawn.items()}
