"""Run `bench`: measure what pruning costs and saves on this machine, and count what others claim."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from ..evaluation.bench import PARTS
from ..files.atomic_write import check_outputs
from .arguments import BadInput


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the arguments of `bench`."""
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
        default=Path("bench.json"),
        metavar="FILE",
        help="parts that are not run stay as they are in it (default %(default)s)",
    )
    bench.add_argument("--quick", action="store_true", help="seconds rather than minutes; not to be quoted")


def run(args: argparse.Namespace) -> int:
    """Run the parts, print a line for each figure, and write the file after every part.

    If a part fails, its old figures stay in the file, the other parts still run, and the exit code is 1. A
    part that this machine has no memory for counts as failed only if it was asked for by name.
    """
    import torch

    check_outputs(args.out)
    if args.device == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device=cuda is not available on this machine: choose cpu")
    from ..evaluation.bench import record
    from ..evaluation.bench.machine import Machine

    runs = record.load(args.out)
    failed = []
    # Once, before all parts: later, the load of the machine would be the load of the parts before.
    machine = Machine.here(args.device)
    print(machine)
    for part in PARTS if args.part == "all" else (args.part,):
        print(f"{part}:", flush=True)
        started = time.perf_counter()
        made = record.BenchRun(machine, args.device, args.quick)
        try:
            module = import_module(f"..evaluation.bench.{PARTS[part]}", __package__)
            for figure in module.measure(args.device, args.quick):
                kind = made.measured if isinstance(figure, record.Figure) else made.estimated
                kind.append(figure)
                print(f"  {figure}", flush=True)
        except record.NotEnoughMemoryError as error:
            failed += [part] if args.part == part else []
            print(f"rediprune: {part} is left as it was: {error}", file=sys.stderr, flush=True)
            continue
        except RuntimeError as error:  # two ways that must agree did not, or there is too little memory
            failed.append(part)
            print(f"rediprune: {part} failed: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
            continue
        runs[part] = replace(made, seconds=round(time.perf_counter() - started, 1))
        record.save(runs, args.out)
        print(f"Wrote {part} into {args.out}", flush=True)
    return 1 if failed else 0
