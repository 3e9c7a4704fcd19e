"""Run the page as a process of its own, as its owner starts it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 240.0


class Server:
    """Run `python app.py` on a free port of this machine, with a folder of uploads of its own.

    Args:
        folder: for uploads and the log.
        flags: more words for the command line.
    """

    def __init__(self, folder: Path, flags: Sequence[str] = ()) -> None:
        self.uploads = folder / "uploads"
        self.log = folder / "server.log"
        self.uploads.mkdir(parents=True, exist_ok=True)
        self.flags = tuple(flags)
        self.port = _free_port()
        self.process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        """Return the address that the page is served at."""
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start the page and wait until it answers.

        Raises:
            RuntimeError: it ended, or did not answer in time.
        """
        command = [sys.executable, "app.py", "--port", str(self.port), *self.flags]
        variables = {**os.environ, "GRADIO_TEMP_DIR": str(self.uploads), "HF_HUB_OFFLINE": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the page ended with {self.process.returncode}: see {self.log}")
            try:
                if httpx.get(f"{self.address}config", timeout=5).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.2)
        self.end(signal.SIGKILL)
        raise RuntimeError(f"the page did not answer within {START_SECONDS:.0f} s")

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; return the exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(how)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(30)

    def tracebacks(self) -> int:
        """Return how many tracebacks the log holds."""
        return self.log.read_text(encoding="utf-8", errors="replace").count(
            "Traceback (most recent call last)"
        )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
