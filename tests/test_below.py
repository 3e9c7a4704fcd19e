"""The second screen in real Chromium. Waits are for states, never for time."""

import pytest
from playwright.sync_api import expect

from app import telling
from rediprune import Explainer, kept_count
from rediprune.card import Card
from tests import tiny
from tests.visitor import DESK, PHONE, let_go, served, settled, slide, visitor


@pytest.fixture(scope="module")
def address():
    with served(Explainer(tiny.model(), tiny.processor(), "tiny", Card())) as url:
        yield url


@pytest.fixture(scope="module")
def desk(browser):
    with browser.new_context(viewport=DESK) as context:
        yield context


@pytest.fixture
def page(desk, address):
    with visitor(desk, address) as opened:
        settled(opened)
        yield opened


def step(page, name):
    return page.locator(f"#rp-story .step[data-id={name}]")


def down_to(page, part):
    page.locator(part).evaluate("part => part.scrollIntoView()")


def test_nothing_is_told_before_a_visitor_comes_to_it(page, monkeypatch):
    calls, real = [], telling.tell
    monkeypatch.setattr("app.below.tell", lambda *given: calls.append(given) or real(*given))
    page.locator("#rp-chips button").nth(1).click()
    chip = page.locator("#rp-chips button").nth(1).inner_text()
    expect(page.locator("#rp-answers .question")).to_have_text(chip)
    settled(page)
    expect(page.locator("#rp-story .about")).to_contain_text("appear here")
    assert calls == []
    down_to(page, "#rp-story")
    expect(page.locator("#rp-story .step")).to_have_count(7)
    assert len(calls) == 1


def test_the_story_follows_the_answer(page):
    down_to(page, "#rp-story")
    kept = step(page, "kept").locator("p").first
    expect(kept).to_contain_text(f"{kept_count(tiny.N, 0.15)} of {tiny.N} tokens stay")
    slide(page, "#rp-keep", "50")
    let_go(page, "#rp-keep")
    expect(kept).to_contain_text(f"{kept_count(tiny.N, 0.5)} of {tiny.N} tokens stay")
    expect(page.locator("#rp-story .about")).to_contain_text("at 50% kept")


def test_a_step_lights_up_its_part_of_the_picture_by_pointer_and_by_keyboard(page):
    down_to(page, "#rp-story")
    picture = page.locator("#rp-story .picture img")
    expect(picture).to_have_attribute("data-lights", "all")
    step(page, "picks").hover()
    expect(picture).to_have_attribute("data-lights", "picks")
    step(page, "relevance").get_by_role("button").focus()
    expect(picture).to_have_attribute("data-lights", "heat")
    expect(page.locator("#rp-story .step[data-lit=true]")).to_have_count(1)


def test_the_picks_and_the_histogram_are_drawn(page):
    down_to(page, "#rp-story")
    expect(step(page, "picks").locator("tr")).to_have_count(6)
    expect(step(page, "picks").locator("td").nth(6)).to_contain_text("+ 0.5 ×")
    expect(step(page, "relevance").locator("svg")).to_have_count(3)
    expect(step(page, "query").locator(".bars i").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_reads_it_without_sideways_scroll(browser, address, scheme):
    with (
        browser.new_context(viewport=PHONE, color_scheme=scheme, has_touch=True) as context,
        visitor(context, address) as page,
    ):
        down_to(page, "#rp-story")
        expect(page.locator("#rp-story .step")).to_have_count(7)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
