"""Share what the page tests need: a served page, a visitor on it, and the moves of a hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from app.state import sources
from rediprune import Explainer
from tests.support import tiny

expect.set_options(timeout=30_000)  # two slow cores may be busy with other things
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


@contextmanager
def served(explainer, **how) -> Iterator[str]:
    """Serve a page for this model and yield its address; `how` goes to build_demo."""
    from app.page.build import build_demo, launch_options

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.answer.answering.QUICK_SECONDS", 60)  # a busy machine is no slow model
        demo = build_demo(explainer, **how)
        _, url, _ = demo.launch(
            prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **launch_options()
        )
        try:
            yield url
        finally:
            demo.close()


@contextmanager
def small_clips(frames: int) -> Iterator[None]:
    """Replace the page's example clips by quick ones of that many frames; real ones take long to render."""

    @cache
    def drawn(seed: int) -> SimpleNamespace:
        images = [tiny.image(10 * seed + t) for t in range(frames)]
        return SimpleNamespace(images=images, questions=[SimpleNamespace(text=f"Is dog {seed} near?")])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "_clip", drawn)
        yield


@contextmanager
def brief() -> Iterator[None]:
    """Cut every answer after a few words: a tiny model says nothing that is worth more time."""
    real = Explainer.answer

    def answer(self, *given, **how):
        return real(self, *given, **how | {"max_new_tokens": 6})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Explainer, "answer", answer)
        yield


@contextmanager
def visitor(context: BrowserContext, address: str) -> Iterator[Page]:
    """Open the page as a fresh visitor; requests and errors of the page's own scripts are noted."""
    opened = context.new_page()
    opened.requests, opened.errors = [], []
    opened.on("request", lambda request: opened.requests.append(request.url))
    opened.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.goto(address)
    expect(canvas(opened)).to_have_attribute("data-kept", re.compile(r"\d+"))
    yield opened
    assert opened.errors == []
    opened.close()


def canvas(page: Page) -> Locator:
    return page.locator("#rp-explorer .map")


def card(page: Page, side: str) -> Locator:
    return page.locator(f"#rp-answers .card.{side}")


def settled(page: Page) -> None:
    """Wait until the answers belong to what the page shows and nothing is running."""
    expect(page.locator("#rp-answers .card[data-state=done]")).to_have_count(2)


def pixels(page: Page) -> str:
    return canvas(page).evaluate("c => c.toDataURL()")


def save(page: Page, what: str) -> None:
    """Choose a file to be made; `what` is the accessible name of its button."""
    page.locator("#rp-explorer").get_by_role("button", name="Save", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name=what).click()


def slide(page: Page, name: str, to: str) -> None:
    """Move a slider as a hand does: input while it moves, change when it lets go."""
    page.locator(name).evaluate(
        "(s, to) => { s.value = to; s.dispatchEvent(new Event('input', {bubbles: true})); }", to
    )


def let_go(page: Page, name: str) -> None:
    page.locator(name).dispatch_event("change")
