"""Run `check [MODEL]`: does pruning do what it says with this model on this machine?"""

from __future__ import annotations

import argparse

from .arguments import BadInput, add_device, load


def add(commands: argparse._SubParsersAction) -> None:
    """Declare the arguments of `check`."""
    check = commands.add_parser(
        "check",
        help="does pruning do what it says with this model on this machine?",
        description="Run every check that needs real weights, and print what was measured.",
    )
    check.set_defaults(run=run)
    check.add_argument("model", nargs="?", help="a folder or a Hub name (default: the built-in model)")
    check.add_argument("--repeats", type=int, default=3, metavar="N", help="timed runs (default 3)")
    add_device(check)


def run(args: argparse.Namespace) -> int:
    """Load the model, run the checks and print a line for each; return 0 if none failed, else 1."""
    if args.repeats < 1:
        raise BadInput(f"--repeats {args.repeats} is out of range: it must be at least 1")
    from ..evaluation.check import read_known, run_checks

    known = read_known()
    explainer = load(args)
    model = explainer.model
    print(f"{explainer.name}: {type(model).__name__}, {model.dtype}, on {model.device}".replace("torch.", ""))
    verdicts = []
    for made in run_checks(explainer, known, args.repeats):
        verdicts.append(made)
        word = {True: "pass", False: "FAIL", None: " -  "}[made.passed]
        print(f"{word}  {made.name:<30} {made.seconds:6.1f} s  {made.detail}", flush=True)
    failed = [made.name for made in verdicts if made.passed is False]
    passed = sum(made.passed is True for made in verdicts)
    print(f"{passed} passed, {len(failed)} failed" + (f": {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0
