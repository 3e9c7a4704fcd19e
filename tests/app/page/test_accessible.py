"""axe finds nothing serious on the page, at desk and phone width, light and dark, with everything opened."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from rediprune import Explainer
from rediprune.explainer.model_card import Card
from tests.support import tiny
from tests.support.visitor import DESK, PHONE, brief, settled, visitor


@pytest.fixture(scope="module", autouse=True)
def short_answers():
    with brief():
        yield


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card(knows="It knows its own pictures. " * 9))


def findings(page) -> list[str]:
    """What axe finds, minor things included, one sentence each."""
    return [
        f"{one['impact']} {one['id']}: {node['html'][:120]}"
        for one in Axe().run(page).response["violations"]
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("window", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_with_everything_opened(browser, address, window, scheme):
    with (
        browser.new_context(viewport=window, color_scheme=scheme, reduced_motion="reduce") as context,
        visitor(context, address) as page,
    ):
        settled(page)
        page.get_by_role("button", name="Your own picture").click()
        page.locator("#rp-along summary").click()
        page.locator("#rp-story").scroll_into_view_if_needed()
        expect(page.locator("#rp-story .step")).to_have_count(7)
        page.evaluate("scrollTo(0, 0)")
        assert findings(page) == []
        page.locator("#rp-models .change").click()
        expect(page.locator("#rp-models .room")).to_contain_text("on cpu")
        assert findings(page) == []
