"""ReDiPrune: keep the visual tokens that matter to the question, before the projector.

The data path, which is also the reading order of this package:

    media       a picture or a video file        -> RGB frames
    models      the frames                       -> visual tokens [T, N, C], as the projector receives them
    query       the question                     -> the vector that relevance is measured against
    selection   tokens and query                 -> the order of picking, with the evidence of every pick
    pruning     the kept tokens inside model.generate, in two lines and without a trace afterwards
    explainer   encode, ask, select, answer: with and without pruning, side by side
    costs       what was saved: estimated from shapes, or measured by the stopwatch
    replay      the record of a run as a file, opened again to the last bit
    draw        the picture of a run
    evaluation  checks, sweeps and benchmarks of methods and models
    cli         the commands of `python -m rediprune`

`config` holds every setting, `tokens` the visual tokens, `trace` the records that the stations hand on.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from . import _moved
from .config import PruneConfig, alpha_from_weight, kept_count
from .pruning.prune import prune
from .pruning.report import PruneError, PruneReport
from .trace import HTML_RENDERERS
from .trace import Trace as _Trace
from .version import __version__

# How a notebook shows them; drawing is imported when something is drawn.
HTML_RENDERERS[_Trace] = lambda trace: import_module(".draw.notebook", __name__).trace_html(trace)
HTML_RENDERERS[PruneReport] = lambda report: import_module(".draw.notebook", __name__).report_html(report)

_LAZY = {  # public name -> the module that holds it, imported when first asked for
    "Answer": "trace",
    "Explainer": "explainer.explainer",
    "Geometry": "tokens",
    "MediaError": "media",
    "ModelError": "models",
    "Query": "trace",
    "QuestionError": "query.question",
    "Savings": "costs.estimate",
    "Selection": "trace",
    "TextTower": "query.text_tower",
    "Trace": "trace",
    "TraceError": "replay.checked_json",
    "VisionTokens": "tokens",
    "estimate": "costs.estimate",
    "load": "models",
    "load_image": "media",
    "load_trace": "replay.file",
    "load_video": "media.video",
    "save_trace": "replay.file",
    "select": "selection.select",
}

# Written out, because type checkers read it without running it.
__all__ = [
    "Answer",
    "Explainer",
    "Geometry",
    "MediaError",
    "ModelError",
    "PruneConfig",
    "PruneError",
    "PruneReport",
    "Query",
    "QuestionError",
    "Savings",
    "Selection",
    "TextTower",
    "Trace",
    "TraceError",
    "VisionTokens",
    "__version__",
    "alpha_from_weight",
    "estimate",
    "kept_count",
    "load",
    "load_image",
    "load_trace",
    "load_video",
    "prune",
    "save_trace",
    "select",
]

if TYPE_CHECKING:  # what type checkers see; at run time __getattr__ imports each when it is first asked for
    from .costs.estimate import Savings, estimate
    from .explainer.explainer import Explainer
    from .media import MediaError, load_image
    from .media.video import load_video
    from .models import ModelError, load
    from .query.question import QuestionError
    from .query.text_tower import TextTower
    from .replay.checked_json import TraceError
    from .replay.file import load_trace, save_trace
    from .selection.select import select
    from .tokens import Geometry, VisionTokens
    from .trace import Answer, Query, Selection, Trace
else:

    def __getattr__(name: str):
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f".{_LAZY[name]}", __name__), name)
        return value


_moved.install()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
