"""What every test runs under: one thread, no network, no display; and the browser that page tests share."""

from __future__ import annotations

import os

# Read once, when torch, huggingface_hub, gradio and matplotlib are first imported: so before any of them is.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny models: a second thread costs more than it brings
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["MPLBACKEND"] = "Agg"

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from tests.support import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

BROWSER_FLAGS = (
    "--no-sandbox",  # CI runs as root, where Chromium's sandbox refuses to start
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session", autouse=True)
def offline() -> Iterator[None]:
    """A connection to another machine is an error: this is what holds the tests to being offline."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _only_here(getattr(socket.socket, name)))
        yield


def _only_here(connect):
    def guarded(self: socket.socket, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
            raise RuntimeError(f"a test tried to reach {address[0]}: tests run without a network")
        return connect(self, address)

    return guarded


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback or ip_address(host).is_unspecified
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One headless Chromium for all page tests; each takes its own `browser.new_page()` or context.

    Playwright's sync API leaves its event loop running in this thread until the session ends: later tests
    that need `asyncio.run` start it in a thread of their own.
    """
    path = chromium.find()
    if path is None:
        pytest.fail(chromium.MISSING, pytrace=False)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(BROWSER_FLAGS))
        yield running
        running.close()


# Of page tests. Each file says by a fixture `explainer`, of its whole module, which model its page is for.


@pytest.fixture(scope="module")
def address(explainer) -> Iterator[str]:
    """Where the page of the module's model is served."""
    from tests.support.visitor import served

    with served(explainer) as url:
        yield url


@pytest.fixture(scope="module")
def desk(browser) -> Iterator[BrowserContext]:
    """A browser window at desk size, shared so that Gradio's own scripts are read once."""
    from tests.support.visitor import DESK

    with browser.new_context(viewport=DESK) as context:
        yield context


@pytest.fixture
def page(desk, address) -> Iterator[Page]:
    """A fresh visitor, whose first answers are there."""
    from tests.support.visitor import settled, visitor

    with visitor(desk, address) as opened:
        settled(opened)
        yield opened
