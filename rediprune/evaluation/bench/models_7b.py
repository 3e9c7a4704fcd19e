"""Part 2 again, with models of 7B: what pruning saves where the language model is most of the work.

On a CPU with room for the weights half an hour, most of it clips of 32 frames; on a GPU not run yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ...models.checkpoints.memory import room
from . import answer_tables as answers
from .models import IMAGE, figures, measured
from .record import Estimate, Figure, NoRoom

__all__ = ["figures", "measure", "tables"]

ROOM = 18 * 2**30  # bytes: 7B in 16 bits, and of a clip of 32 frames the encoder's work or the cache

BIG = {
    "llava-hf/llava-1.5-7b-hf": (IMAGE,),
    "llava-hf/LLaVA-NeXT-Video-7B-hf": (8, 16, 32),
}

tables = partial(answers.tables, part="large")


def measure(device: str, quick: bool) -> Iterator[Figure | Estimate]:
    """As `models.measure`.

    Raises:
        NoRoom: too little free memory on this machine, as far as it says.
    """
    free = room(device).free
    if not quick and free is not None and free < ROOM:
        raise NoRoom(f"models of 7B need {ROOM >> 30} GiB of free memory, and {free >> 30} GiB are free")
    yield from measured(BIG, device, quick)
