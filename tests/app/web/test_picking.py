"""The explorer on the page, in real Chromium: its views, the picking step by step, and a choice by hand."""

import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from app.state import sources
from app.views import evidence, explorer
from rediprune import Explainer, PruneConfig, kept_count
from rediprune.explainer.model_card import Card
from rediprune.selection.greedy import distances
from tests.support import tiny
from tests.support.visitor import (
    PHONE,
    canvas,
    card,
    let_go,
    pixels,
    save,
    settled,
    slide,
    small_clips,
    visitor,
)

K = kept_count(tiny.N, 0.15)
T = 4


@pytest.fixture(scope="module", autouse=True)
def world():
    with small_clips(T):
        yield


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card())


@pytest.fixture
def first(page, explainer):
    """(look, selection) of the picture and question that the page opens with."""
    look = explainer.look(sources.load_frames(sources.Source(seed=sources.EXAMPLES[0]))[0])
    question = page.locator("#rp-answers .question").inner_text()
    return look, explainer.select(look, explainer.ask(look, question))


def view(page, name, shown):
    page.locator("#rp-explorer .views").get_by_role("button", name=name, exact=True).click()
    expect(canvas(page)).to_have_attribute("data-view", shown)


def token_at(page, i):
    """Where patch i of the picture lies on the screen."""
    box = canvas(page).bounding_box()
    step = box["width"] / tiny.GRID
    return box["x"] + (i % tiny.GRID + 0.5) * step, box["y"] + (i // tiny.GRID + 0.5) * step


def count(page):
    return int(canvas(page).get_attribute("data-kept"))


def button(page, name):
    return page.locator("#rp-explorer").get_by_role("button", name=name, exact=True)


def readout(page):
    return page.locator("#rp-explorer .readout")


def test_every_view_paints_something_else_moves_nothing_and_asks_nobody(page):
    before = [page.locator(name).bounding_box() for name in ("#rp-explorer", "#rp-knobs", "#rp-savings")]
    asked, seen = len(page.requests), {pixels(page)}
    for name, shown in (("Relevance", "heat"), ("Order", "order"), ("Distance", "distance")):
        view(page, name, shown)
        seen.add(pixels(page))
        expect(page.locator("#rp-explorer .legend-heat .low")).to_be_visible()
        slide(page, "#rp-keep", "40")
        expect(canvas(page)).to_have_attribute("data-kept", str(kept_count(tiny.N, 0.4)))
        slide(page, "#rp-keep", "15")
        expect(canvas(page)).to_have_attribute("data-kept", str(K))
    assert len(seen) == 4
    assert page.requests[asked:] == []
    assert [
        page.locator(name).bounding_box() for name in ("#rp-explorer", "#rp-knobs", "#rp-savings")
    ] == before


def test_the_distance_view_names_the_librarys_stand_in_and_those_it_stands_for(page, first):
    look, selection = first
    kept = selection.kept()
    between = distances(look.vision.features)[0][:, kept]
    far, who = between.min(dim=-1)
    view(page, "Distance", "distance")
    expect(page.locator("#rp-explorer .legend-heat .of")).to_have_text("distance to nearest kept")
    dropped = next(i for i in range(tiny.N) if i not in kept)
    plain = pixels(page)
    page.mouse.move(*token_at(page, dropped))
    row, column = divmod(kept[who[dropped]].item(), tiny.GRID)
    expect(readout(page)).to_contain_text(
        f"The nearest kept token is row {row + 1}, column {column + 1}, at distance {far[dropped]:.3f}."
    )
    assert pixels(page) != plain
    one = kept[who[dropped]].item()
    stands_for = sum(kept[who[i]].item() == one for i in range(tiny.N) if i not in kept)
    page.mouse.move(*token_at(page, one))
    expect(readout(page)).to_contain_text(f"It is the nearest kept token of {stands_for} dropped token")


def test_the_keyboard_walks_through_the_picks_and_each_says_its_arithmetic(page, first):
    _, selection = first
    scrub = page.locator("#rp-explorer .scrub")
    scrub.focus()
    for key, step in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("End", K), ("ArrowLeft", K - 1)):
        page.keyboard.press(key)
        expect(canvas(page)).to_have_attribute("data-step", str(step))
        expect(canvas(page)).to_have_attribute("data-kept", str(step))
    picked = page.locator("#rp-explorer .picked")
    row, column = divmod(selection.order[0, K - 2].item(), tiny.GRID)
    expect(picked).to_contain_text(f"Pick {K - 1} of {K}: row {row + 1}, column {column + 1}")
    expect(picked).to_contain_text(f"Distance {selection.distance[0, K - 2]:.3f} + 0.50 × relevance")
    expect(picked).to_contain_text(f"= score {selection.score[0, K - 2]:.3f}.")
    expect(picked).to_contain_text("Runner-up: row")
    button(page, "Done").click()
    expect(canvas(page)).to_have_attribute("data-step", "")
    expect(canvas(page)).to_have_attribute("data-kept", str(K))


def test_the_picking_plays_to_its_end_and_space_holds_it(page):
    page.get_by_role("button", name="Watch the selection").click()
    expect(canvas(page)).to_have_attribute("data-step", "2")
    page.locator("#rp-explorer .scrub").press(" ")
    expect(page.get_by_role("button", name="Watch the selection")).to_be_visible()
    page.locator("#rp-explorer .scrub").press(" ")
    expect(canvas(page)).to_have_attribute("data-step", str(K))
    expect(page.get_by_role("button", name="Watch the selection")).to_be_visible()
    slide(page, "#rp-keep", "30")  # a moved slider ends it
    expect(canvas(page)).to_have_attribute("data-step", "")


def test_while_picking_the_number_is_that_of_the_picks_and_the_view_that_stands_ends_it(page):
    number = page.locator("#rp-explorer .count")
    page.locator("#rp-explorer .scrub").press("Home")
    page.locator("#rp-explorer .scrub").press("ArrowRight")
    expect(number).to_have_text(re.compile(r"^1 ?of 36 visual tokens picked so far"))
    view(page, "Relevance", "heat")
    expect(canvas(page)).to_have_attribute("data-step", "1")
    view(page, "Relevance", "heat")
    expect(canvas(page)).to_have_attribute("data-step", "")
    expect(number).to_have_text(re.compile(rf"^{K} ?of 36 visual tokens kept"))


def choose_by_hand(page, tokens):
    button(page, "Edit").click()
    for i in tokens:
        before = count(page)
        page.mouse.click(*token_at(page, i))
        expect(canvas(page)).not_to_have_attribute("data-kept", str(before))


def test_a_click_adds_or_takes_out_and_everything_can_be_undone_and_redone(page, first):
    kept = first[1].kept().tolist()
    dropped = [i for i in range(tiny.N) if i not in kept]
    shown = pixels(page)
    choose_by_hand(page, [dropped[0], kept[0]])
    expect(page.locator("#rp-explorer .one")).to_have_text("(your choice)")
    assert count(page) == K
    page.keyboard.press("Control+z")
    expect(canvas(page)).to_have_attribute("data-kept", str(K + 1))
    button(page, "Undo").click()
    expect(canvas(page)).to_have_attribute("data-kept", str(K))
    expect(button(page, "Undo")).to_be_disabled()
    page.locator("#rp-explorer .edit").focus()
    page.keyboard.press("Control+Shift+Z")
    expect(canvas(page)).to_have_attribute("data-kept", str(K + 1))
    button(page, "Reset").click()
    expect(page.locator("#rp-explorer .one")).to_have_text("(one per patch)")
    page.mouse.move(5, 5)
    button(page, "Done").click()
    expect(button(page, "Edit")).to_be_visible()
    page.wait_for_function("p => document.querySelector('#rp-explorer .map').toDataURL() === p", arg=shown)


def test_a_drag_paints_a_lasso_encloses_and_the_keyboard_toggles(page, first):
    dropped = [i for i in range(tiny.N) if i not in first[1].kept()]
    row = next(r for r in range(tiny.GRID) if r * tiny.GRID in dropped)
    fresh = sum(i in dropped for i in range(row * tiny.GRID, (row + 1) * tiny.GRID))
    button(page, "Edit").click()
    page.mouse.move(*token_at(page, row * tiny.GRID))
    page.mouse.down()
    page.mouse.move(*token_at(page, (row + 1) * tiny.GRID - 1))
    page.mouse.up()
    expect(canvas(page)).to_have_attribute("data-kept", str(K + fresh))
    expect(button(page, f"Answer with my {K + fresh} tokens")).to_be_enabled()
    button(page, "Undo").click()
    expect(canvas(page)).to_have_attribute("data-kept", str(K))
    button(page, "Lasso").click()
    box = canvas(page).bounding_box()
    start = token_at(page, dropped[0])
    page.mouse.move(*start)
    page.mouse.down()
    for x, y in ((0, 0), (1, 0), (1, 1), (0, 1)):
        page.mouse.move(box["x"] + 1 + x * (box["width"] - 3), box["y"] + 1 + y * (box["height"] - 3))
    page.mouse.up()
    expect(canvas(page)).to_have_attribute("data-kept", re.compile(rf"^({tiny.N}|{tiny.N - 1})$"))
    button(page, "Undo").click()
    canvas(page).focus()
    page.keyboard.press("ArrowDown")
    expect(readout(page)).to_contain_text("Row 1, column 1")
    before = count(page)
    page.keyboard.press("Enter")
    expect(canvas(page)).not_to_have_attribute("data-kept", str(before))


def test_my_tokens_are_answered_as_the_library_answers_them_and_say_whose_choice_they_are(
    page, first, explainer, monkeypatch
):
    kept = first[1].kept().tolist()
    dropped = [i for i in range(tiny.N) if i not in kept]
    mine = sorted({*kept[1:], *dropped[:2]})
    calls, real = [], explainer.answer

    def answer(look, asked, kept=None, **how):
        calls.append(None if kept is None else kept.tolist())
        return real(look, asked, kept, **how)

    monkeypatch.setattr(explainer, "answer", answer)
    choose_by_hand(page, [kept[0], *dropped[:2]])
    expect(card(page, "pruned")).to_have_attribute("data-state", "stale")
    expect(page.locator("#rp-answers .line")).to_contain_text(
        f"the picture shows your own {len(mine)} tokens"
    )
    expect(page.locator("#rp-savings .ratio b").first).to_have_text("–")
    button(page, f"Answer with my {len(mine)} tokens").click()
    expect(card(page, "pruned").locator("h2")).to_have_text(f"Your own {len(mine)} of {tiny.N}")
    expect(page.locator("#rp-answers .line")).to_contain_text("KL")
    settled(page)
    assert mine in calls
    expect(page.locator("#rp-savings .measured")).to_contain_text(f"your {len(mine)} tokens")
    expect(page.locator("#rp-savings .ratio b").first).to_have_text(re.compile(r"\d"))
    button(page, "Reset").click()
    expect(card(page, "pruned")).to_have_attribute("data-state", "stale")
    expect(page.locator("#rp-answers .line")).to_contain_text("the picture shows the method's choice")
    page.get_by_role("button", name="Answer again").click()
    expect(card(page, "pruned").locator("h2")).to_have_text(f"Pruned to {K} tokens")
    settled(page)


def test_a_moved_slider_goes_back_to_the_rule_and_undo_brings_the_choice_back(page, first):
    dropped = next(i for i in range(tiny.N) if i not in first[1].kept())
    choose_by_hand(page, [dropped])
    slide(page, "#rp-keep", "50")
    expect(canvas(page)).to_have_attribute("data-kept", str(kept_count(tiny.N, 0.5)))
    let_go(page, "#rp-keep")
    expect(card(page, "pruned").locator("h2")).to_have_text(f"Pruned to {kept_count(tiny.N, 0.5)} tokens")
    settled(page)
    button(page, "Undo").click()
    expect(canvas(page)).to_have_attribute("data-kept", str(K + 1))
    expect(card(page, "pruned")).to_have_attribute("data-state", "stale")


def test_what_was_chosen_by_hand_is_what_is_saved(page, first, tmp_path):
    dropped = next(i for i in range(tiny.N) if i not in first[1].kept())
    choose_by_hand(page, [dropped])
    with page.expect_download() as found:
        save(page, "Save as picture")
    assert found.value.suggested_filename == f"kept-{K + 1}-by-hand.png"
    found.value.save_as(tmp_path / "mine.png")
    with Image.open(tmp_path / "mine.png") as saved:
        assert np.asarray(saved).std() > 0
    expect(button(page, "Save")).to_be_enabled()
    button(page, "Save").click()
    expect(page.get_by_role("dialog").get_by_role("button", name="selection as video, GIF")).to_be_disabled()
    expect(page.get_by_role("dialog")).to_contain_text("Reset them to save these files")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()


@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_a_clip_is_picked_frame_by_frame_or_across_frames_which_the_picture_follows(page, explainer, budget):
    page.get_by_role("button", name="Example clip").first.click()
    expect(page.locator("#rp-explorer .frames button")).to_have_count(T)
    settled(page)
    if budget == "shared":
        page.locator("#rp-budget input").click()
        page.get_by_role("option", name="Across frames").click()
        expect(page.locator("#rp-explorer .each")).to_have_text("in 4 frames, shared")
        settled(page)
    clip = sources.Source(seed=sources.CLIP_EXAMPLES[0], clip=True)
    look, question = explainer.look(sources.load_frames(clip)[0]), sources.suggestions(clip)[0]
    config = PruneConfig(budget=budget)
    order = explainer.select(look, explainer.ask(look, question, config), config).order
    page.locator("#rp-explorer .scrub").focus()
    page.keyboard.press("Home")
    for step in range(1, 6):
        page.keyboard.press("ArrowRight")
        expect(canvas(page)).to_have_attribute("data-step", str(step))
        frame = order[0, step - 1].item() // tiny.N if budget == "shared" else 0
        expect(canvas(page)).to_have_attribute("data-frame", str(frame))
    total = kept_count(T * tiny.N, 0.15) if budget == "shared" else K
    expect(page.locator("#rp-explorer .step-now")).to_have_text(f"5/{total}")
    expect(canvas(page)).to_have_attribute("data-kept", str(5 if budget == "shared" else 5 + 3 * K))


def test_many_distances_are_fetched_once_when_a_view_needs_them(page, first, monkeypatch):
    monkeypatch.setattr(explorer, "MOST_SENT", 0)
    page.locator("#rp-chips button").nth(1).click()
    expect(page.locator("#rp-answers .question")).to_have_text(
        page.locator("#rp-chips button").nth(1).inner_text()
    )
    settled(page)
    # The distances of this picture are known from the first question; another picture's are not.
    page.get_by_role("button", name="Example scene").nth(2).click()
    expect(page.locator("#rp-scenes [aria-pressed=true]")).to_have_count(1)
    settled(page)
    asked = len(page.requests)
    slide(page, "#rp-keep", "20")
    assert page.requests[asked:] == []
    view(page, "Distance", "distance")
    canvas(page).hover()
    expect(readout(page)).to_contain_text(re.compile("nearest kept token|No dropped token is nearest"))
    fetched = len(page.requests)
    assert fetched > asked
    slide(page, "#rp-keep", "60")
    expect(canvas(page)).to_have_attribute("data-kept", str(kept_count(tiny.N, 0.6)))
    assert len(page.requests) == fetched


def test_too_many_distances_are_refused_with_a_sentence(page, monkeypatch):
    monkeypatch.setattr(explorer, "MOST_SENT", 0)
    monkeypatch.setattr(evidence, "MOST_REQUESTED", 10)
    page.get_by_role("button", name="Example scene").nth(2).click()
    expect(page.locator("#rp-scenes [aria-pressed=true]")).to_have_count(1)
    settled(page)
    view(page, "Distance", "distance")
    canvas(page).hover()
    expect(readout(page)).to_contain_text("630 distances are too many")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_a_finger_chooses_and_no_mode_moves_the_sliders_or_scrolls_sideways(
    browser, address, scheme
):
    with (
        browser.new_context(viewport=PHONE, has_touch=True, color_scheme=scheme) as context,
        visitor(context, address) as page,
    ):
        settled(page)

        def place():  # the sliders stick to the screen's edge, the question does not; clicks scroll
            page.evaluate("scrollTo(0, 0)")
            return [page.locator(part).bounding_box() for part in ("#rp-knobs", "#rp-ask")]

        before = place()
        for name, shown in (("Order", "order"), ("Distance", "distance"), ("Kept", "kept")):
            view(page, name, shown)
            assert place() == before
        button(page, "Edit").click()
        expect(button(page, "Undo")).to_be_visible()
        assert place() == before
        page.touchscreen.tap(*token_at(page, 0))
        expect(canvas(page)).to_have_attribute("data-kept", re.compile(f"^({K - 1}|{K + 1})$"))
        assert place() == before
        button(page, "Done").click()
        page.get_by_role("button", name="Watch the selection").click()
        expect(canvas(page)).to_have_attribute("data-step", str(K))
        assert place() == before
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        sizes = page.evaluate(
            "[...document.querySelectorAll('#rp-explorer .steps button, #rp-explorer .hands button')]"
            ".map(b => b.offsetHeight).filter(height => height)"
        )
        assert min(sizes) >= 44
