"""The page in real Chromium: what a visitor sees and does. Waits are for states, never for time.

Clips, tiles and files to save are in test_film.py.
"""

import re
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from rediprune import Explainer, kept_count
from rediprune.explainer.model_card import Card
from tests.support import tiny
from tests.support.visitor import DESK, PHONE, brief, canvas, card, let_go, pixels, served, settled, slide

KNOWS = "This model knows only its own test pictures."


@pytest.fixture(scope="module", autouse=True)
def short_answers():
    with brief():
        yield


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card(knows=KNOWS))


def test_the_first_paint_is_a_real_run(page, explainer):
    expect(canvas(page)).to_have_attribute(
        "data-kept", str(kept_count(tiny.N, explainer.defaults.keep_ratio))
    )
    for side in ("full", "pruned"):
        expect(card(page, side).locator(".text")).not_to_be_empty()
        expect(card(page, side).locator(".time")).to_contain_text("measured")
    expect(page.locator("#rp-savings .ratio")).to_have_count(3)
    expect(page.locator("#rp-savings .measured")).to_contain_text("median")


def test_nothing_is_asked_of_another_host(page, address):
    settled(page)
    here = urlsplit(address).netloc
    assert {urlsplit(url).netloc for url in page.requests if not url.startswith(("data:", "blob:"))} == {here}


def test_a_question_is_answered(page):
    page.get_by_label("Question", exact=True).fill("Where is the dog?")
    before = card(page, "full").locator(".text").inner_text()
    page.get_by_role("button", name="Ask").click()
    expect(card(page, "full").locator(".text")).not_to_have_text(before)
    settled(page)
    expect(page.locator("#rp-answers .line")).to_contain_text("KL")


def test_the_keep_slider_repaints_without_the_server_and_the_answer_says_it_is_stale_then_refreshes(page):
    settled(page)
    before, asked = pixels(page), len(page.requests)
    slide(page, "#rp-keep", "50")
    expect(canvas(page)).to_have_attribute("data-kept", str(kept_count(tiny.N, 0.5)))
    expect(card(page, "pruned")).to_have_attribute("data-state", "stale")
    expect(page.locator("#rp-answers .line")).to_contain_text("Answered at 15%")
    assert pixels(page) != before
    assert page.requests[asked:] == []
    let_go(page, "#rp-keep")
    expect(card(page, "pruned").locator("h2")).to_have_text(f"Pruned to {kept_count(tiny.N, 0.5)} tokens")
    settled(page)
    assert len(page.requests) > asked


def test_the_weight_slider_changes_which_patches_are_kept_without_the_server(page):
    settled(page)
    before, asked = pixels(page), len(page.requests)
    paints = canvas(page).get_attribute("data-paints")
    slide(page, "#rp-weight", "21")
    expect(canvas(page)).not_to_have_attribute("data-paints", paints)
    assert pixels(page) != before
    assert page.requests[asked:] == []
    expect(page.locator("#rp-knobs .weight-now")).to_have_text("1.00")


def test_the_savings_follow_the_slider_and_are_one_at_100_percent(page):
    settled(page)
    slide(page, "#rp-keep", "100")
    expect(page.locator("#rp-savings .ratio b").first).to_have_text("1.0×")
    expect(page.locator("#rp-savings .ratio b").last).to_have_text("1.0×")


def test_the_relevance_view_shows_its_scale_beside_the_picture(page):
    before = pixels(page)
    page.get_by_role("button", name="Relevance", exact=True).click()
    expect(canvas(page)).to_have_attribute("data-view", "heat")
    assert pixels(page) != before
    expect(page.locator("#rp-explorer .legend-heat .low")).to_have_text(re.compile(r"-?\d\.\d\d"))


def test_arrow_keys_walk_over_the_patches_and_say_what_they_are(page):
    canvas(page).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#rp-explorer .readout")).to_contain_text("Row 1, column 2")


def test_a_script_in_a_question_is_text(page):
    asked = '<img src=x onerror="window.bad=1"><script>window.bad=1</script>'
    page.get_by_label("Question", exact=True).fill(asked)
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#rp-answers .line")).to_contain_text("KL")
    settled(page)
    assert page.evaluate("window.bad") is None
    assert page.locator("#rp-page img[src=x]").count() == 0


def test_a_newcomer_is_told_what_to_do_where_there_is_no_news(page):
    settled(page)
    hint, said = page.get_by_text("New here?"), page.locator("#rp-notice .text")
    expect(said).to_contain_text("no word for")
    expect(hint).to_be_hidden()
    page.get_by_label("Question", exact=True).fill("what color is the star")
    page.get_by_role("button", name="Ask").click()
    expect(said).to_have_text("")
    expect(hint).to_be_visible()


def test_an_empty_question_gets_a_sentence_and_loses_nothing(page):
    settled(page)
    before = card(page, "full").locator(".text").inner_text()
    page.get_by_label("Question", exact=True).fill("   ")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#rp-notice")).to_contain_text("question is empty")
    expect(card(page, "full")).to_have_attribute("data-state", "stale")  # the box holds no question now
    expect(page.locator("#rp-answers .line")).to_contain_text("earlier question, after")
    expect(card(page, "full").locator(".text")).to_have_text(before)


def test_a_suggestion_is_asked_by_a_click(page):
    settled(page)
    chip = page.locator("#rp-chips button").nth(1)
    chip.click()
    expect(page.get_by_label("Question", exact=True)).to_have_value(chip.inner_text())
    settled(page)


def test_another_scene_is_shown_and_asked_about(page):
    before = pixels(page)
    page.get_by_role("button", name="Example scene").nth(2).click()
    page.wait_for_function(
        "before => document.querySelector('#rp-explorer .map').toDataURL() !== before", arg=before
    )
    settled(page)


def test_a_photo_is_answered_with_a_word_on_what_the_model_knows(page, tmp_path):
    tiny.image(3, (120, 80)).save(tmp_path / "photo.png")
    page.get_by_role("button", name="Your own picture").click()
    page.locator("#rp-photo input[type=file]").first.set_input_files(tmp_path / "photo.png")
    expect(page.locator("#rp-notice")).to_contain_text(KNOWS)
    expect(page.locator("#rp-notice code")).to_have_text("python app.py --model llava-hf/llava-1.5-7b-hf")
    expect(page.locator("#rp-scenes [aria-pressed=true]")).to_have_count(0)
    expect(page.get_by_label("Scene", exact=True)).to_have_value("")
    for side in ("full", "pruned"):
        expect(card(page, side).locator(".foreign")).to_be_visible()
    expect(page.locator("#rp-outside")).to_contain_text(KNOWS)
    expect(
        page.locator("#rp-explorer .legend-cropped")
    ).to_be_visible()  # 120 x 80: the sides are cropped away
    settled(page)


def test_a_broken_file_gets_a_sentence_and_the_picture_stays(page, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n not a picture")
    before = pixels(page)
    page.get_by_role("button", name="Your own picture").click()
    page.locator("#rp-photo input[type=file]").first.set_input_files(tmp_path / "broken.png")
    expect(page.locator("#rp-notice")).to_contain_text("broken.png")
    expect(page.locator("#rp-photo img")).to_have_count(0)
    assert pixels(page) == before
    settled(page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_gets_picture_sliders_answers_savings_in_this_order_without_sideways_scroll(
    browser, address, scheme
):
    context = browser.new_context(viewport=PHONE, color_scheme=scheme, has_touch=True)
    page = context.new_page()
    page.goto(address)
    expect(canvas(page)).to_have_attribute("data-kept", re.compile(r"\d+"))
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    tops = [
        page.locator(name).bounding_box()["y"]
        for name in ("#rp-explorer", "#rp-knobs", "#rp-answers", "#rp-savings")
    ]
    assert tops == sorted(tops)
    settled(page)
    said = [card(page, side).locator(".text").inner_text() for side in ("full", "pruned")]
    heard = page.locator("#rp-knobs .heard")  # beside the sliders, for the answers are out of sight
    assert max(map(len, said)) <= 48  # a longer one would be told by its first words
    expect(heard).to_have_text(f"{tiny.N} tokens: {said[0]} · 5 tokens: {said[1]}")
    expect(heard).to_be_in_viewport()
    context.close()


def test_nothing_jumps_when_an_answer_arrives(page):
    settled(page)

    def places():
        return [page.locator(name).bounding_box() for name in ("#rp-answers", "#rp-savings", "#rp-knobs")]

    before = places()
    page.locator("#rp-chips button").nth(2).click()
    expect(page.get_by_label("Question", exact=True)).to_have_value(
        page.locator("#rp-chips button").nth(2).inner_text()
    )
    settled(page)
    assert places() == before


def test_the_browser_counts_and_ranks_as_the_library_does(browser):
    """order.js against Python: rounding of halves included (196 * 0.125 and the like)."""
    source = (Path(__file__).parents[3] / "app/web/explorer/maths.js").read_text(encoding="utf-8")
    cases = [(n, percent / 100) for n in (1, 36, 50, 196, 576, 2880) for percent in range(1, 101)]
    page = browser.new_page()
    counted = page.evaluate(
        f"cases => {{ {source}; return cases.map(([n, keep]) => keptCount(n, keep)); }}", cases
    )
    assert counted == [kept_count(n, keep) for n, keep in cases]
    order = [[2, 0, 1], [0, 2, 1]]
    ranks = page.evaluate(
        f"order => {{ {source}; return [...ranksOf(Uint16Array.from(order.flat()), 3)]; }}", order
    )
    assert ranks == [1, 2, 0, 0, 2, 1]
    page.close()


def test_tabbing_past_a_menu_asks_nothing(page, explainer, monkeypatch):
    settled(page)
    calls, real = [], explainer.ask
    monkeypatch.setattr(explainer, "ask", lambda *a: calls.append(a[1]) or real(*a))
    menu = page.locator("#rp-menus input").first
    menu.focus()
    page.keyboard.press("Tab")
    page.get_by_label("Question", exact=True).fill("Not sent yet")
    menu.click()
    page.get_by_role("option", name="Uniform grid").click()
    expect(page.locator("#rp-knobs .weight-now")).to_have_text("not used")
    expect(page.locator("#rp-answers .question")).not_to_have_text("Not sent yet")
    assert set(calls) == {page.locator("#rp-answers .question").inner_text()}
    assert len(calls) == 1
    expect(card(page, "full")).to_have_attribute("data-state", "stale")
    expect(page.locator("#rp-answers .line")).to_contain_text("earlier question, after")


def test_the_patch_readout_goes_with_the_pointer(page):
    readout = page.locator("#rp-explorer .readout")
    canvas(page).hover()
    expect(readout).to_contain_text("Row")
    page.get_by_label("Question", exact=True).hover()
    expect(readout).to_contain_text("Point at a patch")


def test_numbers_are_defined_in_words(page):
    for name, words in (("agreement", "How likely the unpruned answer's"), ("prefill", "times less")):
        page.locator(f"[data-def={name}]").hover()
        expect(page.locator("#rp-savings .definition")).to_contain_text(words)


def test_sliders_moved_during_an_answer_ask_once_at_its_end(page, explainer, monkeypatch):
    settled(page)
    gate, calls, real = Event(), [], explainer.answer

    def answer(look, asked, kept=None, **how):
        if kept is not None:
            calls.append(kept.numel())
        assert gate.wait(60)
        return real(look, asked, kept, **how)

    monkeypatch.setattr(explainer, "answer", answer)
    page.get_by_role("button", name="Ask").click()
    expect(card(page, "pruned")).to_have_attribute("data-state", "wait")
    for percent in ("30", "40", "50"):
        slide(page, "#rp-keep", percent)
        let_go(page, "#rp-keep")
    gate.set()
    expect(card(page, "pruned").locator("h2")).to_have_text(f"Pruned to {kept_count(tiny.N, 0.5)} tokens")
    settled(page)
    assert calls == [kept_count(tiny.N, 0.15), kept_count(tiny.N, 0.5)]


def test_after_an_error_the_picture_and_the_answers_say_that_they_are_of_the_earlier_setting(
    page, explainer, monkeypatch
):
    settled(page)

    def refuses(*_):
        raise ValueError("This query cannot be asked.")

    monkeypatch.setattr(explainer, "ask", refuses)
    page.locator("#rp-menus input").first.click()
    page.get_by_role("option", name="Uniform grid").click()
    expect(page.locator("#rp-notice")).to_contain_text("This query cannot be asked.")
    expect(card(page, "pruned")).to_have_attribute("data-state", "stale")
    expect(page.locator("#rp-answers .line")).to_contain_text("earlier method")
    expect(page.locator("#rp-explorer .query")).to_contain_text("Still the earlier setting")


def test_a_full_queue_ends_the_waiting_with_a_sentence(page):
    settled(page)
    page.route("**/queue/join**", lambda route: route.fulfill(status=503, json={"detail": "Queue is full."}))
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#rp-answers .line")).to_contain_text("busy or cannot be reached")
    settled(page)


def test_a_desk_shows_all_without_scrolling_and_no_method_moves_anything(page):
    settled(page)
    parts = ("#rp-explorer", "#rp-knobs", "#rp-menus", "#rp-ask", "#rp-answers", "#rp-savings")
    before = [page.locator(name).bounding_box() for name in parts]
    assert all(box["y"] + box["height"] <= DESK["height"] for box in before)
    assert page.locator("#rp-below").bounding_box()["y"] >= DESK["height"]  # the second screen is the second
    page.locator("#rp-menus input").first.click()
    page.get_by_role("option", name="Random").click()
    expect(page.locator("#rp-knobs .weight-now")).to_have_text("not used")
    page.get_by_label("Question", exact=True).fill("A question of many words " * 10)
    assert [page.locator(name).bounding_box() for name in parts] == before


@pytest.fixture
def held(explainer, monkeypatch):
    """Every answer says one word, then waits until it is stopped; a queue of (question, stop signal)."""
    started, real = SimpleQueue(), explainer.answer

    def answer(look, asked, kept=None, on_text=None, stop=None, **how):
        started.put((asked.question, stop))
        if on_text and not stop.is_set():
            on_text("so far")
            stop.wait(60)
        return real(look, asked, kept, on_text=on_text, stop=stop, **how)

    monkeypatch.setattr(explainer, "answer", answer)
    return started


def started(held, question):
    """Wait until the answer to this question has begun; its stop signal."""
    while (found := held.get(timeout=60))[0] != question:
        pass
    return found[1]


def test_a_waiting_request_is_seen_at_once_and_enter_replaces_it_with_the_newest_knobs(page, held):
    settled(page)
    line, question = page.locator("#rp-answers .line"), page.get_by_label("Question", exact=True)
    question.fill("First?")
    question.press("Enter")
    started(held, "First?")
    slide(page, "#rp-keep", "40")
    let_go(page, "#rp-keep")
    for text in ("Second?", "Third?"):
        question.fill(text)
        question.press("Enter")
        expect(line).to_contain_text(re.compile("Waiting|Answering"), timeout=1_000)
    started(held, "Third?")
    expect(page.locator("#rp-answers .question")).to_have_text("Third?")
    slide(page, "#rp-keep", "60")
    let_go(page, "#rp-keep")
    page.get_by_role("button", name="Stop").click()
    expect(line).to_contain_text("Answered at 40%")
    assert "Third?" in page.locator("#rp-answers .question").inner_text()


def test_a_slow_model_answers_once_the_page_is_open_can_be_stopped_and_never_keeps_a_visitor_waiting(
    desk, explainer, held
):
    with served(explainer, first_run=False) as url:
        page = desk.new_page()
        page.goto(url)
        expect(card(page, "pruned").locator(".text")).to_have_text("so far")
        expect(canvas(page)).to_have_attribute("data-kept", re.compile(r"\d+"))
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#rp-answers .line")).to_contain_text("Stopped")
        expect(page.get_by_role("button", name="Stop")).to_be_hidden()

        question = page.get_by_label("Question", exact=True)
        for number in (1, 2):  # the second while the first is being answered
            chip = page.locator("#rp-chips button").nth(number)
            chip.click()
            expect(question).to_have_value(chip.inner_text())
            expect(card(page, "pruned")).to_have_attribute("data-state", "stream")
            started(held, chip.inner_text())
        question.fill("And where is the dog?")
        page.get_by_role("button", name="Ask").click()
        stop = started(held, "And where is the dog?")
        page.close()
        assert stop.wait(60), "the visitor left, but the answer went on"
