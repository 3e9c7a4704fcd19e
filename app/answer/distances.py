"""Distances between tokens for the browser, where they are too many to go with every picture."""

from __future__ import annotations

from ..state.app_state import AppState, PageRun
from ..state.sources import load_frames
from ..views import evidence


def measured(state: AppState, run: PageRun) -> dict:
    """What the explorer asks for when a view needs it: evidence.between, and what it belongs to.

    Raises:
        ValueError: too many tokens compete, or the picture is another model's.
        ModelError: no model is open at this moment.
    """
    media, _ = load_frames(run.source)
    with state.borrow_explainer_of(run) as explainer:
        look = explainer.look(media)
    if (count := evidence.pairs(look.vision, run.budget)) > evidence.MOST:
        raise ValueError(f"{count:,} distances are too many for a browser: give each frame its own budget.")
    return {"picture": look.key, "budget": run.budget, "between": evidence.between(look.vision, run.budget)}
