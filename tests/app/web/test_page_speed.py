"""The benchmark of the page measures what it says, and no gesture asks the server."""

import math

import pytest

from tests.page_speed import __main__ as command
from tests.page_speed.hand import GESTURES, measure_size, spread
from tests.page_speed.made_up import SIZES
from tests.page_speed.page import served


@pytest.fixture(scope="module")
def found(browser):
    with served() as (address, show), browser.new_context(viewport=command.DESK) as context:
        page = context.new_page()
        page.goto(address)
        page.locator("#rp-explorer .map[data-kept]").wait_for()
        run = measure_size(page, show, "1 x 576", repeats=1, warm_up=1, trips=1)
        assert page.locator("#rp-explorer .total").inner_text() == "576"
    return run


def test_every_gesture_is_seen_and_timed_and_none_asks_the_server(found):
    assert set(found["gestures"]) == set(GESTURES)
    for one in found["gestures"].values():
        assert one["events"] == 1
        assert 0 < one["work"]["median"] <= one["work"]["p95"] < math.inf
        assert one["frame"]["median"] > 0
    assert found["requests"] == 0
    assert found["server"]["median"] > 0


def test_the_table_marks_what_misses_its_aim(found):
    run = found | {"size": "1 x 576", "pixel_ratio": 1.0, "aim_ms": 16.7, "message_kib": 1067}
    slow, quick = ({"median": x, "p95": x} for x in (20.0, 2.0))
    run["gestures"] = {"hover": {"work": slow, "frame": slow}, "scrub": {"work": quick, "frame": slow}}
    lines = command.body(
        {"machine": "a desk", "chromium": "1", "repeats": 3, "warm_up": 1, "runs": [run]}
    ).splitlines()
    assert "| 20.0 (20.0) \\* |" in lines[4] and "| 2.0 (2.0) |" in lines[5]
    assert "during all moves: 0." in lines[-1]


def test_the_docs_page_has_the_place_for_the_table():
    text = (command.DOCS / "speed-of-the-page.md").read_text(encoding="utf-8")
    assert command.write_marked_tables(text, {command.NAME: "x"}) != text


def test_sizes_and_spreads():
    assert [t * side * side for t, side, *_ in SIZES.values()] == [576, 2880, 32 * 144]
    assert spread([1.0, 2.0, 3.0]) == {"median": 2.0, "p95": 2.9}
