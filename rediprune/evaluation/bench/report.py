"""`python -m rediprune.evaluation.bench.report`: the tables and figures of docs/speed.md, from its record.

A part's module says its own: `tables(run)` by the name of the mark that they stand between, `figures(run)` by
the name of the file. A line with the machine stands over the tables of every part, under "<part>-machine".
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from ...files.atomic_write import write_text
from ..marked_tables import write_marked_tables
from . import PARTS
from .record import BenchRun, load

RECORD, PAGE, FIGURES = Path("docs/bench.json"), Path("docs/speed.md"), Path("assets/figures")


def tables(runs: dict[str, BenchRun]) -> dict[str, str]:
    """Every table by the name of its mark."""
    found = {}
    for part in (part for part in PARTS if part in runs):
        found |= {f"{part}-machine": about(runs[part])} | _module(part).tables(runs[part])
    return found


def figures(runs: dict[str, BenchRun]) -> dict[str, str]:
    """Every figure as SVG, by the name of its file."""
    found = {}
    for part in (part for part in PARTS if part in runs):
        found |= _module(part).figures(runs[part])
    return found


def about(run: BenchRun) -> str:
    """Say what a part was made on, and how its numbers are to be read."""
    if not run.measured:
        return "*Estimated: arithmetic from the models' shapes, nothing was timed.*"
    counts = sorted({(one.warmup, one.repeats) for one in run.measured if one.unit == "s"}, reverse=True)
    rounds = " or ".join(f"{repeats} after {warmup} to warm up" for warmup, repeats in counts)
    quick = " A QUICK RUN, NOT TO BE QUOTED." if run.quick else ""
    dtypes = ", ".join(dict.fromkeys(one.dtype for one in run.measured))
    return (
        f"*Measured on {run.machine}. {dtypes}. Median (fastest..slowest) of so many runs: {rounds}; what is "
        f"compared took turns. The part took {run.seconds:.0f} s.{quick}*"
    )


def _module(part: str):
    return import_module(f".{PARTS[part]}", __package__)


def main(argv: list[str] | None = None) -> int:
    """Write page and figures; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m rediprune.evaluation.bench.report", description=__doc__)
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--figures", type=Path, default=FIGURES)
    given = parser.parse_args(argv)
    runs = load(given.record)
    try:
        page = write_marked_tables(given.page.read_text(encoding="utf-8"), tables(runs))
        drawn = figures(runs)
    except (KeyError, ArithmeticError) as error:
        sys.exit(f"{given.record} lacks what the tables are made of ({error}): run the bench again")
    write_text(given.page, page)
    given.figures.mkdir(parents=True, exist_ok=True)
    for name, svg in drawn.items():
        write_text(given.figures / name, svg)
    return 0


if __name__ == "__main__":
    sys.exit(main())
