"""Declare and read the arguments that several commands share: input, settings, device, lists of numbers."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ..config import BUDGETS, POINTINGS, POSITIONS, QUERIES, alpha_from_weight

if TYPE_CHECKING:
    from ..explainer.explainer import Explainer


class BadInput(ValueError):
    """Say in one sentence why the command line cannot be run."""


def add_input(command: argparse.ArgumentParser) -> None:
    """Declare the input, the question, the model, and the settings that hold for every method."""
    command.add_argument("file", help="a picture, a video or an animated picture")
    command.add_argument("question")
    command.add_argument(
        "--model", help="a folder or a Hub name, e.g. llava-hf/llava-1.5-7b-hf (default: built in)"
    )
    command.add_argument("--query", choices=QUERIES)
    command.add_argument("--pointing", choices=POINTINGS, help="how tokens meet the text-tower query")
    command.add_argument("--frames", type=int, default=8, metavar="T", help="taken of a clip (default 8)")
    command.add_argument("--budget", choices=BUDGETS, help="each frame keeps its share, or one for all")
    command.add_argument("--positions", choices=POSITIONS, help="of the kept tokens in the prompt")
    command.add_argument("--seed", type=int, help="of the random method")
    command.add_argument("--max-new-tokens", type=int, default=48, metavar="M")


def add_device(command: argparse.ArgumentParser) -> None:
    """Declare where the model runs, in which number format, and whether code of its own may run."""
    command.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps, auto (default cpu)")
    command.add_argument("--dtype", default="auto", help="auto, float32, bfloat16, float16 (default auto)")
    command.add_argument(
        "--quantise",
        choices=("int8", "int4"),
        help="the LLM in 8 or 4 bits; needs bitsandbytes and accelerate",
    )
    command.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="run Python code that comes with the model, where transformers has no class for it: read it "
        "before, as it can do whatever you can",
    )


def load(args: argparse.Namespace) -> Explainer:
    """Load the model that the command line names, on its device and in its number format."""
    from ..explainer.explainer import DEFAULT_MODEL, Explainer

    return Explainer.from_pretrained(
        args.model or DEFAULT_MODEL,
        device=args.device,
        dtype=args.dtype,
        quantise=args.quantise,
        trust_remote_code=args.trust_remote_code,
    )


def parse_numbers(args: argparse.Namespace, name: str) -> list[float] | None:
    """Return the numbers of a comma-separated argument; None if it was not given."""
    given = getattr(args, name)
    try:
        return given and [float(part) for part in given.split(",")]
    except ValueError:
        raise BadInput(f"--{name}={given} must be numbers with commas between them, as 0.1,0.25") from None


def config_changes(args: argparse.Namespace) -> dict:
    """Return the settings that the command line gives, as arguments of PruneConfig.

    Raises:
        BadInput: a number out of range.
    """
    names = ("keep_ratio", "alpha", "tau", "method", "query", "pointing", "seed", "budget", "positions")
    changes = {name: value for name in names if (value := getattr(args, name, None)) is not None}
    if getattr(args, "weight", None) is not None:
        changes["alpha"] = alpha_from_weight(args.weight)
    for name, least in (("max_new_tokens", 1), ("frames", 1), ("repeats", 0), ("seeds", 1)):
        if getattr(args, name, least) < least:
            raise BadInput(
                f"--{name.replace('_', '-')}={getattr(args, name)} is out of range: it must be >= {least}"
            )
    return changes
