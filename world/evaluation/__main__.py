"""Measure the built-in model with `python -m world.evaluation`, then write every table and figure.

Only what evaluation.json does not yet hold for the present weights is measured.
"""

from __future__ import annotations

import argparse

import torch

from . import evaluate
from .report import __main__ as report
from .report import figures


def main() -> None:
    """Parse the command line, measure, write the tables and draw the figures."""
    parser = argparse.ArgumentParser(prog="python -m world.evaluation", description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    evaluation = evaluate.run()
    report.write_pages(evaluation)
    for path in figures.draw_figures(evaluation):
        print(f"drew {path}")


if __name__ == "__main__":
    main()
