"""What a prune block puts on a model, and how it is entered and left."""

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
    """Opens a block at each `with`. One that is never entered, or dropped while open, says so."""

    _missed = False

    def __init__(self, block: Callable[[], AbstractContextManager[PruneReport]]) -> None:
        self._block, self._missed = block, True
        self._open: list[AbstractContextManager[PruneReport]] = []

    def __enter__(self) -> PruneReport:
        self._missed = False
        block = self._block()
        report = block.__enter__()
        self._open.append(block)
        return report

    def __exit__(self, *error) -> bool | None:
        return self._open.pop().__exit__(*error)

    def __call__(self, function):
        self._missed = False  # whether the function is ever called is its owner's affair
        return super().__call__(function)

    def __del__(self) -> None:
        if self._missed:
            what = "prune(...) has no effect by itself, so nothing is pruned"
        elif getattr(self, "_open", None):
            what = "a prune block was dropped without being left, so nothing is pruned any more"
        else:
            return
        warnings.warn(
            f"{what}: write `with prune(model) as report:` and call model.generate inside", stacklevel=2
        )


class GeneratePatch:
    """`model.generate` while a block is open; a plain call of the original once it is closed."""

    def __init__(self, original: Callable, pruned: Callable, pixels: Sequence[str]) -> None:
        functools.update_wrapper(self, original)
        self._original, self._pruned, self._pixels, self.open = original, pruned, pixels, True

    def __call__(self, *args, **kwargs):
        return (self._pruned if self.open else self._original)(*args, **kwargs)

    def refuse_pixels(self, model: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        """A hook on the model's forward, which a pruned call hands embeddings and nothing that was seen."""
        # Names of what came by position cost a look at the signature, and every decode step comes by here.
        named = zip(inspect.signature(model.forward).parameters, args, strict=False) if args else ()
        given = dict(named) | kwargs
        encoded = given.get("mm_encoder_outputs")  # what transformers' own generate makes of pixels
        if encoded or any(given.get(name) is not None for name in self._pixels):
            raise PruneError(
                "the model itself was given an image inside a prune block, where nothing of it would be "
                "pruned: call model.generate there, and the model outside"
            )

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        if self.open:
            # A copy of the model would carry it along, and go on running the model that it was copied from.
            raise PruneError("the model is inside a prune block: copy or pickle it outside")
        return super().__reduce_ex__(protocol)


class CallCounter:
    """Numbers of calls that may run at once: each has one of its own, and one that failed gives it back."""

    def __init__(self) -> None:
        self._new, self._lock = itertools.count(), threading.Lock()
        self._given_back: list[int] = []

    def take(self) -> int:
        with self._lock:
            return heapq.heappop(self._given_back) if self._given_back else next(self._new)

    def give_back(self, number: int) -> None:
        with self._lock:
            heapq.heappush(self._given_back, number)
