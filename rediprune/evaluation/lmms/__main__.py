"""Compare two runs, or make a task from a benchmark's files: python -m rediprune.evaluation.lmms COMMAND.

    compare A B     two runs, sample by sample: B - A with its interval, for every task and metric
    intentqa, star  make a task of the benchmark's own files, which lmms-eval has not got

Exit codes: 0 done, 2 bad input (one sentence on stderr).
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from ...files.atomic_write import check_outputs, write_text


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    args = _parser().parse_args(argv)
    try:
        args.run(args)
    except (ValueError, OSError) as error:
        print(f"rediprune.evaluation.lmms: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rediprune.evaluation.lmms", description=__doc__.split("\n\n")[1]
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    compare = commands.add_parser("compare", help="two runs, sample by sample, with intervals")
    compare.add_argument("a", type=Path, metavar="A", help="folder of a run, such as the unpruned one")
    compare.add_argument("b", type=Path, metavar="B", help="folder of another run of the same tasks")
    compare.add_argument("--json", type=Path, metavar="FILE", help="also write it as JSON")
    compare.set_defaults(run=run_compare)
    for name, data in (("intentqa", "the csv file of a split"), ("star", "the json file of a split")):
        make = commands.add_parser(name, help=f"make the task {name} of the benchmark's own files")
        make.add_argument("annotations", type=Path, help=data)
        make.add_argument("videos", type=Path, help="the folder that holds the videos, at any depth")
        make.add_argument("folder", type=Path, help="to write the task into, for --include_path")
        make.set_defaults(run=run_make, name=name)
    return parser


def run_compare(args: argparse.Namespace) -> None:
    """Run the command `compare`: print the table and write it as JSON where asked."""
    from .compare import compare, table
    from .results import read_run

    records = (file for folder in (args.a, args.b) for file in folder.rglob("*.json*"))
    check_outputs(args.json, inputs=(file for file in records if _is_run_file(file)))
    a, b = read_run(args.a), read_run(args.b)
    differences = compare(a, b)
    print(table(a, b, differences))
    if args.json:
        made = {"a": a.description, "b": b.description, "differences": [asdict(d) for d in differences]}
        write_text(args.json, json.dumps(made, indent=1) + "\n")
        print(f"Wrote {args.json}")


def _is_run_file(file: Path) -> bool:
    """Return whether a file is one of those that a run is read from."""
    return file.name.startswith("rediprune-") or "_samples_" in file.name


def _task_files(args: argparse.Namespace) -> list[Path]:
    """List the task's files that exist already; a file that does not exist cannot be the one that is read."""
    return [file for name in ("test.jsonl", f"{args.name}.yaml") if (file := args.folder / name).exists()]


def run_make(args: argparse.Namespace) -> None:
    """Run the command `intentqa` or `star`: write a task of the benchmark's files."""
    from . import intentqa, star
    from .local import write_task

    check_outputs(*_task_files(args), inputs=[args.annotations])
    docs = {"intentqa": intentqa, "star": star}[args.name].documents(args.annotations, args.videos)
    path = write_task(args.folder, args.name, docs)
    print(f"Wrote {path}: run it with --include_path {args.folder} --tasks {args.name}")


if __name__ == "__main__":
    sys.exit(main())
