"""Measure models of 7B as `models` does: what pruning saves where the language model is most of the work.

On a CPU with enough memory this takes half an hour, most of it for clips of 32 frames. It has not been run on
a GPU yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from ...models.checkpoints.memory import room
from . import answer_tables
from .models import IMAGE, figures, measure_checkpoints
from .record import Estimate, Figure, NotEnoughMemoryError

__all__ = ["figures", "measure", "tables"]

# 7B parameters in 16 bits, and for a clip of 32 frames the encoder's activations or the KV cache.
REQUIRED_BYTES = 18 * 2**30

MEDIA_OF_CHECKPOINTS = {
    "llava-hf/llava-1.5-7b-hf": (IMAGE,),
    "llava-hf/LLaVA-NeXT-Video-7B-hf": (8, 16, 32),
}

tables = partial(answer_tables.tables, part="large")


def measure(device: str, quick: bool) -> Iterator[Figure | Estimate]:
    """Yield the figures of `models.measure` for models of 7B.

    Raises:
        NotEnoughMemoryError: this machine reports too little free memory.
    """
    free = room(device).free
    if not quick and free is not None and free < REQUIRED_BYTES:
        raise NotEnoughMemoryError(
            f"models of 7B need {REQUIRED_BYTES >> 30} GiB of free memory, and {free >> 30} GiB are free"
        )
    yield from measure_checkpoints(MEDIA_OF_CHECKPOINTS, device, quick)
