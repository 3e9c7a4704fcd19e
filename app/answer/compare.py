"""Methods side by side on the answered input, and over many keep ratios: a sweep as it is computed."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator
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

SIDE = 200  # of a small picture, in pixels
MORE_WEIGHTS = (0.0, 0.5, 1.0)  # of rediprune in a sweep, beside the page's own
FRAMES = 4  # of a clip, of which small pictures are shown
OWN = "own"  # stands where a method's name does, for the tokens that the visitor chose


def compare(
    state: AppState, run: PageRun, sliders: dict, methods: object, stop: threading.Event
) -> Iterator[dict]:
    """Every method at the page's keep ratio, one card after the other; then how far they overlap.

    Args:
        run, knobs: what was answered, and at which sliders; knobs["own"], the flat indices of the tokens that
            the visitor chose by hand, brings a card for them too. Not yet checked; empty or none: no card.
        methods: names of METHODS; random is always among them, as the mean of several masks.
        stop: ends it after the token in progress.
    """
    yield from _swept(state, run, sliders, methods, stop, None, (), _cards, sliders.get("own"))


def compare_over_ratios(
    state: AppState, run: PageRun, sliders: dict, methods: object, stop: threading.Event
) -> Iterator[dict]:
    """Every method at every ratio of RATIOS, as curves that grow; arguments as in `compare`.

    With knobs["weights"] true, rediprune has a curve for each of MORE_WEIGHTS as well.
    """
    more = MORE_WEIGHTS if sliders.get("weights") is True else ()
    yield from _swept(state, run, sliders, methods, stop, RATIOS, more, _curves)


def _swept(state, run, sliders, methods, stop, ratios, more, told, own=None) -> Iterator[dict]:
    """News for the page: how far it is, a line about it, and `told(...)` as one JSON string."""
    points: list[Point] = []
    began = time.perf_counter()
    try:
        if not isinstance(methods, list) or not all(isinstance(name, str) for name in methods):
            raise ValueError("The methods to compare must be a list of their names.")
        media, _ = load_frames(run.source)
        with (
            state.borrow_model_for(run)
            if run.model == OPENED
            else state.borrow_explainer_of(run) as explainer
        ):
            config = to_prune_config(explainer, sliders, run.method, run.query, run.budget)
            ratios = ratios or (config.keep_ratio,)
            chosen, weights = methods or ["random"], [config.weight, *more]
            lines = list_lines(chosen, weights, explainer.methods)
            total = len(ratios) * len(lines) + bool(own)
            at = {"done": 0, "of": total, "question": run.question}
            yield {**at, "busy": True, "line": "The unpruned answer first."}
            look = explainer.look(media)
            mine = parse_user_tokens(own, look.vision) if own else None
            cost = [SEEDS if line.method == "random" else 1 for line in lines] * len(ratios) + [1] * bool(own)
            found = sweep(explainer, look, run.question, chosen, ratios, weights, config=config, stop=stop)
            for point in chain(found, _own(explainer, state, run, look, mine, config, stop)):
                points.append(point)
                done = len(points)
                at |= {"done": done, "told": json.dumps(told(points, media, look, config))}
                if done < total:
                    left = (time.perf_counter() - began) * sum(cost[done:]) / (1 + sum(cost[:done]))
                    yield {
                        **at,
                        "busy": True,
                        "line": f"{done} of {total}, about {_rough(left)} left (estimate).",
                    }
    except USER_ERRORS as error:
        yield {"busy": False, "line": str(error)}
        return
    ended = [f"Stopped at {len(points)} of {total}."] if stop.is_set() and len(points) < total else []
    ended += notes([point for point in points if point.line.method != OWN])
    yield {**at, "busy": False, "line": " ".join(ended)}


def _own(
    explainer: Explainer,
    state: AppState,
    run: PageRun,
    look: Encoding,
    kept: Tensor | None,
    config: PruneConfig,
    stop,
) -> Iterator[Point]:
    """The visitor's tokens as one more point, where there are any; nothing where the stop came before."""
    if kept is None or stop.is_set():
        return
    asked = explainer.ask(look, run.question, config)
    full = state.full.get((run.model, look.key, asked.question)) or explainer.answer(look, asked, stop=stop)
    pruned = explainer.answer(look, asked, kept, stop=stop)
    if stop.is_set():
        return
    agreed = explainer.agreement(look, asked, kept, full, pruned)
    made = SweepRun(kept, pruned.text, agreed.pruned_on_full, agreed.kl_first, agreed.same_text)
    # "random" because choosing by hand costs no compute.
    saved = explainer.savings(look, asked, kept, len(full.token_ids), "random", config.budget)
    sure = math.exp(agreed.full_on_full)
    yield Point(Line(OWN), config.keep_ratio, (made,), full.text, sure, saved)


def _rough(seconds: float) -> str:
    """As exact as an estimate is: whole seconds, from two minutes on whole minutes."""
    return f"{max(1, round(seconds))} s" if seconds < 120 else f"{round(seconds / 60)} min"


def words(line: Line) -> str:
    """What a method is called, short."""
    return "Your own tokens" if line.method == OWN else METHODS[line.method].partition(":")[0]


def _cards(points: list[Point], media: MediaInput, look: Encoding, config: PruneConfig) -> dict:
    shared = overlaps(points, config.keep_ratio)
    return {
        "full": points[0].full_text,
        "sure": points[0].full_probability,
        "at": f"{config.keep_ratio:.0%}",
        "cards": [_numbers(p) | {"pictures": _small(p, media, look)} for p in points],
        "overlap": [[_overlap(a, b, shared) for b in points] for a in points],
    }


def _overlap(a: Point, b: Point, shared: dict) -> float | None:
    """Of a method with itself 1; None for several draws, of which no two are the same."""
    if a is b:
        return 1.0 if len(a.runs) == 1 else None
    return shared.get((a.line, b.line), shared.get((b.line, a.line)))


def _small(point: Point, media: MediaInput, look: Encoding) -> list[str]:
    """The first run's kept tokens on the picture, or on some frames, as data URLs."""
    t = look.vision.shape[0]
    frames = draw.film(media.frames, look.vision, point.runs[0].kept, SIDE if t == 1 else SIDE // 2)
    return [data_url(frames[i * t // min(t, FRAMES)]) for i in range(min(t, FRAMES))]


def _numbers(point: Point) -> dict:
    low, high = point.probability_spread
    return {
        "method": point.line.method,
        "name": words(point.line),
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
                "name": words(line) + (f", weight {line.weight:.2f}" if line.weight is not None else ""),
                "holds": _held(points, line),
                "points": [_numbers(point) for point in points if point.line == line],
            }
            for line in lines
        ],
        "csv": format_csv(points),
    }


def _held(points: list[Point], line: Line) -> str:
    """Where the answer holds, in words; nothing is said of it before the largest ratio was swept."""
    largest = max(point.ratio for point in points if point.line == line)
    if largest < RATIOS[-1]:
        return f"not known: swept to {largest:.0%} only"
    found = smallest_holding_ratio(points, line)
    return "none of these" if found is None else f"{found:.0%}"


def list_methods(explainer: Explainer) -> list[dict]:
    """The methods that can be compared here, for the boxes to tick, and how many answers each takes."""
    return [
        {"method": name, "name": words(Line(name)), "runs": SEEDS if name == "random" else 1}
        for name in METHODS
        if name in explainer.methods
    ]
