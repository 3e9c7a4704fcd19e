"""A bounded store that forgets the least recently used."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """The `size` most recently used values by key, size >= 1; safe between threads."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"remember={size} is out of range: it must be >= 1")
        self._size, self._lock = size, threading.Lock()
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
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
            return value
