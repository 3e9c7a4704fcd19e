"""Patch `model.generate` inside a prune block: the context manager, the patch and the call counter."""

from __future__ import annotations

import functools
import heapq
import inspect
import itertools
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ContextDecorator
from typing import Any, SupportsIndex

import torch

from .report import PruneError, PruneReport


class PruneContext(ContextDecorator):
    """Open a prune block at each `with`; warn if it is never entered, or dropped while a block is open."""

    _is_unused = False  # for an instance whose __init__ did not finish

    def __init__(self, open_block: Callable[[], AbstractContextManager[PruneReport]]) -> None:
        self._open_block = open_block
        self._is_unused = True
        self._blocks: list[AbstractContextManager[PruneReport]] = []

    def __enter__(self) -> PruneReport:
        """Open a block and return its report."""
        self._is_unused = False
        block = self._open_block()
        report = block.__enter__()
        self._blocks.append(block)
        return report

    def __exit__(self, *error) -> bool | None:
        """Close the block that was opened last."""
        return self._blocks.pop().__exit__(*error)

    def __call__(self, function):
        """Decorate a function: each of its calls runs inside a block."""
        self._is_unused = False  # a decorated function need not be called
        return super().__call__(function)

    def __del__(self) -> None:
        """Warn if pruning was meant but did not happen."""
        if self._is_unused:
            what = "prune(...) has no effect by itself, so nothing is pruned"
        elif getattr(self, "_blocks", None):
            what = "a prune block was dropped without being left, so nothing is pruned any more"
        else:
            return
        warnings.warn(
            f"{what}: write `with prune(model) as report:` and call model.generate inside", stacklevel=2
        )


class GeneratePatch:
    """Stand in for `model.generate` while a block is open; once it is closed, call the original.

    Args:
        original: the model's own generate.
        pruned: what is called while the block is open.
        pixels: names of the model's arguments that hold pixels.
    """

    def __init__(self, original: Callable, pruned: Callable, pixels: Sequence[str]) -> None:
        functools.update_wrapper(self, original)
        self._original = original
        self._pruned = pruned
        self._pixels = pixels
        self.open = True

    def __call__(self, *args, **kwargs):
        """Generate, pruned while the block is open."""
        generate = self._pruned if self.open else self._original
        return generate(*args, **kwargs)

    def refuse_pixels(self, model: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        """Raise PruneError if the model itself is called with an image; a forward pre-hook.

        A pruned call gives the model embeddings and no pixels, so it passes.
        """
        given = dict(kwargs)
        if args:  # only then: reading the signature is slow, and the hook runs at every decode step
            given |= dict(zip(inspect.signature(model.forward).parameters, args, strict=False))
        encoded = given.get("mm_encoder_outputs")  # what transformers' own generate makes of pixels
        if encoded or any(given.get(name) is not None for name in self._pixels):
            raise PruneError(
                "the model itself was given an image inside a prune block, where nothing of it would be "
                "pruned: call model.generate there, and the model outside"
            )

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """Refuse to be copied or pickled while the block is open.

        Raises:
            PruneError: the block is open.
        """
        if self.open:
            # The copy of the model would keep this patch, and run the model that it was copied from.
            raise PruneError("the model is inside a prune block: copy or pickle it outside")
        return super().__reduce_ex__(protocol)


class CallCounter:
    """Number the calls, which may run at once: each takes the smallest free number, from 0.

    A call that failed gives its number back.
    """

    def __init__(self) -> None:
        self._unused = itertools.count()
        self._lock = threading.Lock()
        self._given_back: list[int] = []

    def take(self) -> int:
        """Return the smallest number that is free, and take it."""
        with self._lock:
            return heapq.heappop(self._given_back) if self._given_back else next(self._unused)

    def give_back(self, number: int) -> None:
        """Make a number free again."""
        with self._lock:
            heapq.heappush(self._given_back, number)
