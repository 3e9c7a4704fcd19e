"""One question answered with all tokens and with the kept ones, as a stream of Views. No browser needed.

Bad input of every kind ends in one sentence in the notice; the picture, the question and the answers stay.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from torch import Tensor

from rediprune import Answer, Explainer, PruneConfig, Selection, alpha_from_weight
from rediprune.config import ASKS_QUERY
from rediprune.costs.stopwatch import PAUSES, Timing, contradiction, find_doubt, measure_until_sound
from rediprune.explainer.encode import MediaInput
from rediprune.models.errors import USER_ERRORS
from rediprune.query.question import checked_question

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
from ..views import cards as views
from ..views import explorer as picture
from ..views.cards import PageUpdate, notice
from ..views.snippet import snippet

QUICK_SECONDS = 2.0  # where both answers come within this, a released slider answers again by itself
PUBLIC_MODEL = "python app.py --model llava-hf/llava-1.5-7b-hf"
IDLE = {"busy": False}  # back to the answers that were there before
log = logging.getLogger(__name__)


def answer(
    state: AppState,
    run: PageRun,
    sliders: dict,
    stop: threading.Event,
    redraw: bool = True,
    own: object = None,
    news: tuple[str, ...] = (),
) -> Iterator[PageUpdate]:
    """Answer with the kept tokens and with all of them; yields the page's changes as they come.

    Args:
        run: what is asked.
        knobs: {"keep": ratio in (0, 1], "weight": in [0, 1]}.
        stop: set from elsewhere to end the answers where they stand.
        redraw: False where only the sliders moved: the picture already shows it.
        own: the flat indices of the tokens that the visitor chose, in place of the rule's; not yet checked.
        news: sentences that go in front of what the run itself has to say.
    """
    cards = None  # this run's own, once the page shows them
    try:
        for update in _answer(state, run, sliders, stop, redraw, own, news):
            if update.answers and "full" in update.answers:
                cards = update.answers
            yield update
    except USER_ERRORS as error:  # their messages are written for the person at the page
        yield PageUpdate(notice=notice(str(error), "error"), answers=_given_up(cards))
    except Exception:
        log.exception("an answer failed")
        text = (
            "Something went wrong inside (the program's log says what). Nothing of yours is lost: try again."
        )
        yield PageUpdate(notice=notice(text, "error"), answers=_given_up(cards))
    finally:
        stop.set()  # also when the visitor left: the thread that answers must end


def _answer(
    state: AppState,
    run: PageRun,
    sliders: dict,
    stop: threading.Event,
    redraw: bool,
    own: object,
    news: tuple[str, ...],
) -> Iterator[PageUpdate]:
    with state.borrow_model_for(run) as explainer:  # it stays open until this run ends
        yield from _answer_with(explainer, state, run, sliders, stop, redraw, own, news)


def _answer_with(
    explainer: Explainer,
    state: AppState,
    run: PageRun,
    sliders: dict,
    stop: threading.Event,
    redraw: bool,
    own: object,
    news: tuple[str, ...],
) -> Iterator[PageUpdate]:
    changed = ()
    if run.model == OPENED and run.source.trace:  # its own model, which has not answered here yet
        run, redraw = replace(run, model=state.models.generation), True
    if own is not None and run.model != state.models.generation:
        raise ValueError("These tokens were chosen from an earlier model's picture: answer again first.")
    if (
        run.model != state.models.generation
    ):  # by this visitor or another: nothing on the page is this model's
        if run.model != OPENED:
            changed = (f"The model is now {explainer.name}, for everyone who has this page open.",)
        methods, queries = method_choices(explainer), query_choices(explainer)
        method = run.method if run.method in dict(methods).values() else explainer.defaults.method
        run = replace(run, model=state.models.generation, method=method, query=default_query(explainer))
        redraw = True
        yield PageUpdate(
            method=views.menu(methods, method),
            query=views.menu(queries, run.query),
            outside=views.outside(explainer.knows, PUBLIC_MODEL),
            models=state.menu.state(),
        )
    config = to_prune_config(explainer, sliders, run.method, run.query, run.budget)
    media, media_notes = load_frames(run.source, stop.is_set)
    yield PageUpdate(answers={"busy": True, "line": f"Reading the {'clip' if media.clip else 'picture'}."})
    checked_question(run.question, explainer.processor)  # before the encoder runs for nothing
    notes = (*news, *changed, *media_notes)
    with state.take_slot(stop):
        yield from _answer_shown(explainer, state, run, stop, redraw, own, media, config, notes)


def _answer_shown(
    explainer: Explainer,
    state: AppState,
    run: PageRun,
    stop: threading.Event,
    redraw: bool,
    own: object,
    media: MediaInput,
    config: PruneConfig,
    notes: tuple[str, ...],
) -> Iterator[PageUpdate]:
    look = explainer.look(media)
    asked = explainer.ask(look, run.question, config)
    orders = explainer.select(look, asked, config, [alpha_from_weight(w) for w in WEIGHTS])
    selection = orders.at(nearest_stop(config.weight))
    kept = selection.kept(config.keep_ratio) if own is None else parse_user_tokens(own, look.vision)
    drawn = menu = None
    if redraw:
        drawn = build_explorer(explainer, run, media, look, asked, config, orders)
        if own is not None:
            drawn["own"] = picture.chosen(kept, config)
        menu = views.budget_update(look.vision.shape[0])
    rounded = selection.notes if own is None else ()
    said = _news(explainer, run, (*notes, *asked.notes, *rounded))

    n, k = look.n_visual, kept.numel()
    key = (run.model, look.key, asked.question)
    earlier = full = state.full.get(key)
    run = replace(run, answered=True)
    cards = {
        "busy": True,
        "line": "Answering.",
        "shows": describe(run),
        "at": record_settings(run, config, look.key, None if own is None else kept),
        "snippet": snippet(explainer, run, config, media.clip),
        "foreign": lies_outside_model(explainer, run),
        "pruned": views.answer(None, k, state="wait"),
        "full": views.answer(full, n, state="wait" if full is None else "done", earlier=full is not None),
    }
    yield PageUpdate(explorer=drawn, answers=dict(cards), notice=said, budget=menu, run=run)

    # Equal work is done once where others wait; a visitor alone gets new times at every request.
    agreed = None
    answered = (*key, config, tuple(kept.tolist()))
    if full is not None and state.is_crowded() and (known := state.pruned.get(answered)):
        pruned, agreed = known
        cards["pruned"] = views.answer(pruned, k, earlier=True)
    # One after the other, so that neither answer's time is spoiled by the other; the quick one comes first.
    for pruned in () if agreed else _stream(explainer, look, asked, kept, stop):
        cards["pruned"] = views.answer(*_either(pruned, k))
        if not state.is_crowded():  # where others wait, cards that are complete a moment later are sent once
            yield PageUpdate(answers=dict(cards))
    if full is None:
        for full in _stream(explainer, look, asked, None, stop):
            cards["full"] = views.answer(*_either(full, n))
            if not state.is_crowded():
                yield PageUpdate(answers=dict(cards))
    stopped = stop.is_set()
    quick = not stopped and pruned.seconds + full.seconds < QUICK_SECONDS
    if stopped:
        cards |= {"busy": False, "quick": quick, "line": "Stopped: the answers end where they stood."}
        yield PageUpdate(answers=dict(cards))
        return
    if agreed is None:
        cards["line"] = "Comparing the answers."
        if not state.is_crowded():
            yield PageUpdate(answers=dict(cards))
        agreed = explainer.agreement(look, asked, kept, full, pruned)
    cards |= {"busy": False, "quick": quick, "line": views.agreement(agreed)}
    state.full.put(key, full)
    state.pruned.put(answered, (pruned, agreed))
    yield PageUpdate(answers=dict(cards))
    chosen = None if own is None else kept

    once = views.single_timing_line(full, pruned, earlier is not None)
    saved = build_savings(explainer, look, asked, selection, len(full.token_ids), once, chosen)
    # At once, for what stands there is another run's; better times follow where they do not take long and
    # nobody waits for them.
    yield PageUpdate(savings=saved)
    if not quick or state.is_crowded():
        return
    timings, doubtful = _timed(explainer, look, asked, kept, full, pruned, stop)
    often = views.timing(*timings, doubtful)
    yield PageUpdate(savings=saved | {"measured": saved["measured"].replace(once, often)})
    again = _answered_again(explainer, look, asked, kept, (full, pruned), timings, stop)
    for side, tokens, made in zip(("full", "pruned"), (n, k), again, strict=True):
        if made is not None:
            cards[side] = views.answer(made, tokens)
            yield PageUpdate(answers=dict(cards))
    if again[0] is not None:
        state.full.put(key, again[0])
    if again[1] is not None:
        state.pruned.put(answered, (again[1], agreed))


def _timed(
    explainer, look, asked, kept: Tensor, full: Answer, pruned: Answer, stop: threading.Event
) -> tuple[tuple[Timing, Timing], bool]:
    """Time both prompts in turns, again where a time cannot be right; True if the last ones cannot either."""
    ratio = explainer.savings(look, asked, kept, n_new=1).prefill

    def doubtful(pair: tuple[Timing, Timing]) -> bool:
        slow = [
            contradiction(timing, made.seconds, made.first_token_seconds)
            for timing, made in zip(pair, (full, pruned), strict=True)
        ]
        return bool(find_doubt(*pair, ratio)) or "prefill" in slow

    def measure() -> tuple[Timing, Timing]:
        return explainer.time_both(look, asked, kept, pauses=())

    # A newer request sets `stop`: it need not wait for the machine to come to rest.
    found = measure_until_sound(
        measure, lambda pair: doubtful(pair) and not stop.is_set(), PAUSES, stop.wait, QUICK_SECONDS
    )
    return found, doubtful(found)


def _answered_again(
    explainer,
    look,
    asked,
    kept: Tensor,
    answers: tuple[Answer, Answer],
    timings: tuple[Timing, Timing],
    stop: threading.Event,
) -> list[Answer | None]:
    """Each answer once more whose own time cannot be right; None for one that stands, or was no quicker."""
    found: list[Answer | None] = []
    for made, timing, tokens in zip(answers, timings, (None, kept), strict=True):
        again = None
        if contradiction(timing, made.seconds, made.first_token_seconds) == "answer" and not stop.is_set():
            again = explainer.answer(look, asked, tokens, stop=stop)
        better = again is not None and not stop.is_set() and again.seconds < made.seconds
        found.append(again if better else None)
    return found


def record_settings(run: PageRun, config: PruneConfig, picture: str, own: Tensor | None) -> dict:
    """What the cards belong to, as the browser compares it with what the page stands at."""
    return {
        "keep": config.keep_ratio,
        "weight": config.weight,
        "question": run.question.strip(),
        "method": run.method,
        "query": run.query,
        "budget": run.budget,
        "picture": picture,
        "model": run.model,
        "own": "" if own is None else ",".join(map(str, own.tolist())),
    }


def _stream(explainer, look, asked, kept, stop: threading.Event) -> Iterator[str | Answer]:
    """The text so far, again and again, and at last the Answer."""
    return stream_reports(lambda tell: explainer.answer(look, asked, kept, on_text=tell, stop=stop))


def _either(found: str | Answer, n: int) -> tuple:
    return (None, n, found, "stream") if isinstance(found, str) else (found, n)


def build_explorer(
    explainer, run: PageRun, media, look, asked, config: PruneConfig, orders: Selection
) -> dict:
    relevance = orders.relevance
    if relevance is None:  # the method looks at no query, but the reader may want to
        relevance = explainer.select(look, asked, replace(config, method="relevance")).relevance
    about = "Relevance, measured against: "
    if run.method not in ASKS_QUERY:
        about = "This method asks for no relevance. It is shown all the same, measured against: "
    return picture.explorer(
        media,
        look.vision,
        orders,
        np.asarray(relevance, dtype=np.float32),
        about=about + QUERIES[query_name(config)],
        why=QUERY_WORDS[query_name(config)],
        setting={
            "picture": look.key,
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
    explainer, look, asked, selection: Selection, n_new: int, measured: str, own: Tensor | None
) -> dict:
    config = selection.config
    kept = [selection.kept(percent / 100) for percent in range(1, 101)]
    every = explainer.savings_each(look, asked, kept, n_new, config.method, config.budget)
    of = {"picture": look.key}
    if own is None:
        return of | views.savings(every, config.keep_ratio, f"{measured} (at {config.keep_ratio:.0%} kept)")
    # "random" because choosing by hand costs no compute.
    mine = explainer.savings(look, asked, own, n_new, "random", config.budget)
    said = f"{measured} (your {own.numel()} tokens)"
    return of | views.savings(every, config.keep_ratio, said, mine, ",".join(map(str, own.tolist())))


def _given_up(cards: dict | None) -> dict:
    """The cards when an error ended a run: its own as far as they came, else those that were there."""
    if cards is None:
        return IDLE
    ended = {side: {**cards[side], "state": "idle"} for side in ("full", "pruned")}
    return {**cards, **ended, "busy": False, "line": "Not answered: the message above says why."}


def lies_outside_model(explainer: Explainer, run: PageRun) -> bool:
    """Whether the picture lies outside what the model says it knows; a saved run has it among its notes."""
    if not explainer.knows or run.source.is_scene:
        return False
    return not run.source.trace or explainer.knows in load_saved_run(run.source).trace.notes


def _news(explainer: Explainer, run: PageRun, notes: tuple[str, ...]) -> dict:
    if lies_outside_model(explainer, run):
        text = " ".join((*notes, explainer.knows, "For photos, start with a public checkpoint:"))
        return notice(text, code=PUBLIC_MODEL)
    return notice(" ".join(notes))
