"""The run on the page as a file: the trace of what the answers say, for `opening` or for the library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rediprune import Explainer, Trace, save_trace

from ..answer.answering import lies_outside_model
from ..state.app_state import AppState, PageRun
from ..state.options import to_prune_config
from ..state.sources import load_frames
from ..state.user_tokens import parse_user_tokens


def write_run_file(
    state: AppState, run: PageRun, sliders: dict, own: object, folder: Path
) -> tuple[Path, str]:
    """Write the trace of the answers on the page; nothing is answered for it.

    Args:
        run: what was answered.
        knobs: {"keep", "weight"} that it was answered at.
        own: the flat indices that it was answered with, where the visitor chose them, else None.
        folder: where to.

    Returns:
        The file and a sentence about it.

    Raises:
        ValueError: there is no finished answer any more, or it is too large to be opened again.
        ModelError: no model is open at this moment.
    """
    with state.borrow_explainer_of(run) as explainer:
        trace = explainer.trace or _traced(explainer, state, run, sliders, own)
    file = save_trace(trace, folder / f"rediprune-{_named(run)}.json")
    size = file.stat().st_size
    said = f"{size / 2**20:.1f} MB" if size >= 2**20 else f"{max(1, round(size / 2**10))} KB"
    return file, f"Saved {file.name}, {said}."


def _traced(explainer: Explainer, state: AppState, run: PageRun, sliders: dict, own: object) -> Trace:
    media, notes = load_frames(run.source)
    config = to_prune_config(explainer, sliders, run.method, run.query, run.budget)
    look = explainer.look(media)
    asked = explainer.ask(look, run.question, config)
    selection = explainer.select(look, asked, config)
    kept = selection.kept() if own is None else parse_user_tokens(own, look.vision)
    key = (run.model, look.key, asked.question)
    full, made = state.full.get(key), state.pruned.get((*key, config, tuple(kept.tolist())))
    if full is None or made is None:
        raise ValueError("there is no finished answer of this: ask, let both answers end, then save.")
    trace = explainer.build_trace(media, look, asked, selection, kept, full, *made)
    outside = (explainer.knows,) if lies_outside_model(explainer, run) else ()
    return replace(trace, notes=(*outside, *notes, *trace.notes))


def _named(run: PageRun) -> str:
    source = run.source
    if source.is_scene:
        return f"{'clip' if source.clip else 'scene'}-{source.seed}"
    return Path(source.path).stem.removeprefix("rediprune-")
