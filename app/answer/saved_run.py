"""Show a saved run on the page as its file records it, by the code that shows a live one. Nothing is run."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import torch

from rediprune import alpha_from_weight
from rediprune.explainer.prepare import prepare_run
from rediprune.models import ModelError
from rediprune.replay.recorded_run import RecordedRun

from ..state.app_state import OPENED, AppState, PageRun, was_made_by
from ..state.options import METHODS, WEIGHTS, method_choices, query_choices, query_name
from ..state.shown_run import describe
from ..state.sources import Source, load_saved_run, suggestions
from ..views import cards, explorer
from ..views.cards import PageUpdate, notice
from ..views.snippet import build_snippet
from .answering import build_explorer, build_savings, record_settings


def show_saved_run(state: AppState, source: Source) -> PageUpdate:
    """Return the whole page for an opened trace.

    Raises:
        ValueError: the file is gone, or its tokens cannot be selected from.
    """
    recorded = load_saved_run(source)
    config, trace = recorded.defaults, recorded.trace
    run = PageRun(
        source, trace.question, config.method, query_name(config), config.budget, OPENED, answered=True
    )
    alphas = [alpha_from_weight(weight) for weight in WEIGHTS]
    prepared = prepare_run(recorded, recorded.media, trace.question, config, alphas)
    by_hand = not torch.equal(trace.kept, trace.selection.kept())
    user_tokens = trace.kept if by_hand else None
    drawn = build_explorer(recorded, run, recorded.media, prepared)
    if by_hand:
        drawn["own"] = explorer.user_choice(trace.kept, config)
    encoding = prepared.encoding
    answers = {
        "busy": False,
        "quick": False,  # a slider at rest must not answer anew by itself
        "opened": True,
        "dials": True,
        "line": cards.agreement_line(trace.agreement),
        "shows": describe(run),
        "at": record_settings(run, config, encoding.key, user_tokens),
        "snippet": build_snippet(recorded, run, config, trace.clip),
        "foreign": False,
        "pruned": cards.answer_card(trace.pruned, len(trace.kept), earlier=True),
        "full": cards.answer_card(trace.full, encoding.n_visual, earlier=True),
    }
    is_open, methods, queries = _find_choices(state, recorded, run)
    measured = cards.single_timing_line(trace.full, trace.pruned, False) + ", when it was saved"
    n_new = len(trace.full.token_ids)
    return PageUpdate(
        explorer=drawn,
        answers=answers,
        savings=build_savings(recorded, prepared, prepared.selection.at(0), n_new, measured, user_tokens),
        notice=notice(" ".join((_describe_origin(recorded, is_open), *trace.notes))),
        question=trace.question,
        suggestions=list(suggestions(source)),
        photo=cards.cleared_update(),
        clip=cards.cleared_update(),
        budget={**cards.budget_update(encoding.vision.shape[0]), "value": config.budget},
        method=cards.dropdown_update(methods, run.method),
        query=cards.dropdown_update(queries, run.query),
        sliders={"keep": config.keep_ratio, "weight": config.weight},
        run=run,
    )


def mark_sliders_set(update: PageUpdate) -> PageUpdate:
    """Tell the cards that the sliders and options were set by the page and not by the visitor's hand."""
    if update.answers is None:
        return update
    return replace(update, answers={**update.answers, "dials": True})


def _find_choices(state: AppState, recorded: RecordedRun, run: PageRun) -> tuple[bool, list, list]:
    """Return whether the open model made the run, and the methods and queries that can be chosen."""
    with suppress(ModelError), state.models.borrow() as explainer:
        if was_made_by(explainer, recorded):
            return True, method_choices(explainer), query_choices(explainer)
    return False, [(METHODS[run.method], run.method)], query_choices(recorded)


def _describe_origin(recorded: RecordedRun, is_open: bool) -> str:
    text = f"The run was made by {recorded.name or 'an unnamed model'}"
    if is_open:
        text += ", which is open: you can ask it more."
    else:
        text += ", which is not the open model."
    if count := recorded.differing():
        text += f" Computed again on this machine, {count} of its picks differ; the page shows the file's."
    return f"Opened from a file: nothing was run here. {text}"
