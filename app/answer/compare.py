"""Compare methods on the answered input, at one keep ratio or over many: a sweep, sent as it is computed."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from torch import Tensor

from rediprune import Explainer, draw
from rediprune.config import PruneConfig
from rediprune.evaluation.sweep import RATIOS, SEEDS, Line, Point, SweepRun, list_lines, sweep
from rediprune.evaluation.sweep_report import format_csv, notes, overlaps, smallest_holding_ratio
from rediprune.explainer.encode import Encoding, MediaInput
from rediprune.models.errors import USER_ERRORS

from ..state.app_state import OPENED, AppState, PageRun
from ..state.options import METHODS, to_prune_config
from ..state.sources import load_frames
from ..state.user_tokens import parse_user_tokens
from ..views.explorer import data_url

SIDE = 200  # longer side of a small picture, in pixels
MORE_WEIGHTS = (0.0, 0.5, 1.0)  # weights of rediprune in a sweep, besides the page's own
FRAMES = 4  # number of a clip's frames that are shown as small pictures
BY_HAND = "own"  # stands for a method's name if the visitor chose the tokens


def compare(
    state: AppState, run: PageRun, sliders: dict, methods: object, stop: threading.Event
) -> Iterator[dict]:
    """Compare methods at the page's keep ratio, one card after the other; then tell how far they overlap.

    Args:
        run: what was answered.
        sliders: the sliders that it was answered at; sliders["own"], the flat indices of the tokens that the
            visitor chose, adds a card for them. Not yet checked; empty or None: no card.
        methods: names of METHODS; random is always among them, as the mean of several masks.
        stop: ends it after the token in progress.
    """
    yield from _sweep_in_steps(state, run, sliders, methods, stop, None, (), _cards, sliders.get("own"))


def compare_over_ratios(
    state: AppState, run: PageRun, sliders: dict, methods: object, stop: threading.Event
) -> Iterator[dict]:
    """Compare methods at every ratio of RATIOS, as curves that grow; arguments as in `compare`.

    If sliders["weights"] is true, rediprune has a curve for each of MORE_WEIGHTS as well.
    """
    more = MORE_WEIGHTS if sliders.get("weights") is True else ()
    yield from _sweep_in_steps(state, run, sliders, methods, stop, RATIOS, more, _curves)


def _sweep_in_steps(
    state: AppState,
    run: PageRun,
    sliders: dict,
    methods: object,
    stop: threading.Event,
    ratios: Sequence[float] | None,
    more_weights: Sequence[float],
    describe: Callable[[list[Point], MediaInput, Encoding, PruneConfig], dict],
    user_tokens: object = None,
) -> Iterator[dict]:
    """Yield updates of the page: how far the sweep is, a line about it, and `describe(...)` as one string.

    Args:
        ratios: keep ratios; None for that of the sliders.
        more_weights: weights of rediprune besides that of the sliders.
        describe: turns the points so far into what the browser shows.
        user_tokens: what the visitor chose, for one more point.
    """
    points: list[Point] = []
    started = time.perf_counter()
    try:
        if not isinstance(methods, list) or not all(isinstance(name, str) for name in methods):
            raise ValueError("The methods to compare must be a list of their names.")
        media, _ = load_frames(run.source)
        if run.model == OPENED:
            borrowed = state.borrow_model_for(run)
        else:
            borrowed = state.borrow_explainer_of(run)
        with borrowed as explainer:
            config = to_prune_config(explainer, sliders, run.method, run.query, run.budget)
            ratios = ratios or (config.keep_ratio,)
            chosen = methods or ["random"]
            weights = [config.weight, *more_weights]
            lines = list_lines(chosen, weights, explainer.methods)
            total = len(ratios) * len(lines) + bool(user_tokens)
            progress = {"done": 0, "of": total, "question": run.question}
            yield {**progress, "busy": True, "line": "The unpruned answer first."}
            encoding = explainer.look(media)
            kept = parse_user_tokens(user_tokens, encoding.vision) if user_tokens else None
            # Answers that each point takes: it is what the remaining time is estimated from.
            cost = [SEEDS if line.method == "random" else 1 for line in lines] * len(ratios)
            cost += [1] * bool(user_tokens)
            found = sweep(
                explainer, encoding, run.question, chosen, ratios, weights, config=config, stop=stop
            )
            for point in chain(found, _point_by_hand(explainer, state, run, encoding, kept, config, stop)):
                points.append(point)
                done = len(points)
                shown = json.dumps(describe(points, media, encoding, config))
                progress |= {"done": done, "told": shown}
                if done < total:
                    passed = time.perf_counter() - started
                    left = passed * sum(cost[done:]) / (1 + sum(cost[:done]))
                    line = f"{done} of {total}, about {_round_seconds(left)} left (estimate)."
                    yield {**progress, "busy": True, "line": line}
    except USER_ERRORS as error:
        yield {"busy": False, "line": str(error)}
        return
    sentences = []
    if stop.is_set() and len(points) < total:
        sentences.append(f"Stopped at {len(points)} of {total}.")
    sentences += notes([point for point in points if point.line.method != BY_HAND])
    yield {**progress, "busy": False, "line": " ".join(sentences)}


def _point_by_hand(
    explainer: Explainer,
    state: AppState,
    run: PageRun,
    encoding: Encoding,
    kept: Tensor | None,
    config: PruneConfig,
    stop: threading.Event,
) -> Iterator[Point]:
    """Yield the visitor's tokens as one more point, if there are any and it is not stopped."""
    if kept is None or stop.is_set():
        return
    question = explainer.ask(encoding, run.question, config)
    full = state.full.get((run.model, encoding.key, question.question))
    full = full or explainer.answer(encoding, question, stop=stop)
    pruned = explainer.answer(encoding, question, kept, stop=stop)
    if stop.is_set():
        return
    agreed = explainer.agreement(encoding, question, kept, full, pruned)
    made = SweepRun(kept, pruned.text, agreed.pruned_on_full, agreed.kl_first, agreed.same_text)
    # "random" because choosing by hand costs no compute.
    saved = explainer.savings(encoding, question, kept, len(full.token_ids), "random", config.budget)
    full_probability = math.exp(agreed.full_on_full)
    yield Point(Line(BY_HAND), config.keep_ratio, (made,), full.text, full_probability, saved)


def _round_seconds(seconds: float) -> str:
    """Return a time as exactly as an estimate is: whole seconds, from two minutes on whole minutes."""
    return f"{max(1, round(seconds))} s" if seconds < 120 else f"{round(seconds / 60)} min"


def name_method(line: Line) -> str:
    """Return the short name of a method."""
    if line.method == BY_HAND:
        return "Your own tokens"
    return METHODS[line.method].partition(":")[0]


def _cards(points: list[Point], media: MediaInput, look: Encoding, config: PruneConfig) -> dict:
    shared = overlaps(points, config.keep_ratio)
    return {
        "full": points[0].full_text,
        "sure": points[0].full_probability,
        "at": f"{config.keep_ratio:.0%}",
        "cards": [_numbers(p) | {"pictures": _draw_small(p, media, look)} for p in points],
        "overlap": [[_overlap(a, b, shared) for b in points] for a in points],
    }


def _overlap(a: Point, b: Point, shared: dict) -> float | None:
    """Return the overlap of two methods; with itself 1, or None for several draws, which all differ."""
    if a is b:
        return 1.0 if len(a.runs) == 1 else None
    return shared.get((a.line, b.line), shared.get((b.line, a.line)))


def _draw_small(point: Point, media: MediaInput, look: Encoding) -> list[str]:
    """Return the first run's kept tokens drawn on the picture, or on some frames, as data URLs."""
    t = look.vision.shape[0]
    frames = draw.film(media.frames, look.vision, point.runs[0].kept, SIDE if t == 1 else SIDE // 2)
    return [data_url(frames[i * t // min(t, FRAMES)]) for i in range(min(t, FRAMES))]


def _numbers(point: Point) -> dict:
    low, high = point.probability_spread
    return {
        "method": point.line.method,
        "name": name_method(point.line),
        "ratio": point.ratio,
        "kept": point.n_kept,
        "runs": len(point.runs),
        "same": sum(run.same_text for run in point.runs),
        "text": point.runs[0].text,
        "probability": point.probability,
        "low": low,
        "high": high,
        "kl": point.kl_first,
        "prefill": point.savings.prefill,
        "end_to_end": point.savings.end_to_end,
    }


def _curves(points: list[Point], media: MediaInput, look: Encoding, config: PruneConfig) -> dict:
    lines = list(dict.fromkeys(point.line for point in points))
    return {
        "full": points[0].full_text,
        "sure": points[0].full_probability,
        "lines": [
            {
                "method": line.method,
                "name": name_method(line)
                + (f", weight {line.weight:.2f}" if line.weight is not None else ""),
                "holds": _describe_limit(points, line),
                "points": [_numbers(point) for point in points if point.line == line],
            }
            for line in lines
        ],
        "csv": format_csv(points),
    }


def _describe_limit(points: list[Point], line: Line) -> str:
    """Return in words from which ratio on the answer stays; not known before the largest ratio was swept."""
    largest = max(point.ratio for point in points if point.line == line)
    if largest < RATIOS[-1]:
        return f"not known: swept to {largest:.0%} only"
    found = smallest_holding_ratio(points, line)
    return "none of these" if found is None else f"{found:.0%}"


def list_methods(explainer: Explainer) -> list[dict]:
    """Return the methods that can be compared here, and how many answers each of them takes."""
    return [
        {"method": name, "name": name_method(Line(name)), "runs": SEEDS if name == "random" else 1}
        for name in METHODS
        if name in explainer.methods
    ]
