"""Save the run on the page as a file: the trace behind the answers, for this page or for the library."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rediprune import Explainer, Trace, save_trace
from rediprune.explainer.prepare import prepare_run

from ..answer.answering import lies_outside_model
from ..state.app_state import AppState, PageRun
from ..state.options import to_prune_config
from ..state.sources import load_frames
from ..state.user_tokens import parse_user_tokens


def write_run_file(
    state: AppState, run: PageRun, sliders: dict, user_tokens: object, folder: Path
) -> tuple[Path, str]:
    """Write the trace of the answers on the page; nothing is answered for it.

    Args:
        run: what was answered.
        sliders: {"keep", "weight"} that it was answered at.
        user_tokens: the flat indices that it was answered with, if the visitor chose them, else None.
        folder: where to.

    Returns:
        The file and a sentence about it.

    Raises:
        ValueError: there is no finished answer any more, or it is too large to be opened again.
        ModelError: no model is open at this moment.
    """
    with state.borrow_explainer_of(run) as explainer:
        trace = explainer.trace or _build_trace(explainer, state, run, sliders, user_tokens)
    file = save_trace(trace, folder / f"rediprune-{_name_run(run)}.json")
    size = file.stat().st_size
    if size >= 2**20:
        text = f"{size / 2**20:.1f} MB"
    else:
        text = f"{max(1, round(size / 2**10))} KB"
    return file, f"Saved {file.name}, {text}."


def _build_trace(
    explainer: Explainer, state: AppState, run: PageRun, sliders: dict, user_tokens: object
) -> Trace:
    media, notes = load_frames(run.source)
    config = to_prune_config(explainer, sliders, run.method, run.query, run.budget)
    prepared = prepare_run(explainer, media, run.question, config)
    encoding, question, selection = prepared.encoding, prepared.question, prepared.selection
    if user_tokens is None:
        kept = selection.kept()
    else:
        kept = parse_user_tokens(user_tokens, encoding.vision)
    key = (run.model, encoding.key, question.question)
    full = state.full.get(key)
    made = state.pruned.get((*key, config, tuple(kept.tolist())))
    if full is None or made is None:
        raise ValueError("there is no finished answer of this: ask, let both answers end, then save.")
    trace = explainer.build_trace(media, encoding, question, selection, kept, full, *made)
    outside = (explainer.knows,) if lies_outside_model(explainer, run) else ()
    return replace(trace, notes=(*outside, *notes, *trace.notes))


def _name_run(run: PageRun) -> str:
    source = run.source
    if source.is_scene:
        return f"{'clip' if source.clip else 'scene'}-{source.seed}"
    return Path(source.path).stem.removeprefix("rediprune-")
