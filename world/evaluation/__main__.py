"""`python -m world.evaluation`: measure what is not measured yet of these weights, then write the tables."""

from __future__ import annotations

import argparse

import torch

from . import evaluate
from .report import __main__ as report
from .report import figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m world.evaluation", description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = evaluate.run()
    report.write_pages(found)
    for path in figures.draw_figures(found):
        print(f"drew {path}")


if __name__ == "__main__":
    main()
