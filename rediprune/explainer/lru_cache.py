"""Keep the most recently used values, limited by number and by memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Generic, TypeVar

import numpy as np
from PIL import Image
from torch import Tensor

V = TypeVar("V")
_BYTES_PER_PIXEL = {"1": 1, "L": 1, "P": 1}  # as Pillow holds them in memory; 4 in every other mode


class LruCache(Generic[V]):
    """Hold the most recently used values by key; safe between threads.

    Args:
        size: how many values are kept at most, >= 1.
        most_bytes: how many bytes they take together at most, by `kept_bytes`; None sets no limit. The value
            put last is kept whatever its size.

    Raises:
        ValueError: `size` is below 1.
    """

    def __init__(self, size: int, most_bytes: int | None = None) -> None:
        if size < 1:
            raise ValueError(f"remember={size} is out of range: it must be >= 1")
        self._size = size
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[object, V] = OrderedDict()

    def get(self, key: object) -> V | None:
        """Return the value of a key, which counts as used now; None if it is not there."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: object, value: V) -> V:
        """Keep a value, forget the least recently used beyond the limits, and return the value."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self._is_full():
                self._kept.popitem(last=False)
            return value

    def _is_full(self) -> bool:
        """Tell whether the values are more, or larger, than the limits allow."""
        if len(self._kept) > self._size:
            return True
        # One call for all values, so that memory that several of them share counts once.
        return self._most_bytes is not None and kept_bytes(tuple(self._kept.values())) > self._most_bytes


def kept_bytes(value: object) -> int:
    """Return about how many bytes of memory a value holds: its tensors, arrays, pictures, texts and bytes.

    Dataclasses, mappings and sequences are searched; an object that is reached twice counts once. Models and
    other callables count nothing: a value only refers to them.
    """
    visited: set[int] = set()
    pending = [value]
    total = 0
    while pending:
        one = pending.pop()
        if id(one) in visited:
            continue
        visited.add(id(one))
        if isinstance(one, Tensor):
            storage = one.untyped_storage()
            if storage.data_ptr() not in visited:  # views of one storage keep it once
                visited.add(storage.data_ptr())
                total += storage.nbytes()
        elif isinstance(one, np.ndarray):
            total += one.nbytes
        elif isinstance(one, Image.Image):
            total += one.width * one.height * _BYTES_PER_PIXEL.get(one.mode, 4)
        elif isinstance(one, str | bytes | bytearray):
            total += len(one)
        elif isinstance(one, Mapping):
            pending += [*one.keys(), *one.values()]
        elif isinstance(one, tuple | list | set | frozenset):
            total += 8 * len(one)
            pending += one
        elif is_dataclass(one) and not isinstance(one, type):
            pending += [getattr(one, field.name) for field in fields(one)]
    return total
