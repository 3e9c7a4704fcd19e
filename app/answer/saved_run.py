"""A saved run on the page: shown as its file tells it, by the parts that show a live one. Nothing is run."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import torch

from rediprune import alpha_from_weight
from rediprune.models import ModelError
from rediprune.replay.recorded_run import RecordedRun

from ..state.app_state import OPENED, AppState, PageRun, made_by
from ..state.options import METHODS, WEIGHTS, method_choices, query_choices, query_name
from ..state.shown_run import describe
from ..state.sources import Source, load_saved_run, suggestions
from ..views import cards as views
from ..views import explorer as picture
from ..views.cards import PageUpdate, notice
from ..views.snippet import snippet
from .answering import build_explorer, build_savings, record_settings


def show_saved_run(state: AppState, source: Source) -> PageUpdate:
    """The whole page of an opened trace.

    Raises:
        ValueError: the file is gone; the tokens in it cannot be chosen from.
    """
    made = load_saved_run(source)
    config, trace = made.defaults, made.trace
    run = PageRun(
        source, trace.question, config.method, query_name(config), config.budget, OPENED, answered=True
    )
    look, asked = made.look(), made.ask(made.look(), trace.question)
    orders = made.select(look, asked, config, [alpha_from_weight(w) for w in WEIGHTS])
    by_hand = not torch.equal(trace.kept, trace.selection.kept())
    own = trace.kept if by_hand else None
    sliders = {"keep": config.keep_ratio, "weight": config.weight}
    drawn = build_explorer(made, run, made.media, look, asked, config, orders)
    if by_hand:
        drawn["own"] = picture.chosen(trace.kept, config)
    cards = {
        "busy": False,
        "quick": False,  # a slider at rest must not answer anew by itself
        "opened": True,
        "dials": True,
        "line": views.agreement(trace.agreement),
        "shows": describe(run),
        "at": record_settings(run, config, look.key, own),
        "snippet": snippet(made, run, config, trace.clip),
        "foreign": False,
        "pruned": views.answer(trace.pruned, len(trace.kept), earlier=True),
        "full": views.answer(trace.full, look.n_visual, earlier=True),
    }
    same, methods, queries = _choices(state, made, run)
    measured = views.single_timing_line(trace.full, trace.pruned, False) + ", when it was saved"
    n_new = len(trace.full.token_ids)
    return PageUpdate(
        explorer=drawn,
        answers=cards,
        savings=build_savings(made, look, asked, orders.at(0), n_new, measured, own),
        notice=notice(" ".join((_about(made, same), *trace.notes))),
        question=trace.question,
        suggestions=list(suggestions(source)),
        photo=views.cleared_update(),
        clip=views.cleared_update(),
        budget={**views.budget_update(look.vision.shape[0]), "value": config.budget},
        method=views.menu(methods, run.method),
        query=views.menu(queries, run.query),
        sliders=sliders,
        run=run,
    )


def mark_sliders_set(update: PageUpdate) -> PageUpdate:
    """The same, telling the cards that sliders and menus were set from here and not by the visitor's hand."""
    return update if update.answers is None else replace(update, answers={**update.answers, "dials": True})


def _choices(state: AppState, made: RecordedRun, run: PageRun) -> tuple[bool, list, list]:
    """Whether the open model made the run, and what methods and queries there are: then all of its own."""
    with suppress(ModelError), state.models.borrow() as explainer:
        if made_by(explainer, made):
            return True, method_choices(explainer), query_choices(explainer)
    return False, [(METHODS[run.method], run.method)], query_choices(made)


def _about(made: RecordedRun, same: bool) -> str:
    who = f"The run was made by {made.name or 'an unnamed model'}"
    said = (
        f"{who}, which is open: it can be asked further." if same else f"{who}, which is not the open model."
    )
    if count := made.differing():
        said += (
            f" Worked out anew on this machine, {count} of its picks come out otherwise: the file's stand."
        )
    return f"Opened from a file: nothing was run here. {said}"
