"""Run `sweep IMAGE "QUESTION"`: every method at every keep ratio; from which on does the answer hold?"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from ..config import METHODS, PruneConfig, alpha_from_weight
from ..files.atomic_write import check_outputs, write_text
from .arguments import (
    BadInput,
    add_device,
    add_input,
    config_changes,
    load,
    parse_numbers,
)


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the arguments of `sweep`."""
    sweep = commands.add_parser(
        "sweep",
        help="every method at every keep ratio, for one question",
        description="How likely the unpruned answer stays at each keep ratio, and what is saved.",
    )
    sweep.set_defaults(run=run)
    add_input(sweep)
    add_device(sweep)
    sweep.add_argument(
        "--methods",
        metavar="A,B",
        help=f"of {', '.join(METHODS)} (default: all that the model can; random is always added)",
    )
    sweep.add_argument(
        "--ratios", default="0.05,0.1,0.15,0.25,0.5,0.75", metavar="R,R", help="default %(default)s"
    )
    sweep.add_argument("--weights", metavar="W,W", help="of rediprune, in [0, 1] (default: the model's)")
    sweep.add_argument(
        "--seeds", type=int, default=5, metavar="S", help="masks that random is the mean of (default 5)"
    )
    sweep.add_argument("--csv", type=Path, metavar="FILE", help="also write the table as CSV")


def run(args: argparse.Namespace) -> int:
    """Run the sweep: print a line for each point as it is done, then a summary; return 0."""
    changes = config_changes(args)
    PruneConfig(**changes)
    methods = None if args.methods is None else [name.strip() for name in args.methods.split(",")]
    ratios = parse_numbers(args, "ratios")
    weights = parse_numbers(args, "weights")
    for name in methods or ():
        PruneConfig(method=name)
    for ratio in ratios:
        PruneConfig(keep_ratio=ratio)
    for weight in weights or ():
        alpha_from_weight(weight)
    if weights and "rediprune" not in (methods or METHODS):
        raise BadInput(f"--weights={args.weights} are of rediprune: name it in --methods, or leave them out")
    check_outputs(args.csv, inputs=[args.file])
    from ..explainer.encode import as_media_input
    from ..media.load import load_media
    from ..query.question import checked_text

    checked_text(args.question)

    media = as_media_input(load_media(args.file, args.frames))
    from ..evaluation import sweep_report as table
    from ..evaluation.sweep import Point, sweep

    explainer = load(args)
    encoding = explainer.look(media)
    points: list[Point] = []
    config = replace(explainer.defaults, **changes)
    chosen = methods or explainer.methods
    length = args.max_new_tokens
    for point in sweep(
        explainer, encoding, args.question, chosen, ratios, weights, config, args.seeds, max_new_tokens=length
    ):
        if not points:
            print(table.format_heading(args.question, encoding.n_visual, point))
        points.append(point)
        print(table.format_row(point), flush=True)
    print(f"\n{table.format_summary(points)}")
    if args.csv:
        write_text(args.csv, table.format_csv(points))
        print(f"Wrote {args.csv}")
    return 0
