"""Move the pointer on the page as a hand does, and measure how long each move takes to be painted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median, quantiles

from playwright.sync_api import Page

from .made_up import SIZES

WATCH = Path(__file__).with_name("watch.js").read_text(encoding="utf-8")
KEEP = "50"  # percent, where most tokens have borders and most distances are compared
STRIDE = 0.377  # of a slider's track in one move: a hand in a hurry, and never the same value twice in a row
VIEWS = {"kept": "Kept", "heat": "Relevance", "order": "Order", "distance": "Distance"}
TRIP = "button => speed.roundTrip(button)"


def drag_slider(slider: str) -> Callable[[Page], Iterator[None]]:
    """Drag a slider to and fro on its track."""

    def moves(page: Page) -> Iterator[None]:
        box = page.locator(slider).bounding_box()
        part = 0.5
        while True:
            page.mouse.move(box["x"] + 8 + part * (box["width"] - 16), box["y"] + box["height"] / 2)
            if part == 0.5:
                page.mouse.down()
            else:
                yield
            part = (part + STRIDE) % 1

    return moves


def hover(page: Page) -> Iterator[None]:
    """Move the pointer over the picture; every move goes to another patch."""
    box = page.locator("#rp-explorer .map").bounding_box()
    x, y = 0.5, 0.5
    while True:
        x, y = (x + 0.381) % 1, (y + 0.237) % 1
        page.mouse.move(box["x"] + 4 + x * (box["width"] - 8), box["y"] + 4 + y * (box["height"] - 8))
        yield


def switch_views(page: Page) -> Iterator[None]:
    """Click the views one after the other."""
    buttons = [page.locator(f"#rp-explorer .views [data-view={view}]").element_handle() for view in VIEWS]
    while True:
        for button in buttons:
            button.click()
            yield


# By name: in which view, the event that is timed, the moves.
GESTURES: dict[str, tuple[str, str, Callable[[Page], Iterator[None]]]] = {
    "keep slider": ("kept", "input", drag_slider("#rp-keep")),
    "keep slider, relevance": ("heat", "input", drag_slider("#rp-keep")),
    "keep slider, distance": ("distance", "input", drag_slider("#rp-keep")),
    "weight slider": ("kept", "input", drag_slider("#rp-weight")),
    "view switch": ("kept", "click", switch_views),
    "hover": ("kept", "pointermove", hover),
    "hover, distance": ("distance", "pointermove", hover),
    "scrub": ("kept", "input", drag_slider("#rp-explorer .scrub")),
}


def measure_gesture(page: Page, name: str, repeats: int, warm_up: int) -> list[dict]:
    """Measure {"frame", "work"} in milliseconds of `repeats` moves, after `warm_up` that do not count.

    A move after which nothing was painted is left out.
    """
    view, event, moves = GESTURES[name]
    page.locator(f"#rp-explorer .views [data-view={view}]").click()
    page.locator("#rp-keep").evaluate(
        "(s, to) => { s.value = to; s.dispatchEvent(new Event('input', {bubbles: true})); }", KEEP
    )
    hand = moves(page)
    found = []
    page.evaluate(WATCH, event)
    for _ in range(warm_up + repeats):
        next(hand)
        found.append(page.evaluate("speed.next()"))
    page.evaluate("speed.stop()")
    page.mouse.up()
    page.keyboard.press("Escape")  # out of the scrubbing
    return [one for one in found[warm_up:] if one is not None]


def measure_size(
    page: Page, show: Callable, size: str, gestures=tuple(GESTURES), repeats=40, warm_up=8, trips=10
) -> dict:
    """Measure every gesture at one size, and one change through the server; times in milliseconds.

    `show(size, whole)` sets which message the page's button #rp-speed fetches (made_up.message). "requests"
    counts those that left the browser during all the gestures.
    """
    button = page.locator("#rp-speed").element_handle()
    requests = []

    def note(request) -> None:
        requests.append(request.url)

    page.evaluate(WATCH, "none")
    show(size, True)
    page.evaluate(TRIP, button)
    page.wait_for_function(
        "t => document.querySelectorAll('#rp-explorer .frames button').length === (t > 1 ? t : 0)",
        arg=SIZES[size][0],
    )
    page.on("request", note)
    found = {name: measure_gesture(page, name, repeats, warm_up) for name in gestures}
    page.remove_listener("request", note)
    n_requests = len(requests)  # before those through the server below
    show(size, False)
    page.evaluate(WATCH, "none")
    through = [page.evaluate(TRIP, button) for _ in range(2 + trips)][2:]
    return {
        "gestures": {name: {"events": len(of)} | _spreads(of) for name, of in found.items()},
        "requests": n_requests,
        "server": spread(through),
    }


def _spreads(found: list[dict]) -> dict:
    return {part: spread([one[part] for one in found]) for part in ("work", "frame")}


def spread(values: list[float]) -> dict[str, float]:
    """Return median and 95th percentile."""
    top = quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]
    return {"median": round(median(values), 1), "p95": round(top, 1)}
