"""Answer /about: which model is open, and what can be asked of it."""

from __future__ import annotations

from ..state.app_state import AppState
from ..state.options import method_choices, query_choices
from ..state.sources import N_FRAMES
from .arguments import MODELS_OWN, settings_dict
from .sweep import MOST


def about_model(state: AppState) -> dict:
    """Tell which model is open on the page, its methods, queries and defaults, and the limits.

    Returns:
        "knows": what the model can be asked, or "" where it was made for anything; "methods" and "queries":
        name and meaning of what this model can do; "defaults": its settings; "limits": the most frames of a
        clip and keep ratios of a sweep.
    """
    with state.borrow_model() as explainer:
        return {
            "model": explainer.name,
            "knows": explainer.knows,
            "methods": {name: words for words, name in method_choices(explainer)},
            "queries": {MODELS_OWN: "the default below"} | {n: w for w, n in query_choices(explainer)},
            "defaults": settings_dict(explainer.defaults),
            "limits": {"n_frames": N_FRAMES[-1], "keep_ratios": MOST},
        }
