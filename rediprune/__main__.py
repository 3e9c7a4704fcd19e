"""Run `python -m rediprune COMMAND`, or `rediprune COMMAND` if the package is installed.

    answer IMAGE "QUESTION"   answer one question with all visual tokens and with the kept ones
    sweep IMAGE "QUESTION"    answer it with every method at every keep ratio: from which on does it hold?
    check [MODEL]             does pruning do what it says with this model on this machine?
    bench                     measure what pruning costs and saves here, and count what others claim

Exit codes: 0 done, 1 a check failed, 2 bad input (one sentence on stderr), 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from .cli import answer, bench, check, sweep
from .cli.arguments import BadInput
from .version import __version__

INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """Parse the command line; bad input raises an error in place of ending the process."""

    def error(self, message: str) -> NoReturn:
        """Raise BadInput with one sentence."""
        raise BadInput(f"{message} (see `{self.prog} --help`)")


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    try:
        args = _parser().parse_args(argv)
        return args.run(args)
    except (ValueError, OSError) as error:
        return _refuse(error)
    except RuntimeError as error:
        from .models import ModelError  # here, so that a mistyped path does not wait for transformers to load

        if not isinstance(error, ModelError):
            raise
        return _refuse(error)
    except KeyboardInterrupt:
        return INTERRUPTED


def _refuse(error: Exception) -> int:
    """Print the error as one line on stderr; return the exit code of bad input."""
    print(f"rediprune: {' '.join(str(error).split())}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    """Build the parser of all commands."""
    called = "rediprune" if Path(sys.argv[0]).stem == "rediprune" else "python -m rediprune"
    parser = _Parser(prog=called, description="Keep the visual tokens that matter to the question.")
    parser.add_argument("--version", action="version", version=f"rediprune {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in (answer, sweep, check, bench):
        command.add(commands)
    return parser


def leave(code: int) -> NoReturn:
    """End the process; after an interruption, at once and without Python's own clean-up.

    Threads of torch and of an answer may still run then: Python would wait for them, and a thread pool that
    is destroyed while its threads run ends with "terminate called without an active exception".
    """
    if code != INTERRUPTED:
        sys.exit(code)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the reader of a pipe may have been interrupted too
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main())
