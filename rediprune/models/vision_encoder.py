"""Running an encoder no further than what is read of it.

LLaVA reads CLIP's next to last layer, and transformers runs the last one, a LayerNorm and a pooling all the
same. What is read does not depend on what would come behind it, so it is equal to the last bit. The model's
own forward runs, with hooks that note what is read and an exception that ends it. They act in the thread that
reads and in no other, and are gone afterwards, by whatever way. A forward hook that somebody put on the
encoder as a whole does not fire, because the encoder does not come to its end.

All views go through together, as in the unmodified model. A few at a time would need less memory, but a
matrix product of fewer rows may round otherwise: with two threads it did, and answers were no longer the
model's own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

import torch
from torch import Tensor


class ReadEnough(Exception):
    """The encoder has come to the point where the last of what is read is there."""


def hidden_states(
    tower: torch.nn.Module,
    blocks: Sequence[torch.nn.Module],
    pixels: Tensor,
    layers: Sequence[int],
) -> list[Tensor]:
    """Return the states of `tower(pixels)` at these layers, [T, S, C] each; later layers are not run.

    Args:
        tower: an encoder that runs `blocks` one after the other, each once.
        pixels: views, [T, 3, H, W].
        layers: as in transformers' `hidden_states`: 0 goes into the first block, n comes out of block n - 1
            (before any norm behind the blocks), and negative ones count from the end.

    Raises:
        IndexError: a layer that the encoder does not have.
    """
    numbers = [range(len(blocks) + 1)[layer] for layer in layers]
    found: dict[int, Tensor] = {}
    note = _noting(found, max(numbers))
    with ExitStack() as hooks, suppress(ReadEnough):
        for number in set(numbers):
            if number == 0:
                hook = blocks[0].register_forward_pre_hook(lambda _, given: note(0, given[0]))
            else:
                block = blocks[number - 1]
                hook = block.register_forward_hook(lambda _, given, made, n=number: note(n, made))
            hooks.enter_context(hook)
        tower(pixels)
    return [found[number] for number in numbers]


def _noting(found: dict[int, Tensor], last: int) -> Callable[[int, Tensor], None]:
    """Note states by their number and end the forward at the last of them; idle in any other thread."""
    reader = threading.get_ident()

    def note(number: int, state: Tensor) -> None:
        if threading.get_ident() == reader:
            found[number] = state
            if number == last:
                raise ReadEnough

    return note


@contextmanager
def read_before(mergers: Sequence[torch.nn.Module], group: int) -> Iterator[list[Tensor]]:
    """Inside, the list holds what each merger was given by the encoder, which ends before the first of them.

    For encoders that have their projectors inside (the Qwen-VLs). Only kept tokens are to be merged, and the
    encoder has no switch for that: the other mergers, which it runs on its way, get a single group of
    patches instead. The exception that ends it, ReadEnough, is for the caller to suppress.
    """
    read: list[Tensor] = [torch.empty(0)] * len(mergers)
    reader = threading.get_ident()

    def note(merger: torch.nn.Module, args: tuple[Tensor]) -> tuple[Tensor] | None:
        if threading.get_ident() != reader:  # another one, which projects what was read before
            return None
        read[mergers.index(merger)] = args[0]
        if merger is mergers[0]:
            raise ReadEnough
        return (args[0][:group],)

    with ExitStack() as hooks:
        for merger in mergers:
            hooks.enter_context(merger.register_forward_pre_hook(note))
        yield read
