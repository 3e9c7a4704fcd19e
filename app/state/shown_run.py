"""Restore a visitor's run from what the browser says that the page shows, after checking it.

The server keeps the run of each visitor, but only for a limited number of visitors and not after a restart.
Gradio then hands the page's first run to the handler, without a word. So the browser keeps a record of what
the cards answer, sends it with every request, and a lost run is restored from it.
"""

from __future__ import annotations

from dataclasses import replace

from .app_state import OPENED, PageRun
from .options import BUDGETS, METHODS, QUERIES
from .sources import Source, file_source, inside_uploads, scene_source, under_uploads

LOST = (
    "The server no longer knows what this page shows, and the page's own record of it cannot be used: choose "
    "or give the picture again."
)


class LostRunError(ValueError):
    """Report that the visitor's run was lost and cannot be restored; one sentence for the visitor."""


def describe(run: PageRun) -> dict:
    """Return a run as plain data for the browser: enough for `restore_run` to restore it.

    A file is named by its path inside the folder of uploads, so that no folder of the server is disclosed.
    That key is not "path": Gradio takes any record with such a key for a file of its own, and refuses it.
    """
    source = run.source
    return {
        "seed": source.seed,
        "clip": source.clip,
        "upload": None if source.path is None else inside_uploads(source.path),
        "n_frames": source.n_frames,
        "trace": source.trace,
        "question": run.question,
        "method": run.method,
        "query": run.query,
        "budget": run.budget,
        "model": run.model,
    }


def restore_run(kept: PageRun, record: object) -> PageRun:
    """Return the visitor's run: the one that the server kept, or if that was lost, the one in the record.

    A kept run gets the number of the model in the record: where the reply with a new model's picture was
    lost, the page still shows the earlier model's, and has to be drawn anew.

    Args:
        kept: what Gradio handed over; `kept.answered` is False if it is the run that every page begins with.
        record: what the browser sent, as `describe` made it; not trusted. Requests by hand send none.

    Raises:
        LostRunError: the run was lost, and the record cannot be read or names a file that is gone.
    """
    if record is None:
        return kept
    if kept.answered:
        model = record.get("model") if isinstance(record, dict) else None
        both_known = type(model) is int and model > OPENED and kept.model > OPENED
        return replace(kept, model=model) if both_known else kept
    try:
        return _parse_record(record)
    except (TypeError, KeyError, ValueError):
        raise LostRunError(LOST) from None


def restore_run_or_first(kept: PageRun, record: object) -> PageRun:
    """Return `restore_run`, or `kept` if it cannot be restored: for requests that bring a picture along."""
    try:
        return restore_run(kept, record)
    except LostRunError:
        return kept


def _parse_record(record: dict) -> PageRun:
    texts = {name: record[name] for name in ("question", "method", "query", "budget")}
    known = {"method": METHODS, "query": QUERIES, "budget": BUDGETS}
    if not all(isinstance(text, str) for text in texts.values()):
        raise TypeError("texts are expected")
    if any(texts[name] not in names for name, names in known.items()):
        raise ValueError("the choice is unknown")
    source, model = _parse_source(record), record["model"]
    if type(model) is not int or (model == OPENED and not source.trace):
        raise ValueError("no model has this number")
    return PageRun(source, **texts, model=model, answered=True)


def _parse_source(record: dict) -> Source:
    if record["upload"] is None:
        return scene_source(record["seed"], record["clip"] is True)
    file = file_source(under_uploads(record["upload"]), record["n_frames"])
    return replace(file, trace=record["trace"] is True)
