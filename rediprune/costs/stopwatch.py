"""Timed runs: a MEASUREMENT on the machine at hand. It knows no model: it is given what to run.

The first runs pay for kernels and memory that later ones reuse, so they are thrown away (warm-up).
An accelerator returns before its work is done, so the clock is read only once the device is idle.
The median is reported because one interruption ruins a mean; (min, max) stands beside it.

A machine that is busy with something else spoils even a median. Two prompts are therefore timed in turns
(`pool_timings`), a pair of times that cannot both be right is noticed (`find_doubt`), and it is measured again once the
machine has had time to come to rest (`measure_until_sound`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

import torch

State = TypeVar("State")
Measured = TypeVar("Measured")

HELD_UP = 3.0  # times longer than the work explains: something else had the machine. Our own choice.
SLACK = 0.02  # seconds that a scheduler may add to anything; shorter differences are no contradiction
LONGEST = 10.0  # seconds after which nothing is measured again: a busy machine would be kept busy
PAUSES = (0.3, 1.0)  # seconds for the machine to come to rest, before the second and the third try


@dataclass(frozen=True)
class Timing:
    """A MEASUREMENT in seconds, medians over `repeats` runs after `warmup` runs; spread is (min, max).

    Attributes:
        prefill: projector + LLM over the whole prompt, up to the first new token.
        per_token: one decode step, each run's mean over its steps; NaN, spread and all, where none was timed.
    """

    prefill: float
    prefill_spread: tuple[float, float]
    per_token: float
    per_token_spread: tuple[float, float]
    repeats: int
    warmup: int
    device: str


def synchronise_function(device: str | torch.device) -> Callable[[], None]:
    """What to call before reading the clock, so that work queued on `device` is done; nothing on a CPU."""
    device = torch.device(device)
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    if device.type == "mps":
        return torch.mps.synchronize
    return lambda: None


def time_run(
    prefill: Callable[[], State],
    step: Callable[[State], object] | None = None,
    *,
    steps: int = 8,
    repeats: int = 5,
    warmup: int = 2,
    device: str | torch.device = "cpu",
    clock: Callable[[], float] = time.perf_counter,
    synchronise: Callable[[], None] | None = None,
) -> Timing:
    """Time `prefill()` and then `steps` times `step(state)`, `repeats` times over.

    Args:
        prefill: projector + LLM over the whole prompt; returns the state (cache) that decoding begins from.
            Called afresh for every run, because a decode step makes the cache longer.
        step: decodes one token; None where only the prefill is of interest (`per_token` is then NaN).
        steps: decode steps per run, >= 1; their time is divided by this number.
        repeats: runs that count, >= 1. warmup: runs thrown away before, >= 0.
        device: where the work runs; decides how to wait for it and stands in the result.
        clock: seconds, only ever increasing. synchronise: overrides how to wait (both for tests).

    Returns:
        Timing in seconds: medians, and (min, max) beside them.

    Raises:
        ValueError: a count out of range.
    """
    for name, value, least in (("steps", steps, 1), ("repeats", repeats, 1), ("warmup", warmup, 0)):
        if value < least:
            raise ValueError(f"{name}={value} is out of range: it must be a whole number >= {least}")
    wait = synchronise or synchronise_function(device)
    prefills, tokens = [], []
    for run in range(warmup + repeats):
        wait()
        started = clock()
        state = prefill()
        wait()
        ready = clock()
        if step is not None:
            for _ in range(steps):
                step(state)
            wait()
            done = clock()
        if run >= warmup:
            prefills.append(ready - started)
            if step is not None:
                tokens.append((done - ready) / steps)
    return _timing(prefills, tokens or [math.nan], warmup, str(device))


def pool_timings(runs: Sequence[Timing]) -> Timing:
    """Timings of one prompt, one repeat each, as one Timing with the warm-up and device of the first.

    For runs that take turns with those of another prompt, so that what slows the machine slows both.

    Raises:
        ValueError: no timings, or one that is a median already.
    """
    if not runs or any(run.repeats != 1 for run in runs):
        raise ValueError("only timings of one repeat each can be pooled, and at least one is needed")
    first = runs[0]
    return _timing([run.prefill for run in runs], [run.per_token for run in runs], first.warmup, first.device)


def _timing(prefills: Sequence[float], tokens: Sequence[float], warmup: int, device: str) -> Timing:
    return Timing(
        prefill=median(prefills),
        prefill_spread=(min(prefills), max(prefills)),
        per_token=median(tokens),
        per_token_spread=(min(tokens), max(tokens)),
        repeats=len(prefills),
        warmup=warmup,
        device=device,
    )


def find_doubt(full: Timing, pruned: Timing, ratio: float) -> str:
    """Say why two prefill times, taken in turns, cannot both be right; "" where they can.

    Args:
        full, pruned: of one prompt with all its visual tokens, and with fewer of them.
        ratio: how many times more compute the full prompt takes (estimate, >= 1). Fixed costs make the times
            lie closer together than that; only an interruption moves them much farther apart.
    """
    for timing in (full, pruned):
        if was_interrupted(timing.prefill, timing.prefill_spread[0]):
            return "most runs took far longer than the fastest"
    if was_interrupted(pruned.prefill, full.prefill):
        return "fewer tokens took far longer than all of them"
    if was_interrupted(full.prefill, pruned.prefill * max(1.0, ratio)):
        return "the times lie farther apart than the work does"
    return ""


def contradiction(timing: Timing, seconds: float, first_token_seconds: float) -> str:
    """Say which of two times of one prompt must be wrong, "prefill" or "answer"; "" where both can be right.

    Every answer begins with a prefill, so a whole answer cannot be much quicker than one, and its first word
    cannot come long after the slowest.

    Args:
        timing: the prefill, measured.
        seconds: wall clock of the whole answer.
        first_token_seconds: wall clock up to its first new token.
    """
    if was_interrupted(timing.prefill, seconds):
        return "prefill"
    if was_interrupted(first_token_seconds, timing.prefill_spread[1]):
        return "answer"
    return ""


def was_interrupted(seconds: float, than: float) -> bool:
    """Return whether something else must have had the machine, so far are `seconds` above `than`."""
    return seconds > HELD_UP * than + SLACK


def measure_until_sound(
    measure: Callable[[], Measured],
    doubtful: Callable[[Measured], object],
    pauses: Sequence[float] = PAUSES,
    sleep: Callable[[float], object] = time.sleep,
    longest: float = LONGEST,
    clock: Callable[[], float] = time.perf_counter,
) -> Measured:
    """Return the first measurement that is not doubtful; the last one where all of them are.

    `pauses` are the seconds to wait before each further try; as many tries are made at most, and one more.
    None begins later than `longest` seconds after the first.
    """
    started = clock()
    found = measure()
    for pause in pauses:
        if clock() - started > longest or not doubtful(found):
            break
        sleep(pause)
        found = measure()
    return found
