"""Answer /sweep: how far one answer can be pruned, by every method at every keep ratio."""

from __future__ import annotations

from collections.abc import Iterator

from rediprune.evaluation.sweep import Point, list_lines, sweep
from rediprune.evaluation.sweep_report import COLUMNS, notes, row_values, smallest_holding_ratio

from ..server.departures import stop_when_caller_leaves
from ..state.app_state import AppState
from .arguments import checked_settings, load_media_argument

MOST = 20  # keep ratios of one call: each is an answer of every method


def sweep_ratios(
    state: AppState,
    media: object,
    question: str,
    methods: list[str],
    keep_ratios: list[float],
    weight: float,
    query: str,
    budget: str,
    n_frames: int,
) -> Iterator[dict]:
    """Measure how far one answer can be pruned: each method at each keep ratio, beside the unpruned answer.

    Slow: the model runs twice for a row, and ten times for one of random. Who iterates over the job sees the
    rows come; the last result has all of them.

    Returns:
        "rows": method, weight, keep_ratio, kept (tokens), runs, probability (0 to 1, of the unpruned answer
        after the pruned prompt; mean, lowest and highest of the runs), full_probability (after the whole
        prompt), kl_first_nats (KL of the first answer token), same_text (share of the runs whose answer
        reads as the unpruned one), estimated_* (FLOPs, unpruned / pruned) and answer; "holds_from": by
        method the smallest ratio from which on every answer reads as the unpruned one, or null.
    """
    shown, given_notes = load_media_argument(media, n_frames)
    ratios = checked_ratios(keep_ratios)
    if not isinstance(methods, list) or not all(isinstance(name, str) for name in methods):
        raise ValueError('methods must be a list of names, such as ["rediprune", "grid"].')
    with state.borrow_model() as explainer:
        defaults = explainer.defaults
        config = checked_settings(explainer, defaults.keep_ratio, weight, defaults.method, query, budget)
        count = len(ratios) * len(list_lines(methods, [config.weight], explainer.methods))
        look, points = explainer.look(shown), []
        with stop_when_caller_leaves() as stop:
            for point in sweep(explainer, look, question, methods, ratios, config=config, stop=stop):
                points.append(point)
                yield {
                    **sweep_payload(points),
                    "done": len(points),
                    "of": count,
                    "tokens": look.n_visual,
                    "model": explainer.name,
                    "notes": [*given_notes, *notes(points)],
                }


def checked_ratios(ratios: object) -> list[float]:
    """Return the keep ratios in ascending order, each of them once.

    Raises:
        ValueError: no list of 1 to MOST numbers; whether each is a ratio, `sweep` checks.
    """
    if not isinstance(ratios, list) or not 1 <= len(ratios) <= MOST or not all(map(is_number, ratios)):
        raise ValueError(f"keep_ratios must be a list of 1 to {MOST} numbers, such as [0.1, 0.25, 0.5].")
    return sorted(set(ratios))


def is_number(value: object) -> bool:
    """Return whether a value is a number and not True or False."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def sweep_payload(points: list[Point]) -> dict:
    """Return the points so far as plain data."""
    lines = dict.fromkeys(point.line for point in points)
    first = points[0]
    return {
        "unpruned": {"text": first.full_text, "probability": first.full_probability},
        "rows": [dict(zip(COLUMNS, row_values(point), strict=True)) for point in points],
        "holds_from": {line.method: smallest_holding_ratio(points, line) for line in lines},
    }
