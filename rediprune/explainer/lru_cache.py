"""A bounded store that forgets the least recently used; bounded by number and by memory."""

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
_BYTES_A_PIXEL = {"1": 1, "L": 1, "P": 1}  # as Pillow keeps them in memory; of all other modes 4


class LruCache(Generic[V]):
    """The most recently used values by key; safe between threads.

    Args:
        size: how many values are kept at most, >= 1.
        most_bytes: how many bytes they take together at most, by `kept_bytes`; None sets no limit. The value
            put last is kept whatever it takes.

    Raises:
        ValueError: `size` is below 1.
    """

    def __init__(self, size: int, most_bytes: int | None = None) -> None:
        if size < 1:
            raise ValueError(f"remember={size} is out of range: it must be >= 1")
        self._size, self._most_bytes, self._lock = size, most_bytes, threading.Lock()
        self._kept: OrderedDict[object, V] = OrderedDict()

    def get(self, key: object) -> V | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: object, value: V) -> V:
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > 1 and self._is_full():
                self._kept.popitem(last=False)
            return value

    def _is_full(self) -> bool:
        if len(self._kept) > self._size:
            return True
        # All together, so that what several values share counts once.
        return self._most_bytes is not None and kept_bytes(tuple(self._kept.values())) > self._most_bytes


def kept_bytes(value: object) -> int:
    """Return about how many bytes of memory a value keeps: its tensors, arrays, pictures, texts and bytes.

    Dataclasses, objects, mappings and sequences are looked through; what is met twice counts once. Models and
    other callables count nothing: a value only refers to them.
    """
    seen: set[int] = set()
    waiting, total = [value], 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Tensor):
            storage = one.untyped_storage()
            if storage.data_ptr() not in seen:  # views of one storage keep it once
                seen.add(storage.data_ptr())
                total += storage.nbytes()
        elif isinstance(one, np.ndarray):
            total += one.nbytes
        elif isinstance(one, Image.Image):
            total += one.width * one.height * _BYTES_A_PIXEL.get(one.mode, 4)
        elif isinstance(one, str | bytes | bytearray):
            total += len(one)
        elif isinstance(one, Mapping):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, tuple | list | set | frozenset):
            total += 8 * len(one)
            waiting += one
        elif is_dataclass(one) and not isinstance(one, type):
            waiting += [getattr(one, field.name) for field in fields(one)]
    return total
