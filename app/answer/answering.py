"""Answer one question with all tokens and with the kept ones, as a stream of PageUpdates. No browser needed.

Bad input of every kind ends in one sentence in the notice; the picture, the question and the answers stay.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from rediprune import Answer, Explainer, PruneConfig, Selection, alpha_from_weight
from rediprune.config import ASKS_QUERY
from rediprune.explainer.encode import MediaInput
from rediprune.explainer.prepare import PreparedRun, prepare_run
from rediprune.explainer.protocol import ExplainerLike
from rediprune.models.errors import USER_ERRORS
from rediprune.trace import Agreement

from ..state.app_state import OPENED, AppState, PageRun
from ..state.options import (
    QUERIES,
    QUERY_WORDS,
    WEIGHTS,
    default_query,
    method_choices,
    nearest_stop,
    query_choices,
    query_name,
    to_prune_config,
)
from ..state.shown_run import describe
from ..state.sources import load_frames, load_saved_run
from ..state.user_tokens import parse_user_tokens
from ..streaming import stream_reports
from ..views import cards, explorer
from ..views.cards import PageUpdate, notice
from ..views.snippet import build_snippet
from .timing import answer_again, time_both_prompts

QUICK_SECONDS = 2.0  # if both answers come within this, a released slider answers again by itself
PUBLIC_MODEL = "python app.py --model llava-hf/llava-1.5-7b-hf"
IDLE = {"busy": False}  # back to the answers that were there before
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnswerRequest:
    """Hold what a visitor wants to have answered.

    Attributes:
        run: the input, the question and the options.
        sliders: {"keep": ratio in (0, 1], "weight": in [0, 1]}; not yet checked.
        user_tokens: flat indices (t * N + n) of the tokens that the visitor chose, not yet checked; None for
            the tokens that the method selects.
        redraw: False if only the sliders moved, so that the picture already shows the selection.
        notes: sentences that the notice says before those about the run itself.
    """

    run: PageRun
    sliders: dict
    user_tokens: object = None
    redraw: bool = True
    notes: tuple[str, ...] = ()


@dataclass
class AnswerJob:
    """Hold what both answers start from, and the answers as far as they have come.

    Attributes:
        prepared: settings, encoding, question and one picking order for each of WEIGHTS.
        selection: the picking order at the weight of the settings.
        kept: [K] flat indices of the tokens that the pruned answer gets.
        by_hand: whether the visitor chose `kept`.
        cards: what the answer cards show now.
        full_key, pruned_key: where AppState.full and AppState.pruned remember the answers.
        full_is_earlier: whether the unpruned answer was remembered and not made now.
    """

    explainer: Explainer
    run: PageRun
    prepared: PreparedRun
    selection: Selection
    kept: Tensor
    by_hand: bool
    cards: dict
    full_key: tuple
    pruned_key: tuple
    full: Answer | None
    full_is_earlier: bool
    pruned: Answer | None = None
    agreement: Agreement | None = None

    @property
    def user_tokens(self) -> Tensor | None:
        """Return the tokens that the visitor chose, or None."""
        return self.kept if self.by_hand else None

    @property
    def is_quick(self) -> bool:
        """Return whether both answers together came within QUICK_SECONDS."""
        return self.pruned.seconds + self.full.seconds < QUICK_SECONDS

    def change_cards(self, **changes: object) -> PageUpdate:
        """Change the cards and return the update that shows them."""
        self.cards.update(changes)
        return PageUpdate(answers=dict(self.cards))


def answer(state: AppState, request: AnswerRequest, stop: threading.Event) -> Iterator[PageUpdate]:
    """Answer with the kept tokens and with all of them; yield the page's changes as they come.

    Args:
        state: the open model, and the answers that are remembered.
        request: what is to be answered, and how.
        stop: set from elsewhere to end both answers after the token in progress.
    """
    shown = None  # the cards of this run, once the page shows them
    try:
        with state.borrow_model_for(request.run) as explainer:  # it stays open until this run ends
            for update in _answer_in_steps(explainer, state, request, stop):
                if update.answers and "full" in update.answers:
                    shown = update.answers
                yield update
    except USER_ERRORS as error:
        yield PageUpdate(notice=notice(str(error), "error"), answers=_end_cards(shown))
    except Exception:
        log.exception("an answer failed")
        text = (
            "Something went wrong inside (the program's log says what). Nothing of yours is lost: try again."
        )
        yield PageUpdate(notice=notice(text, "error"), answers=_end_cards(shown))
    finally:
        stop.set()  # also when the visitor left: the thread that answers must end


def _answer_in_steps(
    explainer: Explainer, state: AppState, request: AnswerRequest, stop: threading.Event
) -> Iterator[PageUpdate]:
    request = yield from _follow_open_model(explainer, state, request)
    run = request.run
    config = to_prune_config(explainer, request.sliders, run.method, run.query, run.budget)
    media, media_notes = load_frames(run.source, stop.is_set)
    yield PageUpdate(answers={"busy": True, "line": f"Reading the {'clip' if media.clip else 'picture'}."})
    explainer.check_question(run.question)  # a bad one is refused before it waits for its turn
    request = replace(request, notes=(*request.notes, *media_notes))
    with state.take_slot(stop):
        job = yield from _prepare(explainer, state, request, media, config)
        yield from _stream(job, state, stop)
        if job.agreement is not None:  # None: both answers were stopped
            yield from _finish(job, state, stop)


def _follow_open_model(
    explainer: Explainer, state: AppState, request: AnswerRequest
) -> Generator[PageUpdate, None, AnswerRequest]:
    """Return the request as the open model can answer it; yield new menus if the model was changed.

    Raises:
        ValueError: the visitor chose tokens from the picture of an earlier model.
    """
    run, generation = request.run, state.models.generation
    if run.model == OPENED and run.source.trace:  # its own model, which has not answered here yet
        run = replace(run, model=generation)
        request = replace(request, run=run, redraw=True)
    if run.model == generation:
        return request
    if request.user_tokens is not None:
        raise ValueError("These tokens were chosen from an earlier model's picture: answer again first.")
    notes = request.notes
    if run.model != OPENED:  # this visitor or another one changed the model
        notes = (*notes, f"The model is now {explainer.name}, for everyone who has this page open.")
    methods, queries = method_choices(explainer), query_choices(explainer)
    method = run.method
    if method not in dict(methods).values():
        method = explainer.defaults.method
    run = replace(run, model=generation, method=method, query=default_query(explainer))
    yield PageUpdate(
        method=cards.dropdown_update(methods, method),
        query=cards.dropdown_update(queries, run.query),
        outside=cards.outside_update(explainer.knows, PUBLIC_MODEL),
        models=state.menu.state(),
    )
    return replace(request, run=run, redraw=True, notes=notes)


def _prepare(
    explainer: Explainer, state: AppState, request: AnswerRequest, media: MediaInput, config: PruneConfig
) -> Generator[PageUpdate, None, AnswerJob]:
    """Encode, select and show the selection; return what both answers start from."""
    run = replace(request.run, answered=True)
    alphas = [alpha_from_weight(weight) for weight in WEIGHTS]
    prepared = prepare_run(explainer, media, run.question, config, alphas)
    encoding, question = prepared.encoding, prepared.question
    selection = prepared.selection.at(nearest_stop(config.weight))
    by_hand = request.user_tokens is not None
    if by_hand:
        kept = parse_user_tokens(request.user_tokens, encoding.vision)
        selection_notes = ()
    else:
        kept = selection.kept(config.keep_ratio)
        selection_notes = selection.notes
    drawn = None
    budget = None
    if request.redraw:
        drawn = build_explorer(explainer, run, media, prepared)
        if by_hand:
            drawn["own"] = explorer.user_choice(kept, config)
        budget = cards.budget_update(encoding.vision.shape[0])

    full_key = (run.model, encoding.key, question.question)
    full = state.full.get(full_key)
    job = AnswerJob(
        explainer,
        run,
        prepared,
        selection,
        kept,
        by_hand,
        cards={},
        full_key=full_key,
        pruned_key=(*full_key, config, tuple(kept.tolist())),
        full=full,
        full_is_earlier=full is not None,
    )
    update = job.change_cards(
        busy=True,
        line="Answering.",
        shows=describe(run),
        at=record_settings(run, config, encoding.key, job.user_tokens),
        snippet=build_snippet(explainer, run, config, media.clip),
        foreign=lies_outside_model(explainer, run),
        pruned=cards.answer_card(None, kept.numel(), state="wait"),
        full=cards.answer_card(
            full, encoding.n_visual, state="wait" if full is None else "done", earlier=full is not None
        ),
    )
    message = _notice_about(explainer, run, (*request.notes, *question.notes, *selection_notes))
    yield replace(update, explorer=drawn, notice=message, budget=budget, run=run)
    return job


def _stream(job: AnswerJob, state: AppState, stop: threading.Event) -> Iterator[PageUpdate]:
    """Make both answers and compare them. `job.agreement` stays None if they were stopped.

    Where others wait, equal work is done once, and only complete cards are sent. A visitor who is alone gets
    new times at every request.
    """
    if job.full is not None and state.is_crowded() and (known := state.pruned.get(job.pruned_key)):
        job.pruned, job.agreement = known
        job.change_cards(pruned=cards.answer_card(job.pruned, job.kept.numel(), earlier=True))
    # One after the other, so that neither spoils the other's time; the pruned one is quick and comes first.
    if job.pruned is None:
        job.pruned = yield from _stream_one(job, state, "pruned", job.kept, stop)
    if job.full is None:
        job.full = yield from _stream_one(job, state, "full", None, stop)
    if stop.is_set():
        job.agreement = None
        yield job.change_cards(busy=False, quick=False, line="Stopped: the answers end where they stood.")
        return
    if job.agreement is None:
        update = job.change_cards(line="Comparing the answers.")
        if not state.is_crowded():
            yield update
        prepared = job.prepared
        job.agreement = job.explainer.agreement(
            prepared.encoding, prepared.question, job.kept, job.full, job.pruned
        )


def _stream_one(
    job: AnswerJob, state: AppState, side: str, kept: Tensor | None, stop: threading.Event
) -> Generator[PageUpdate, None, Answer]:
    """Fill the card "pruned" or "full" while its answer is made; return the answer."""
    prepared = job.prepared
    n = prepared.encoding.n_visual if kept is None else kept.numel()

    def work(report) -> Answer:
        return job.explainer.answer(prepared.encoding, prepared.question, kept, on_text=report, stop=stop)

    made = None
    for found in stream_reports(work):
        if isinstance(found, str):
            card = cards.answer_card(None, n, found, "stream")
        else:
            made = found
            card = cards.answer_card(made, n)
        update = job.change_cards(**{side: card})
        if not state.is_crowded():
            yield update
    return made


def _finish(job: AnswerJob, state: AppState, stop: threading.Event) -> Iterator[PageUpdate]:
    """Show how far the answers agree and what was saved; then better times, if nobody waits for them."""
    full, pruned, quick = job.full, job.pruned, job.is_quick
    update = job.change_cards(busy=False, quick=quick, line=cards.agreement_line(job.agreement))
    state.full.put(job.full_key, full)
    state.pruned.put(job.pruned_key, (pruned, job.agreement))
    yield update

    # At once, because the card still shows another run's numbers; better times follow if they do not take
    # long.
    once = cards.single_timing_line(full, pruned, job.full_is_earlier)
    saved = build_savings(
        job.explainer, job.prepared, job.selection, len(full.token_ids), once, job.user_tokens
    )
    yield PageUpdate(savings=saved)
    if not quick or state.is_crowded():
        return
    timings, doubtful = time_both_prompts(
        job.explainer, job.prepared, job.kept, full, pruned, stop, QUICK_SECONDS
    )
    median = cards.timing_line(*timings, doubtful)
    yield PageUpdate(savings=saved | {"measured": saved["measured"].replace(once, median)})
    again = answer_again(job.explainer, job.prepared, job.kept, (full, pruned), timings, stop)
    counts = (job.prepared.encoding.n_visual, job.kept.numel())
    for side, n, made in zip(("full", "pruned"), counts, again, strict=True):
        if made is not None:
            yield job.change_cards(**{side: cards.answer_card(made, n)})
    if again[0] is not None:
        state.full.put(job.full_key, again[0])
    if again[1] is not None:
        state.pruned.put(job.pruned_key, (again[1], job.agreement))


def record_settings(run: PageRun, config: PruneConfig, picture: str, user_tokens: Tensor | None) -> dict:
    """Return what the cards belong to, in the form that the browser compares with the page's settings."""
    return {
        "keep": config.keep_ratio,
        "weight": config.weight,
        "question": run.question.strip(),
        "method": run.method,
        "query": run.query,
        "budget": run.budget,
        "picture": picture,
        "model": run.model,
        "own": "" if user_tokens is None else ",".join(map(str, user_tokens.tolist())),
    }


def build_explorer(explainer: ExplainerLike, run: PageRun, media: MediaInput, prepared: PreparedRun) -> dict:
    """Return what the explorer draws; `prepared.selection` [W, G, M] holds an order for each of WEIGHTS."""
    config, encoding, orders = prepared.config, prepared.encoding, prepared.selection
    relevance = orders.relevance
    if relevance is None:  # the method uses no query, but the reader may want to see the relevance
        by_relevance = replace(config, method="relevance")
        relevance = explainer.select(encoding, prepared.question, by_relevance).relevance
    about = "Relevance, measured against: "
    if run.method not in ASKS_QUERY:
        about = "This method does not use relevance. It is shown for comparison, measured against: "
    return explorer.explorer_payload(
        media,
        encoding.vision,
        orders,
        np.asarray(relevance, dtype=np.float32),
        about=about + QUERIES[query_name(config)],
        why=QUERY_WORDS[query_name(config)],
        setting={
            "picture": encoding.key,
            "method": run.method,
            "query": run.query,
            "weighted": run.method == "rediprune",
            "budget": run.budget,
            "model": run.model,
            "seed": run.source.seed,
            "clip": run.source.clip,
            "trace": run.source.trace,
        },
    )


def build_savings(
    explainer: ExplainerLike,
    prepared: PreparedRun,
    selection: Selection,
    n_new: int,
    measured: str,
    user_tokens: Tensor | None,
) -> dict:
    """Return what the savings card shows: the estimate for every percent of keep ratio, and measured times.

    Args:
        selection: [G, M] the picking order at the weight of the settings.
        n_new: number of tokens of the unpruned answer.
        measured: one line about the measured times.
        user_tokens: [K] flat indices, if the visitor chose the tokens.
    """
    encoding, question, config = prepared.encoding, prepared.question, selection.config
    kept = [selection.kept(percent / 100) for percent in range(1, 101)]
    estimates = explainer.savings_each(encoding, question, kept, n_new, config.method, config.budget)
    belongs_to = {"picture": encoding.key}
    if user_tokens is None:
        line = f"{measured} (at {config.keep_ratio:.0%} kept)"
        return belongs_to | cards.savings_card(estimates, config.keep_ratio, line)
    # "random" because choosing by hand costs no compute.
    by_hand = explainer.savings(encoding, question, user_tokens, n_new, "random", config.budget)
    line = f"{measured} (your {user_tokens.numel()} tokens)"
    listed = ",".join(map(str, user_tokens.tolist()))
    return belongs_to | cards.savings_card(estimates, config.keep_ratio, line, by_hand, listed)


def _end_cards(shown: dict | None) -> dict:
    """Return the cards after an error: those of the failed run as far as they came, else the earlier ones."""
    if shown is None:
        return IDLE
    ended = {side: {**shown[side], "state": "idle"} for side in ("full", "pruned")}
    return {**shown, **ended, "busy": False, "line": "Not answered: the message above says why."}


def lies_outside_model(explainer: ExplainerLike, run: PageRun) -> bool:
    """Return whether the input lies outside what the model says it knows; a saved run notes it itself."""
    if not explainer.knows or run.source.is_scene:
        return False
    return not run.source.trace or explainer.knows in load_saved_run(run.source).trace.notes


def _notice_about(explainer: Explainer, run: PageRun, notes: tuple[str, ...]) -> dict:
    if lies_outside_model(explainer, run):
        text = " ".join((*notes, explainer.knows, "For photos, start with a public checkpoint:"))
        return notice(text, code=PUBLIC_MODEL)
    return notice(" ".join(notes))
