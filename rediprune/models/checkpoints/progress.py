"""How far a download or the reading of weights is, taken from the progress bars that already count it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from tqdm.auto import tqdm
from transformers.utils import logging


@dataclass(frozen=True)
class Progress:
    """One step of getting a model.

    Attributes:
        stage: "download" counts bytes, "load" counts weight tensors.
        done, total: 0 <= done <= total, and done never falls within a stage.
    """

    stage: Literal["download", "load"]
    done: int
    total: int

    @property
    def share(self) -> float:
        """In [0, 1]."""
        return self.done / self.total if self.total else 1.0

    def __str__(self) -> str:
        if self.stage == "download":
            return f"Downloading: {self.done / 1e9:.2f} of {self.total / 1e9:.2f} GB"
        return f"Reading weights: {self.done:,} of {self.total:,} tensors"


Report = Callable[[Progress], None]


class SilentBar(tqdm):
    """A bar that draws nothing and hands its count on; subclass it with a `counted(self)`."""

    def __init__(self, *args, **kwargs) -> None:
        self.counts_bytes = kwargs.get("unit") == "B"
        super().__init__(*args, **{**kwargs, "disable": True})

    def counted(self) -> None:
        """Report after every change of self.n."""

    def update(self, n: float | None = 1) -> None:
        self.n += n or 0
        self.counted()

    def __iter__(self) -> Iterator:
        for item in self.iterable:
            yield item
            self.update()


def download_bars(total: int, report: Report) -> type[SilentBar]:
    """Return the `tqdm_class` for huggingface_hub that reports bytes out of `total`.

    The hub counts twice, bytes received and bytes written, from several threads; the larger counts.
    """
    lock, best = threading.Lock(), 0

    class Bar(SilentBar):
        def counted(self) -> None:
            nonlocal best
            with lock:
                if self.counts_bytes and best < self.n:
                    best = int(self.n)
                    report(Progress("download", min(best, total), total))

    return Bar


@contextmanager
def loading_reported(report: Report | None) -> Iterator[None]:
    """Inside, weights that this thread reads with transformers are reported; other threads are left alone."""
    if report is None:
        yield
        return
    mine = threading.get_ident()

    class Bar(SilentBar):
        def counted(self) -> None:
            report(Progress("load", int(self.n), int(self.total)))

    def hook(factory, args, kwargs):
        if threading.get_ident() == mine:
            return Bar(*args, **kwargs)
        return before(factory, args, kwargs) if before else factory(*args, **kwargs)

    before = logging.set_tqdm_hook(hook)
    try:
        yield
    finally:
        logging.set_tqdm_hook(before)
