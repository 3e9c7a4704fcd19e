"""Time the two answers of the page, and again where a time cannot be right."""

from __future__ import annotations

import threading

from torch import Tensor

from rediprune import Answer, Explainer
from rediprune.costs.stopwatch import PAUSES, Timing, contradiction, find_doubt, measure_until_sound
from rediprune.explainer.prepare import PreparedRun


def time_both_prompts(
    explainer: Explainer,
    prepared: PreparedRun,
    kept: Tensor,
    full: Answer,
    pruned: Answer,
    stop: threading.Event,
    most_seconds: float,
) -> tuple[tuple[Timing, Timing], bool]:
    """Time both prompts in turns, and again if the times contradict each other or those of the answers.

    Args:
        kept: [K] flat indices of the tokens that the pruned answer got.
        stop: set by a newer request, which need not wait for the machine to come to rest.
        most_seconds: no further attempt begins after this.

    Returns:
        The times of the unpruned and of the pruned prompt, and whether they still contradict something.
    """
    encoding, question = prepared.encoding, prepared.question
    ratio = explainer.savings(encoding, question, kept, n_new=1).prefill

    def is_doubtful(timings: tuple[Timing, Timing]) -> bool:
        slow = [
            contradiction(timing, made.seconds, made.first_token_seconds)
            for timing, made in zip(timings, (full, pruned), strict=True)
        ]
        return bool(find_doubt(*timings, ratio)) or "prefill" in slow

    def measure() -> tuple[Timing, Timing]:
        return explainer.time_both(encoding, question, kept, pauses=())

    def must_repeat(timings: tuple[Timing, Timing]) -> bool:
        return is_doubtful(timings) and not stop.is_set()

    found = measure_until_sound(measure, must_repeat, PAUSES, stop.wait, most_seconds)
    return found, is_doubtful(found)


def answer_again(
    explainer: Explainer,
    prepared: PreparedRun,
    kept: Tensor,
    answers: tuple[Answer, Answer],
    timings: tuple[Timing, Timing],
    stop: threading.Event,
) -> list[Answer | None]:
    """Make each answer once more if its own time cannot be right.

    Returns:
        One entry for the unpruned and one for the pruned answer; None if the first one stands, or if the
        second one was no quicker.
    """
    found: list[Answer | None] = []
    for made, timing, tokens in zip(answers, timings, (None, kept), strict=True):
        again = None
        if contradiction(timing, made.seconds, made.first_token_seconds) == "answer" and not stop.is_set():
            again = explainer.answer(prepared.encoding, prepared.question, tokens, stop=stop)
        is_better = again is not None and not stop.is_set() and again.seconds < made.seconds
        found.append(again if is_better else None)
    return found
