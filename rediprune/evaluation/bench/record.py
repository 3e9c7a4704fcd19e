"""What the bench writes down: what was MEASURED and what was ESTIMATED, two types, in one file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import torch

from ...costs.stopwatch import pool_timings, time_run
from ...files.atomic_write import write_text
from ...files.strict_json import JsonError, read_object
from .machine import Machine

FORMAT = 1
KINDS = ("measured", "estimated")
Case = dict[str, int | float | str]
T = TypeVar("T")
_STEPS = {
    "s": ((1, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "bytes": ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "bytes")),
    "FLOP": ((1e12, "TFLOP"), (1e9, "GFLOP"), (1e6, "MFLOP"), (1, "FLOP")),
}


class NoRoom(RuntimeError):
    """A part that this machine has no memory for: one sentence."""


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Attributes:
        what: what was done, such as "greedy".
        case: shapes and settings by name, in the alphabet of the library: T, N, K, C, ...
        unit: "s" or "bytes".
        median, low, high: over the repeats; low and high are the smallest and the largest.
        device, dtype: where, and in which numbers.
        warmup: runs thrown away before. repeats: runs that count.
    """

    what: str
    case: Case
    unit: str
    median: float
    low: float
    high: float
    device: str
    dtype: str
    warmup: int
    repeats: int

    def __str__(self) -> str:
        middle, low, high = (shown(x, self.unit) for x in (self.median, self.low, self.high))
        return f"{self.what:<32} {_words(self.case)}  {middle} ({low}..{high})"


@dataclass(frozen=True)
class Estimate:
    """One number from arithmetic: nothing was timed for it.

    Attributes:
        what, case: as of a Figure, so that the two can stand beside each other.
        unit: "s", "bytes", "FLOP", "tokens", or "x" for a ratio (full / pruned).
        value: the number.
        source: how it was made, in a few words.
    """

    what: str
    case: Case
    unit: str
    value: float
    source: str

    def __str__(self) -> str:
        value = shown(self.value, self.unit)
        return f"{self.what:<32} {_words(self.case)}  {value} (estimated: {self.source})"


@dataclass(frozen=True)
class Run:
    """One part of the bench, made by one process on one machine: ratios hold within it, not between runs.

    Attributes:
        machine: where it was measured.
        device: "cpu", "cuda".
        quick: made with few repeats and small shapes, to see that it works: not to be quoted.
        seconds: that the whole part took.
        measured, estimated: what came out, in the order in which it was made.
    """

    machine: Machine
    device: str
    quick: bool
    seconds: float = 0.0
    measured: list[Figure] = field(default_factory=list)
    estimated: list[Estimate] = field(default_factory=list)

    def figure(self, what: str, **case: int | float | str) -> Figure:
        """The one figure of that name whose case says this much; KeyError where there is not exactly one."""
        return _only(self.measured, what, case)

    def estimate(self, what: str, **case: int | float | str) -> Estimate:
        """As `figure`, of the estimates."""
        return _only(self.estimated, what, case)


def timed(
    calls: Mapping[str, Callable[[], object]],
    case: Case,
    *,
    device: str | torch.device = "cpu",
    dtype: str = "float32",
    warmup: int = 1,
    repeats: int = 5,
) -> list[Figure]:
    """Seconds of several calls that are to be compared: they take turns, so what slows one slows all.

    Args:
        calls: by the name that their figure gets.
        case: what is the same for all of them.
        warmup: rounds thrown away, >= 0. repeats: rounds that count, >= 1.
    """
    runs = {what: [] for what in calls}
    for number in range(warmup + repeats):
        for what, call in calls.items():
            run = time_run(call, repeats=1, warmup=0, device=device)
            if number >= warmup:
                runs[what].append(run)
    found = {what: pool_timings(mine) for what, mine in runs.items()}
    return [
        Figure(what, dict(case), "s", t.prefill, *t.prefill_spread, t.device, dtype, warmup, repeats)
        for what, t in found.items()
    ]


def save(runs: Mapping[str, Run], path: Path) -> None:
    """Write the runs, by the name of their part, as JSON."""
    # One record a line: quick to read and to compare.
    parts = []
    for part, run in runs.items():
        head = {name: value for name, value in asdict(run).items() if name not in KINDS}
        kinds = [f'"{kind}": [{_lines(getattr(run, kind))}]' for kind in KINDS]
        parts.append(f'"{part}": {json.dumps(head)[:-1]}, {", ".join(kinds)}}}')
    content = f'{{"format": {FORMAT}, "parts": {{\n' + ",\n".join(parts) + "\n}}\n"
    write_text(path, content)


def _lines(records: Iterable[Figure | Estimate]) -> str:
    return ",".join("\n " + json.dumps(asdict(one), allow_nan=False) for one in records)


def load(path: Path) -> dict[str, Run]:
    """What `save` wrote; nothing where there is no such file.

    Raises:
        ValueError: a file that is something else.
    """
    if not path.exists():
        return {}
    try:
        content = read_object(path)
        if content.get("format") != FORMAT:
            raise JsonError("it has another format")
        return {part: _run(run) for part, run in content["parts"].items()}
    except (JsonError, KeyError, TypeError, AttributeError) as error:
        reason = str(error) if isinstance(error, JsonError) else "a part of it is missing or of another type"
        raise ValueError(
            f"{path} is no record of the bench in format {FORMAT} ({reason}): move it away or name another"
        ) from None


def _run(given: dict) -> Run:
    kinds = {
        "machine": Machine(**given["machine"]),
        "measured": [_checked(Figure(**figure)) for figure in given["measured"]],
        "estimated": [_checked(Estimate(**one)) for one in given["estimated"]],
    }
    made = Run(**given | kinds)
    if not _is_number(made.seconds):
        raise JsonError("its seconds are no number")
    return made


def _checked(one: Figure | Estimate) -> Figure | Estimate:
    """Refuse a record whose numbers cannot be shown or compared: ratios are made of them."""
    names = ("median", "low", "high") if isinstance(one, Figure) else ("value",)
    if not all(_is_number(getattr(one, name)) for name in names):
        raise JsonError(f"the record of {str(one.what)[:40]!r} holds no finite number >= 0")
    if one.unit not in (*_STEPS, "x", "tokens") or not isinstance(one.case, dict):
        raise JsonError(f"the record of {str(one.what)[:40]!r} has no known unit or no case")
    return one


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def shown(value: float, unit: str) -> str:
    """A number for readers: three significant digits, under the prefix that suits it."""
    if unit in ("x", "tokens"):
        return f"{value:.2f}x" if unit == "x" else f"{value:,.0f} tokens"
    size, name = next((step for step in _STEPS[unit] if value >= step[0]), _STEPS[unit][-1])
    return f"{_digits(value / size)} {name}"


def _digits(value: float) -> str:
    """Three significant digits, never as a power of ten: 0.0123, 1.23, 12.3, 123, 12,300."""
    rounded = float(f"{value:.3g}")
    if rounded >= 100:
        return f"{rounded:,.0f}"
    return f"{rounded:.{2 - max(-1, math.floor(math.log10(rounded)))}f}" if rounded else "0"


def _words(case: Case) -> str:
    return ", ".join(f"{name} {value}" for name, value in case.items())


def _only(found: list[T], what: str, case: Case) -> T:
    mine = [one for one in found if one.what == what and case.items() <= one.case.items()]
    if len(mine) != 1:
        raise KeyError(f"{len(mine)} records of {what!r} with {_words(case)}: expected one")
    return mine[0]
