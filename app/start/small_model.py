"""Choose and fetch the small real model that `--model small` stands for, before the page is built."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rediprune.models import ModelError
from rediprune.models.checkpoints.loading import prepare
from rediprune.models.checkpoints.placement import placement
from rediprune.models.checkpoints.progress import Progress
from rediprune.models.checkpoints.small import (
    SMALL,
    SmallModel,
    free_for_downloads,
    how_to_get,
    is_here,
    small_candidates,
)

WORD = "small"  # what stands for a name
STEPS = 10  # lines that a download prints


def is_small(name: str | None) -> bool:
    """Return whether a model's name on the command line stands for the small model that fits best."""
    return name is not None and name.strip().lower() == WORD


def small_model(device: str, say: Callable[[str], None] | None = None) -> str:
    """Return the hub name of the small model that fits this machine best; it is on this machine then.

    Where the best one cannot be fetched, the best of those that are on this machine already stands for it.

    Args:
        device: "cpu", "cuda", "cuda:1", "mps" or "auto".
        say: takes sentences for the person who starts the page; by default they are printed to stderr.

    Raises:
        ModelError: none fits into memory and on the disk, or none is here and none can be fetched.
    """
    say = say or _print
    place = placement(device, "auto", None, None)[0]
    here = [entry.name for entry in SMALL if is_here(entry)]
    free = free_for_downloads()
    candidates = small_candidates(place, free_disk=free, here=here)
    if not candidates:
        raise ModelError(_why_none(str(place), free))
    best = candidates[0]
    say(_describe(best, best.entry.name in here))
    try:
        prepare(best.entry.name, progress_printer(say))
        return best.entry.name
    except ModelError as error:
        instead = next((one for one in candidates if one.entry.name in here), None)
        if instead is None or instead is best:
            raise ModelError(_how_to_go_on(best, str(error))) from error
        say(f"{error}. {instead.entry.title} is on this machine and is opened instead.")
        return instead.entry.name


def progress_printer(say: Callable[[str], None] | None = None) -> Callable[[Progress], None]:
    """Return a function that says how far a download is, at every tenth of it."""
    say = say or _print
    said = -1

    def report(step: Progress) -> None:
        """Say a step of a download where a further tenth is done."""
        nonlocal said
        tenth = int(step.share * STEPS)
        if step.stage == "download" and tenth > said:
            said = tenth
            say(str(step))

    return report


def _describe(one: SmallModel, here: bool) -> str:
    """Return in one sentence which model was chosen and what it costs."""
    size = f"{one.entry.download_bytes / 1e9:.1f} GB"
    where = "on this machine already" if here else f"{size} to download"
    return (
        f"Opening {one.entry.name} ({where}; {one.entry.licence}): an answer about a photograph takes about "
        f"{one.seconds:.0f} s here, estimated from a timed matrix product."
    )


def _how_to_go_on(best: SmallModel, reason: str) -> str:
    """Return the reason why a model could not be fetched, and what to do."""
    return (
        f"{reason}. {best.entry.title} would fit this machine best: run `{how_to_get(best.entry)}` where "
        f"there is a connection ({best.entry.download_bytes / 1e9:.1f} GB), or leave --model out for the "
        "built-in model"
    )


def _why_none(device: str, free: int) -> str:
    """Return why no small model can be opened, by the smallest of them."""
    smallest = min(SMALL, key=lambda entry: entry.parameters)
    return (
        f"none of the small models fits this machine: even {smallest.title} needs "
        f"{smallest.download_bytes / 1e9:.1f} GB on the disk, where {free / 1e9:.1f} GB are free, and more "
        f"memory than {device} has free; leave --model out for the built-in model"
    )


def _print(sentence: str) -> None:
    """Print a sentence to stderr at once."""
    print(sentence, file=sys.stderr, flush=True)
