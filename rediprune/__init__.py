"""ReDiPrune: keep the visual tokens that matter to the question, before the projector.

The data path, which is also the reading order of this package:

    media       a picture or a video file        -> RGB frames
    models      the frames                       -> visual tokens [T, N, C], as the projector receives them
    query       the question                     -> what relevance is measured against
    greedy      tokens and query                 -> the order of picking, with the evidence of every pick
    methods     the same, by other rules         (selection.select chooses among them)
    prune       the kept tokens inside model.generate, in two lines and without a trace afterwards
    explainer   look, ask, select, answer: with and without pruning, side by side
    savings     what was saved, estimated; stopwatch: measured
    sweep       every method at every keep ratio on one input; sweep_report: read off that
    draw        the picture of it
    trace_file  the record of a run as a file, opened again to the last bit

config holds every dial, tokens the visual tokens, trace the records that the stations hand on.
"""

from __future__ import annotations

from importlib import import_module

from .config import PruneConfig, alpha_from_weight, kept_count

# Eager, because the submodule has the function's name: imported later, it would take the function's place.
from .prune import prune
from .pruned import PruneError, PruneReport

_LAZY = {  # public name -> the module that holds it, imported when first asked for
    "Answer": "trace",
    "Explainer": "explainer",
    "Geometry": "tokens",
    "MediaError": "media",
    "ModelError": "models",
    "Query": "trace",
    "QuestionError": "prompt",
    "Savings": "trace",
    "Selection": "trace",
    "TextTower": "text_tower",
    "Trace": "trace",
    "TraceError": "values",
    "VisionTokens": "tokens",
    "estimate": "savings",
    "load": "models",
    "load_image": "media",
    "load_trace": "trace_file",
    "load_video": "media.video",
    "save_trace": "trace_file",
    "select": "selection",
}

__all__ = [
    "PruneConfig",
    "PruneError",
    "PruneReport",
    "alpha_from_weight",
    "kept_count",
    "prune",
    *sorted(_LAZY),
]


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_LAZY[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
