"""bench: what pruning costs and saves on this machine, measured; what others claim, counted."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from ..bench import PARTS
from .arguments import BadInput, check_folders


def add(commands: argparse._SubParsersAction) -> None:
    """The arguments of `bench`."""
    bench = commands.add_parser(
        "bench",
        help="what pruning costs and saves on this machine",
        description="Time the selection and models of random weights, and count FLOPs; all goes into a file.",
    )
    bench.set_defaults(run=run)
    bench.add_argument("--part", choices=(*PARTS, "all"), default="all", help="default all")
    bench.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default cpu")
    bench.add_argument(
        "--out",
        type=Path,
        default=Path("docs/bench.json"),
        metavar="FILE",
        help="parts that are not run stay as they are in it (default %(default)s)",
    )
    bench.add_argument("--quick", action="store_true", help="seconds rather than minutes; not to be quoted")


def run(args: argparse.Namespace) -> int:
    """Run the parts, a line for each figure as it is made; the file is written after every part."""
    import torch

    check_folders(args.out)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device=cuda is not available on this machine: choose cpu")
    from ..bench import record
    from ..bench.machine import Machine

    runs = record.load(args.out)
    for part in PARTS if args.part == "all" else (args.part,):
        measure = import_module(f"..bench.{part}", __package__).measure
        made = record.Run(Machine.here(args.device), args.device, args.quick)
        print(f"{part}: {made.machine}", flush=True)
        started = time.perf_counter()
        for figure in measure(args.device, args.quick):
            kind = made.measured if isinstance(figure, record.Figure) else made.estimated
            kind.append(figure)
            print(f"  {figure}", flush=True)
        runs[part] = replace(made, seconds=round(time.perf_counter() - started, 1))
        record.save(runs, args.out)
    print(f"Wrote {args.out}")
    return 0
