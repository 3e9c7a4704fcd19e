"""Time prefill and decoding: a MEASUREMENT on this machine of functions that the caller gives.

The first runs pay for kernels and memory that later runs reuse, so they are thrown away (warm-up).
An accelerator returns before its work is done, so the clock is read only once the device is idle.
The median is reported because one interruption ruins a mean; (min, max) is reported with it.

A machine that is busy with other work spoils even a median. Two prompts are therefore timed in turns
(`pool_timings`), a pair of times that cannot both be right is detected (`find_doubt`), and the measurement is
repeated after a pause (`measure_until_sound`).
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

HELD_UP = 3.0  # a run this many times longer than expected was interrupted by other work; our own choice
SLACK = 0.02  # seconds that a scheduler may add to anything; shorter differences are no contradiction
LONGEST = 10.0  # seconds after which nothing is measured again, so as not to keep a busy machine busy
PAUSES = (0.3, 1.0)  # seconds to wait before the second and the third try


@dataclass(frozen=True)
class Timing:
    """Hold a MEASUREMENT in seconds: medians over `repeats` runs after `warmup` runs, spread as (min, max).

    Attributes:
        prefill: projector and LLM over the whole prompt, up to the first new token.
        per_token: one decode step, as each run's mean over its steps; NaN, like its spread, if not timed.
        device: where the work ran.
    """

    prefill: float
    prefill_spread: tuple[float, float]
    per_token: float
    per_token_spread: tuple[float, float]
    repeats: int
    warmup: int
    device: str


def synchronise_function(device: str | torch.device) -> Callable[[], None]:
    """Return the function that waits until all work queued on `device` is done; on a CPU it does nothing."""
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
        prefill: projector and LLM over the whole prompt; returns the state (cache) that decoding starts from.
            Called again for every run, because a decode step makes the cache longer.
        step: decodes one token; None to time the prefill only (`per_token` is then NaN).
        steps: decode steps per run, >= 1; their time is divided by this number.
        repeats: runs that count, >= 1.
        warmup: runs before them that are thrown away, >= 0.
        device: where the work runs; decides how to wait for it, and is recorded in the result.
        clock: returns seconds, never decreasing (for tests).
        synchronise: waits for the device in place of the function for `device` (for tests).

    Returns:
        Timing in seconds: medians and (min, max).

    Raises:
        ValueError: a count out of range.
    """
    for name, value, least in (("steps", steps, 1), ("repeats", repeats, 1), ("warmup", warmup, 0)):
        if value < least:
            raise ValueError(f"{name}={value} is out of range: it must be a whole number >= {least}")
    wait = synchronise or synchronise_function(device)
    prefills = []
    tokens = []
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
    """Combine timings of one prompt, one repeat each; warm-up and device are those of the first.

    For runs that take turns with runs of another prompt, so that whatever slows the machine slows both.

    Raises:
        ValueError: no timings, or one that is a median already.
    """
    if not runs or any(run.repeats != 1 for run in runs):
        raise ValueError("only timings of one repeat each can be pooled, and at least one is needed")
    first = runs[0]
    return _timing([run.prefill for run in runs], [run.per_token for run in runs], first.warmup, first.device)


def _timing(prefills: Sequence[float], tokens: Sequence[float], warmup: int, device: str) -> Timing:
    """Summarise the seconds of each run."""
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
        full, pruned: timings of one prompt with all of its visual tokens and with fewer.
        ratio: compute of the full prompt over compute of the pruned one (estimate, >= 1). Fixed costs bring
            the times closer together than that; only an interruption moves them much farther apart.
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

    Every answer begins with a prefill. So a whole answer cannot be much quicker than a prefill, and its first
    token cannot come long after the slowest prefill.

    Args:
        timing: the measured prefill.
        seconds: wall clock of the whole answer.
        first_token_seconds: wall clock up to its first new token.
    """
    if was_interrupted(timing.prefill, seconds):
        return "prefill"
    if was_interrupted(first_token_seconds, timing.prefill_spread[1]):
        return "answer"
    return ""


def was_interrupted(seconds: float, than: float) -> bool:
    """Return whether `seconds` exceed `than` by so much that other work must have interrupted the run."""
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

    Args:
        measure: makes one measurement.
        doubtful: returns something true for a measurement that cannot be right.
        pauses: seconds to wait before each further try; there is at most one try more than pauses.
        sleep: waits for so many seconds (for tests).
        longest: seconds after the start of the first try, from which no further one begins.
        clock: returns seconds, never decreasing (for tests).
    """
    started = clock()
    measurement = measure()
    for pause in pauses:
        if clock() - started > longest or not doubtful(measurement):
            break
        sleep(pause)
        measurement = measure()
    return measurement
