"""End the page's process at once when it is interrupted or told to end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

CLOSING_SECONDS = 1.0  # time for the server to close its port
INTERRUPTED = 130


def end_at_once(clean_up: Callable[[], None], close: Callable[[], object]) -> None:
    """Let SIGINT end the process with code 130 and SIGTERM with code 0, within about CLOSING_SECONDS.

    Python would wait for the threads that answer, and torch's own threads end badly when the interpreter is
    taken apart under them ("terminate called without an active exception"). So nothing is waited for.

    Args:
        clean_up: removes what must not stay; quick.
        close: closes the server; given up after CLOSING_SECONDS.
    """

    def end(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        closing = threading.Thread(target=close, daemon=True)
        closing.start()
        closing.join(CLOSING_SECONDS)
        clean_up()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED if number == signal.SIGINT else 0)

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
