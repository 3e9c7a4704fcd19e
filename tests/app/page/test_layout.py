"""The page at every width: the picture stays square and names the right patch, and no text is cut."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect

from rediprune import Explainer
from rediprune.explainer.model_card import Card
from tests.support import tiny
from tests.support.visitor import PHONE, brief, canvas, card, settled, visitor

# Widths with usual heights; the last three are phones held sideways.
WINDOWS = (
    *((320, 568), (360, 740), (390, 844), (600, 960), (768, 1024), (900, 700), (1079, 800), (1080, 800)),
    *((1280, 800), (1600, 900), (2560, 1440), (568, 320), (667, 375), (844, 390)),
)
SIDE = 6  # patches of the tiny model in a row
CUT_TEXT = (Path(__file__).parents[2] / "js/cut_text.js").read_text(encoding="utf-8")
SENTENCE = "It stands left of a red circle, above something that nobody has named. "


@pytest.fixture(scope="module", autouse=True)
def short_answers():
    with brief():
        yield


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card(knows=SENTENCE * 3))


@pytest.fixture
def phone(browser, address):
    with (
        browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True) as context,
        visitor(context, address) as page,
    ):
        settled(page)
        yield page


def resize(page, width: int, height: int) -> None:
    """Another window; the page has been laid out and painted anew when this returns."""
    page.set_viewport_size({"width": width, "height": height})
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def readout(page):
    return page.locator("#rp-explorer .readout")


def test_at_every_width_the_picture_is_square_and_the_pointer_names_the_patch_that_it_is_on(page):
    for width, height in WINDOWS:
        resize(page, width, height)
        canvas(page).evaluate("c => scrollTo(0, scrollY + c.getBoundingClientRect().top)")
        box = canvas(page).bounding_box()
        assert box["width"] == pytest.approx(box["height"], abs=0.5), (width, box)
        assert 200 <= box["width"] <= width and box["height"] <= height, (width, box)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for across, down in ((0, 0), (SIDE - 1, 0), (0, SIDE - 1), (SIDE - 1, SIDE - 1), (3, 2)):
            x = box["x"] + (across + 0.5) / SIDE * box["width"]
            y = box["y"] + (down + 0.5) / SIDE * box["height"]
            page.mouse.move(x, y)
            expect(readout(page)).to_contain_text(f"Row {down + 1}, column {across + 1}:")


@pytest.mark.parametrize("length", [200, 1000])
def test_no_text_is_cut_at_any_width_however_long_the_answers_are(page, explainer, monkeypatch, length):
    real, said = explainer.answer, (SENTENCE * 20)[:length]
    monkeypatch.setattr(explainer, "answer", lambda *a, **how: replace(real(*a, **how), text=said))
    question = f"Where is the dog that is neither red nor {length}? " * 12
    page.get_by_label("Question", exact=True).fill(question)
    page.get_by_role("button", name="Ask").click()
    for side in ("full", "pruned"):
        expect(card(page, side).locator(".text")).to_have_text(said)
    settled(page)
    page.get_by_text("Your own picture or clip").click()
    page.locator("#rp-along summary").click()
    for width, height in WINDOWS:
        resize(page, width, height)
        assert page.evaluate(CUT_TEXT) == [], width


def test_a_text_that_is_cut_is_found(page):
    assert page.evaluate(CUT_TEXT) == []
    page.locator("#rp-answers .card.full .text").evaluate(
        "p => { p.style.height = p.style.minHeight = '20px'; p.style.overflow = 'hidden';"
        " p.textContent = 'many words '.repeat(40); }"
    )
    (found,) = page.evaluate(CUT_TEXT)
    assert "many words" in found


def test_a_long_notice_and_every_definition_can_be_read_and_definitions_move_nothing(page, tmp_path):
    page.get_by_role("button", name="Your own picture").click()
    tiny.image(3, (120, 80)).save(tmp_path / "photo.png")
    page.locator("#rp-photo input[type=file]").first.set_input_files(tmp_path / "photo.png")
    expect(page.locator("#rp-notice .text")).to_contain_text(SENTENCE.strip())
    settled(page)
    for width, height in WINDOWS:
        resize(page, width, height)
        heights = set()
        for name in ("visual_only", "kv_bytes", "agreement", "measured"):
            page.locator(f"[data-def={name}]").first.dispatch_event("click")
            expect(page.locator("#rp-savings .definition")).not_to_contain_text("Point at")
            assert page.evaluate(CUT_TEXT) == [], (width, name)
            heights.add(page.locator("#rp-savings").evaluate("s => s.offsetHeight"))
        assert len(heights) == 1, width


def test_a_suggestion_that_does_not_fit_takes_no_focus_and_the_others_are_seen_whole(page):
    for width, height in WINDOWS:
        resize(page, width, height)
        strip = page.locator("#rp-chips .chips")
        places = strip.evaluate(
            "s => { const edge = s.getBoundingClientRect(); return [...s.children].filter((c) => !c.hidden)"
            ".map((c) => edge.bottom - c.getBoundingClientRect().bottom); }"
        )
        assert len(places) >= 2 and min(places) >= 0, width
    resize(page, 1280, 800)
    page.get_by_role("button", name="Ask").focus()
    for _ in range(len(strip.locator("button:visible").all())):
        page.keyboard.press("Tab")
    expect(strip.locator("button:visible").last).to_be_focused()
    page.keyboard.press("Tab")
    assert not strip.evaluate("s => s.contains(document.activeElement)")


def test_on_a_phone_the_words_of_a_tapped_patch_are_in_sight_and_give_way_when_a_slider_moves(phone):
    heard = phone.locator("#rp-knobs .heard")
    answers = heard.inner_text()
    box = canvas(phone).bounding_box()
    phone.touchscreen.tap(box["x"] + 0.1 * box["width"], box["y"] + 0.3 * box["height"])
    expect(heard).to_have_text(re.compile("^Row 2, column 1: "))
    assert heard.evaluate(
        "h => { const b = h.getBoundingClientRect(), seen = (y) => document.elementFromPoint(b.left + 9, y);"
        " return [b.top + 4, b.bottom - 4].every((y) => h.contains(seen(y))); }"
    )
    phone.locator("#rp-keep").evaluate("s => s.dispatchEvent(new Event('input', { bubbles: true }))")
    expect(heard).to_have_text(answers)


def scrolled(page) -> int:
    return page.evaluate("Math.round(scrollY)")


@pytest.mark.parametrize("good", [True, False])
def test_on_a_phone_a_given_picture_is_scrolled_to_and_what_is_wrong_with_it_is_said_in_sight(
    phone, tmp_path, good
):
    path = tmp_path / "photo.png"
    if good:
        tiny.image(3, (120, 80)).save(path)
    else:
        path.write_bytes(b"\x89PNG\r\n\x1a\n not a picture")
    phone.get_by_role("button", name="Your own picture").click()
    phone.locator("#rp-photo").scroll_into_view_if_needed()
    assert canvas(phone).bounding_box()["y"] < -200
    phone.locator("#rp-photo input[type=file]").first.set_input_files(path)
    phone.wait_for_function("document.querySelector('#rp-explorer .map').getBoundingClientRect().top >= -1")
    settled(phone)
    expect(canvas(phone)).to_be_in_viewport(ratio=0.9)
    if good:
        expect(phone.locator("#rp-explorer .legend-cropped")).to_be_attached()
        return
    far = phone.locator("#rp-notice .far")
    expect(far).to_contain_text("photo.png")
    expect(far).to_be_in_viewport(ratio=1)
    far.get_by_role("button", name="Close").click()
    expect(far).to_be_hidden()


def test_nothing_else_scrolls_the_page_by_itself(phone):
    phone.evaluate("scrollTo(0, 700)")
    phone.get_by_label("Question", exact=True).evaluate(
        "b => { b.value = '   '; b.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    phone.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    before = scrolled(phone)
    phone.locator("#rp-go").evaluate("b => b.click()")
    expect(phone.locator("#rp-notice .far")).to_contain_text("question is empty")
    settled_or_stale = phone.locator("#rp-answers .card[data-state=stale]")
    expect(settled_or_stale.first).to_be_attached()
    assert scrolled(phone) == before


def test_a_desk_that_sees_the_picture_is_not_scrolled_by_an_upload(page, tmp_path):
    tiny.image(3, (120, 80)).save(tmp_path / "photo.png")
    page.get_by_role("button", name="Your own picture").click()
    before = scrolled(page)
    page.locator("#rp-photo input[type=file]").first.set_input_files(tmp_path / "photo.png")
    expect(page.locator("#rp-notice .text")).to_contain_text(SENTENCE.strip())
    settled(page)
    assert scrolled(page) == before
