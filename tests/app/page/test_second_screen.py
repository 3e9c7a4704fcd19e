"""The second screen in real Chromium. Waits are for states, never for time."""

import re
from pathlib import Path
from threading import Event
from xml.etree import ElementTree

import pytest
from playwright.sync_api import expect

from app.story import handler
from rediprune import Explainer, kept_count
from rediprune.explainer.model_card import Card
from tests.support import tiny
from tests.support.visitor import PHONE, brief, canvas, let_go, settled, slide, visitor


@pytest.fixture(scope="module", autouse=True)
def short_answers():
    with brief():
        yield


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card())


def step(page, name):
    return page.locator(f"#rp-story .step[data-id={name}]")


def down_to(page, part):
    page.locator(part).evaluate("part => part.scrollIntoView()")


def test_nothing_is_told_before_a_visitor_comes_to_it(page, monkeypatch):
    calls, real = [], handler.build_story
    monkeypatch.setattr(
        "app.page.second_screen.build_story", lambda *given: calls.append(given) or real(*given)
    )
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
    step(page, "relevance").locator("h3 button").focus()
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
        for part in (canvas(page), page.locator("#rp-keep"), page.locator("#rp-weight")):
            expect(part).to_be_in_viewport(ratio=1)  # before anything is scrolled
        down_to(page, "#rp-story")
        expect(page.locator("#rp-story .step")).to_have_count(7)
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_methods_are_compared_card_by_card_with_random_and_their_overlap(page):
    part = page.locator("#rp-compare")
    part.get_by_label("Uniform grid").uncheck()
    expect(part.get_by_label("Random (always)")).to_be_disabled()
    expect(part.locator(".line")).to_contain_text("estimate, from the times of the answers above")
    part.get_by_role("button", name="Compare").click()
    expect(part.locator("article[data-method=random] h3")).to_contain_text("5 draws")
    expect(part.get_by_role("button", name="Stop")).to_be_hidden()
    expect(part.locator("article[data-method=grid]")).to_have_count(0)
    cards = part.locator("article").count()
    assert cards == part.locator("input:checked").count()
    expect(part.locator("td")).to_have_count(cards * cards)
    expect(part.locator("td").first).to_have_text("1.00")
    expect(part.locator("article .text").first).not_to_be_empty()
    slide(page, "#rp-keep", "50")
    let_go(page, "#rp-keep")
    expect(part.locator(".line")).to_contain_text("earlier answer")


def test_a_sweep_is_drawn_and_taken_along(page):
    part = page.locator("#rp-sweep")
    for name in ("CDPruner", "DivPrune", "[CLS] attention", "Diversity only", "Relevance only"):
        page.locator("#rp-compare").get_by_label(name, exact=True).uncheck()
    part.get_by_label("also at weights").check()
    part.get_by_role("button", name="Sweep").click()
    expect(part.locator("polyline[data-method=random]")).to_have_attribute("data-points", "6")
    expect(part.locator("tr[data-method=rediprune] .from").first).to_have_text(re.compile(r"%|none"))
    part.get_by_role("button", name="Change of the first word").click()
    expect(part.locator(".note").first).to_contain_text("in nats")
    with page.expect_download() as saved:
        part.get_by_text("Save CSV").click()
    rows = Path(saved.value.path()).read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 6 * 6 and rows[0].startswith("method,")
    with page.expect_download() as saved:
        part.get_by_text("Save figure").click()
    figure = ElementTree.parse(saved.value.path())
    assert figure.getroot().tag.endswith("svg")
    assert "var(" not in ElementTree.tostring(figure.getroot(), encoding="unicode")


def test_a_sweep_can_be_stopped_and_keeps_what_it_has(page, explainer, monkeypatch):
    gate, real = Event(), explainer.expects

    def expects(*given, **how):
        assert gate.wait(60)
        return real(*given, **how)

    monkeypatch.setattr(explainer, "expects", expects)
    part = page.locator("#rp-sweep")
    part.get_by_role("button", name="Sweep").click()
    expect(part.locator(".line")).to_contain_text("unpruned answer first")
    part.get_by_role("button", name="Stop").click()
    expect(part.locator(".line")).to_contain_text("Stopping")
    gate.set()
    expect(part.locator(".line")).to_contain_text("Stopped at 0 of")
    expect(part.get_by_role("button", name="Sweep")).to_be_enabled()


def test_a_sweep_and_a_story_that_fail_say_so_and_can_be_asked_for_again(page, explainer, monkeypatch):
    def broken(*given, **how):
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(explainer, "expects", broken)
        patch.setattr("app.page.second_screen.build_story", broken)
        part = page.locator("#rp-sweep")
        part.get_by_role("button", name="Sweep").click()
        expect(part.locator(".line")).to_contain_text("Not finished")
        expect(part.get_by_role("button", name="Sweep")).to_be_enabled()
        down_to(page, "#rp-story")
        expect(page.locator("#rp-story .about")).to_contain_text("Not shown")
    slide(page, "#rp-keep", "50")
    let_go(page, "#rp-keep")
    expect(page.locator("#rp-story .step")).to_have_count(7)


def test_the_picture_stays_beside_the_step_that_is_read(page):
    down_to(page, "#rp-story")
    step(page, "saved").evaluate("step => step.scrollIntoView({block: 'end'})")
    expect(step(page, "saved")).to_be_in_viewport()
    expect(page.locator("#rp-story .picture")).to_be_in_viewport(ratio=1)


def test_a_step_is_shown_in_the_explorer(page):
    down_to(page, "#rp-story")
    step(page, "relevance").get_by_role("button", name="Show it in the picture above").click()
    expect(canvas(page)).to_have_attribute("data-view", "heat")
    expect(canvas(page)).to_be_in_viewport(ratio=1)
    expect(canvas(page)).to_be_focused()
