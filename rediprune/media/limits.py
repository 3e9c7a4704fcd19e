"""Limit the work that one file may cause: by time, and by a signal from outside."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from pathlib import Path

# Far above what a photo or clip takes; only files that are built to take long come near it.
MAX_SECONDS = 60.0


class MediaError(ValueError):
    """Report a picture or video that cannot be used, in one sentence for the person who gave it."""


class ReadingStopped(MediaError):
    """Report that the caller's `stop` ended the reading."""


class TimeLimitReached(MediaError):
    """Report a file that takes longer to read than the caller allows."""


class ReadingLimit:
    """Decide during the reading of one file whether to go on.

    Readers call `check` between packets, frames and reads from the file. Decoding a single picture or frame
    is one call into a C library that cannot be interrupted; its size is bounded before it starts.

    Attributes:
        is_seeking_slow: a seek took so long that no other is tried.
    """

    def __init__(
        self,
        name: str,
        stop: Callable[[], bool] | None = None,
        seconds: float | None = MAX_SECONDS,
    ) -> None:
        """Start the clock.

        Args:
            name: what the file is called in error messages.
            stop: returns True to end the reading; called often, so it must be cheap. None: never.
            seconds: how long the reading may take, above 0; None: without a limit.

        Raises:
            ValueError: seconds out of range.
        """
        if seconds is not None and not seconds > 0:  # NaN fails as well
            raise ValueError(f"seconds is {seconds!r}: give a number above 0, or None for no limit.")
        self.name = name
        self.stop = stop
        self.seconds = seconds
        self.is_seeking_slow = False
        self._is_stopped = False
        self._start = time.monotonic()

    def is_spent(self, share: float) -> bool:
        """Return whether more than this part of the seconds, in (0, 1], has passed."""
        return self.seconds is not None and time.monotonic() - self._start > share * self.seconds

    def check(self, share: float = 1.0) -> None:
        """Raise an error if the reading must end.

        Args:
            share: the part of the seconds, in (0, 1], that may have passed by now.

        Raises:
            ReadingStopped: `stop` returned True.
            TimeLimitReached: more time has passed.
        """
        # FFmpeg may ask for more bytes after a read has failed: a stop is asked for once and stays.
        self._is_stopped = self._is_stopped or (self.stop is not None and self.stop())
        if self._is_stopped:
            raise ReadingStopped(f"Reading {self.name} was stopped.")
        if self.is_spent(share):
            raise TimeLimitReached(
                f"{self.name} takes longer than {self.seconds:g} s to read: give a smaller or shorter one."
            )


class LimitedFile(io.BufferedReader):
    """Read a binary file, and check the limit on the way."""

    # Pillow reads some formats byte by byte, so of small reads only some are checked.
    _SMALL = 4096  # bytes
    _SMALL_READS = 256  # reads between two checks

    def __init__(self, path: Path, limit: ReadingLimit) -> None:
        """Open the file at `path`."""
        super().__init__(io.FileIO(path))
        self._limit = limit
        self._reads = 0

    def read(self, size: int | None = -1) -> bytes:
        """Read up to `size` bytes, all if it is None or negative.

        Raises:
            ReadingStopped, TimeLimitReached: see ReadingLimit.check.
        """
        self._reads += 1
        if size is None or not 0 <= size <= self._SMALL or self._reads % self._SMALL_READS == 0:
            self._limit.check()
        return super().read(size)
