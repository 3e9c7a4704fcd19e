"""Keep what the bench MEASURED and what it ESTIMATED, as two types in one file."""

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


class NotEnoughMemoryError(RuntimeError):
    """Report that this machine has too little memory for a part of the bench; the message is one sentence."""


@dataclass(frozen=True)
class Figure:
    """Hold one measured number.

    Attributes:
        what: what was done, such as "greedy".
        case: shapes and settings by name, in the alphabet of the library: T, N, K, C, ...
        unit: "s" or "bytes".
        median, low, high: over the repeats; low and high are the smallest and the largest.
        device, dtype: where it was measured, and in which number format.
        warmup: runs before, which do not count.
        repeats: runs that count.
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
        middle, low, high = (format_number(x, self.unit) for x in (self.median, self.low, self.high))
        return f"{self.what:<32} {_format_case(self.case)}  {middle} ({low}..{high})"


@dataclass(frozen=True)
class Estimate:
    """Hold one number that arithmetic gave; nothing was timed for it.

    Attributes:
        what, case: as in a Figure, so that an estimate can stand beside a measurement.
        unit: "s", "bytes", "FLOP", "tokens", or "x" for a ratio (full / pruned).
        value: the number.
        source: how it was computed, in a few words.
    """

    what: str
    case: Case
    unit: str
    value: float
    source: str

    def __str__(self) -> str:
        value = format_number(self.value, self.unit)
        return f"{self.what:<32} {_format_case(self.case)}  {value} (estimated: {self.source})"


@dataclass(frozen=True)
class BenchRun:
    """Hold one part of the bench, run by one process on one machine; compare figures only within it.

    Attributes:
        machine: where it was measured.
        device: "cpu" or "cuda".
        quick: made with few repeats and small shapes to see that it works; not to be quoted.
        seconds: duration of the whole part.
        measured, estimated: the results, in the order in which they were made.
    """

    machine: Machine
    device: str
    quick: bool
    seconds: float = 0.0
    measured: list[Figure] = field(default_factory=list)
    estimated: list[Estimate] = field(default_factory=list)

    def figure(self, what: str, **case: int | float | str) -> Figure:
        """Return the one figure of that name whose case contains `case`.

        Raises:
            KeyError: there is not exactly one.
        """
        return _find_one(self.measured, what, case)

    def estimate(self, what: str, **case: int | float | str) -> Estimate:
        """Return the one estimate of that name whose case contains `case`.

        Raises:
            KeyError: there is not exactly one.
        """
        return _find_one(self.estimated, what, case)


def time_calls(
    calls: Mapping[str, Callable[[], object]],
    case: Case,
    *,
    device: str | torch.device = "cpu",
    dtype: str = "float32",
    warmup: int = 1,
    repeats: int = 5,
) -> list[Figure]:
    """Time several calls that are to be compared, in turns, so that what slows one slows all.

    Args:
        calls: what to run, by the name that its figure gets.
        case: shapes and settings that all calls share.
        device, dtype: written into the figures; the device is also waited for.
        warmup: rounds that do not count, >= 0.
        repeats: rounds that count, >= 1.

    Returns:
        One figure in seconds for each call.
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


def save(runs: Mapping[str, BenchRun], path: Path) -> None:
    """Write the runs as JSON, by the name of their part, one record a line."""
    # One record a line: quick to read and to compare.
    parts = []
    for part, run in runs.items():
        head = {name: value for name, value in asdict(run).items() if name not in KINDS}
        kinds = [f'"{kind}": [{_to_json_lines(getattr(run, kind))}]' for kind in KINDS]
        parts.append(f'"{part}": {json.dumps(head)[:-1]}, {", ".join(kinds)}}}')
    content = f'{{"format": {FORMAT}, "parts": {{\n' + ",\n".join(parts) + "\n}}\n"
    write_text(path, content)


def _to_json_lines(records: Iterable[Figure | Estimate]) -> str:
    return ",".join("\n " + json.dumps(asdict(one), allow_nan=False) for one in records)


def load(path: Path) -> dict[str, BenchRun]:
    """Read what `save` wrote; an empty dict where there is no such file.

    Raises:
        ValueError: the file is something else.
    """
    if not path.exists():
        return {}
    try:
        content = read_object(path)
        if content.get("format") != FORMAT:
            raise JsonError("it has another format")
        return {part: _parse_part(run) for part, run in content["parts"].items()}
    except (JsonError, KeyError, TypeError, AttributeError) as error:
        reason = str(error) if isinstance(error, JsonError) else "a part of it is missing or of another type"
        raise ValueError(
            f"{path} is no record of the bench in format {FORMAT} ({reason}): move it away or name another"
        ) from None


def _parse_part(content: dict) -> BenchRun:
    kinds = {
        "machine": Machine(**content["machine"]),
        "measured": [_validate(Figure(**figure)) for figure in content["measured"]],
        "estimated": [_validate(Estimate(**one)) for one in content["estimated"]],
    }
    made = BenchRun(**content | kinds)
    if not _is_number(made.seconds):
        raise JsonError("its seconds are no number")
    return made


def _validate(one: Figure | Estimate) -> Figure | Estimate:
    """Refuse a record whose numbers cannot be displayed or compared: ratios are made of them."""
    names = ("median", "low", "high") if isinstance(one, Figure) else ("value",)
    if not all(_is_number(getattr(one, name)) for name in names):
        raise JsonError(f"the record of {str(one.what)[:40]!r} holds no finite number >= 0")
    if one.unit not in (*_STEPS, "x", "tokens") or not isinstance(one.case, dict):
        raise JsonError(f"the record of {str(one.what)[:40]!r} has no known unit or no case")
    return one


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def format_number(value: float, unit: str) -> str:
    """Format a number with three significant digits and the prefix that suits its unit."""
    if unit in ("x", "tokens"):
        return f"{value:.2f}x" if unit == "x" else f"{value:,.0f} tokens"
    size, name = next((step for step in _STEPS[unit] if value >= step[0]), _STEPS[unit][-1])
    return f"{_round_to_three_digits(value / size)} {name}"


def _round_to_three_digits(value: float) -> str:
    """Round to three significant digits, never as a power of ten: 0.0123, 1.23, 12.3, 123, 12,300."""
    rounded = float(f"{value:.3g}")
    if rounded >= 100:
        return f"{rounded:,.0f}"
    return f"{rounded:.{2 - max(-1, math.floor(math.log10(rounded)))}f}" if rounded else "0"


def _format_case(case: Case) -> str:
    return ", ".join(f"{name} {value}" for name, value in case.items())


def _find_one(found: list[T], what: str, case: Case) -> T:
    mine = [one for one in found if one.what == what and case.items() <= one.case.items()]
    if len(mine) != 1:
        raise KeyError(f"{len(mine)} records of {what!r} with {_format_case(case)}: expected one")
    return mine[0]
