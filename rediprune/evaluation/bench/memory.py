"""Count bytes without timing: the most that a call needs at any one time, and what a cache holds."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .record import Case, Figure


def peak_bytes(call: Callable[[], object], device: str | torch.device = "cpu") -> int:
    """Measure the most bytes of tensors that `call` holds at any one time, beyond those from before.

    On cuda the allocator counts. On a CPU every storage that an operation of torch returns is counted until
    it is freed: exact and equal in every run, unlike the size of the process, which keeps freed memory and
    does not shrink. Memory that an operation needs within itself and returns, such as oneDNN's reordered
    weights, is not counted there.
    """
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with _StorageCounter() as counter:
        call()
    return counter.most


def cache_bytes(cache: object) -> int:
    """Sum the bytes of the keys and values that a cache of transformers holds."""
    return sum(part.nbytes for layer in cache.layers for part in (layer.keys, layer.values))


def byte_figure(what: str, case: Case, size: int, device: str, dtype: str) -> Figure:
    """Make a Figure of counted bytes, which every run would give alike."""
    return Figure(what, dict(case), "bytes", size, size, size, device, dtype, warmup=0, repeats=1)


class _StorageCounter(TorchDispatchMode):
    """Count the storages that operations return, each once, for as long as it lives."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {
            leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if torch.is_tensor(leaf)
        }
        made = func(*args, **kwargs or {})
        for leaf in tree_leaves(made):
            if torch.is_tensor(leaf):
                self._note(leaf.untyped_storage(), given)
        return made

    def _note(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._known or key in given:  # a view, or written in place
            return
        self._known.add(key)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
