"""What a visitor's page says that it shows, kept in the browser and checked here.

The server keeps each visitor's Run, but only of so many visitors at a time and not beyond a restart. Gradio
then hands the page's first Run to the handler, without a word. So the browser keeps a description of what the
cards answer, sends it with every request, and a Run that was lost is restored from it.
"""

from __future__ import annotations

from dataclasses import replace

from .app_state import OPENED, PageRun
from .options import BUDGETS, METHODS, QUERIES
from .sources import Source, file_source, inside_uploads, scene_source, under_uploads

LOST = (
    "The server no longer knows what this page shows, and the page's own record of it cannot be "
    "used: choose or "
    "give the picture again."
)


class LostRunError(ValueError):
    """The visitor's Run was lost and cannot be restored; the message is one sentence for the visitor."""


def describe(run: PageRun) -> dict:
    """Return a Run as plain data for the browser: enough for `shown_run` to restore it.

    A file is named by its path inside the folder of uploads, so that no folder of the server is told.
    """
    source = run.source
    return {
        "seed": source.seed,
        "clip": source.clip,
        "path": None if source.path is None else inside_uploads(source.path),
        "n_frames": source.n_frames,
        "trace": source.trace,
        "question": run.question,
        "method": run.method,
        "query": run.query,
        "budget": run.budget,
        "model": run.model,
    }


def shown_run(kept: PageRun, told: object) -> PageRun:
    """Return the visitor's Run: the one that the server kept, or where that was lost, the one that is told.

    Args:
        kept: what Gradio handed over; `kept.answered` is False where it is the one that every page begins
        with.
        told: what the browser sent, as `describe` made it; not trusted. Requests by hand send none.

    Raises:
        LostRunError: the Run was lost and what is told makes no sense or names a file that is gone.
    """
    if kept.answered or told is None:
        return kept
    try:
        return _restored(told)
    except (TypeError, KeyError, ValueError):
        raise LostRunError(LOST) from None


def restore_run_or_first(kept: PageRun, told: object) -> PageRun:
    """Return `shown_run`, or `kept` where it cannot be restored: for requests that bring a picture along."""
    try:
        return shown_run(kept, told)
    except LostRunError:
        return kept


def _restored(told: dict) -> PageRun:
    texts = {name: told[name] for name in ("question", "method", "query", "budget")}
    known = {"method": METHODS, "query": QUERIES, "budget": BUDGETS}
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError("texts are expected")
    if any(texts[name] not in names for name, names in known.items()):
        raise ValueError("the choice is unknown")
    source, model = _source(told), told["model"]
    if type(model) is not int or (model == OPENED and not source.trace):
        raise ValueError("no model has this number")
    return PageRun(source, **texts, model=model, answered=True)


def _source(told: dict) -> Source:
    if told["path"] is None:
        return scene_source(told["seed"], told["clip"] is True)
    file = file_source(under_uploads(told["path"]), told["n_frames"])
    return replace(file, trace=told["trace"] is True)
