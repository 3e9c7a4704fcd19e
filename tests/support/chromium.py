"""Find or install a Chromium for the browser tests: `python -m tests.support.chromium`.

The order: a Chromium or Chrome of the system, Debian's package for root, Playwright's own download. The tests
themselves only call `find` and install nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
MAC_APPS = ("Google Chrome.app/Contents/MacOS/Google Chrome", "Chromium.app/Contents/MacOS/Chromium")
MISSING = (
    "No Chromium or Chrome was found, and none could be installed: install one (Debian: apt-get install "
    "chromium; elsewhere: .venv/bin/python -m playwright install --with-deps chromium) and try again."
)
PLAYWRIGHT = [sys.executable, "-m", "playwright", "install"]
APT = ["apt-get", "-q", "-y"]


def find() -> str | None:
    """Find the path of a Chromium that starts, or None; a stub that only says 'use snap' does not start."""
    return next((path for path in _candidates() if _starts(path)), None)


def install() -> None:
    """Try to install by ways that need nobody's help until `find` succeeds; print each, never raise."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    if root and shutil.which("apt-get"):
        _run([*APT, "update"])
        _run([*APT, "install", "--no-install-recommends", "chromium"])
    if not find():
        _run([*PLAYWRIGHT, "chromium"])
    if root and not find():  # downloaded, but the system lacks the libraries that it needs
        _run([*PLAYWRIGHT, "--with-deps", "chromium"])


def _candidates() -> Iterator[str]:
    yield from (path for name in NAMES if (path := shutil.which(name)))
    yield from (str(path) for app in MAC_APPS if (path := Path("/Applications", app)).exists())
    from playwright.sync_api import sync_playwright  # asked last: it starts a process only to learn a path

    with sync_playwright() as playwright:
        yield playwright.chromium.executable_path


def _starts(path: str) -> bool:
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _run(command: list[str]) -> None:
    print("+", " ".join(command), flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, check=False, env=environment, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    if not find():
        install()
    if not (path := find()):
        sys.exit(MISSING)
    print("browser:", path)
