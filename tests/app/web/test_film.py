"""Clips and tiles in real Chromium: the film strip, budgets, a visitor's own clip, files to save."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from app.answer import handlers
from app.state import sources
from app.state.app_state import AppState, PageRun
from app.state.sources import CLIP_QUESTIONS
from rediprune import Explainer, PruneConfig, draw, kept_count, load_video
from rediprune.explainer.model_card import Card
from tests.families import llava_next, video_llava
from tests.support import tiny
from tests.support.footage import write, write_sound
from tests.support.visitor import (
    DESK,
    PHONE,
    brief,
    canvas,
    card,
    let_go,
    pixels,
    save,
    served,
    settled,
    slide,
    small_clips,
    visitor,
)

T = 8
EXPLORER = Path(__file__).parents[3] / "app" / "web" / "explorer"


@pytest.fixture(scope="module", autouse=True)
def world():
    with small_clips(T), brief():
        yield


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card())


@pytest.fixture
def clip(page):
    show_clip(page, 0)
    return page


def show_clip(page, number):
    page.get_by_role("button", name="Example clip").nth(number).click()
    expect(thumbs(page)).to_have_count(T)
    settled(page)


def thumbs(page):
    return page.locator("#rp-explorer .frames button")


def counts(page):
    return [int(number) for number in thumbs(page).evaluate_all("all => all.map(b => b.dataset.kept)")]


def kept_by_library(explainer, seed, keep, budget):
    """Of the example clip of that seed, kept tokens per frame."""
    look = explainer.look(sources.load_frames(sources.Source(seed=seed, clip=True))[0])
    config = PruneConfig(keep_ratio=keep, budget=budget)
    asked = explainer.ask(look, f"Is dog {seed} near?", config)
    return list(map(len, look.vision.per_frame(explainer.select(look, asked, config).kept())))


def give(page, file):
    if not page.locator("#rp-clip").is_visible():
        page.get_by_role("button", name="Your own picture or clip").click()
    page.locator("#rp-clip input[type=file]").set_input_files(file)


def test_the_film_strip_counts_what_the_library_keeps_of_every_frame_for_both_budgets(clip, explainer):
    page, seed = clip, sources.CLIP_EXAMPLES[0]
    assert counts(page) == kept_by_library(explainer, seed, 0.15, "frame") == [kept_count(tiny.N, 0.15)] * T
    expect(page.locator("#rp-explorer .each")).to_have_text("in 8 frames, each its share")
    page.locator("#rp-budget input").click()
    page.get_by_role("option", name="Across frames").click()
    expect(page.locator("#rp-explorer .each")).to_have_text("in 8 frames, shared")
    settled(page)
    for percent in (15, 40, 100):
        slide(page, "#rp-keep", str(percent))
        expected = kept_by_library(explainer, seed, percent / 100, "shared")
        expect(canvas(page)).to_have_attribute("data-kept", str(sum(expected)))
        assert counts(page) == expected
        assert sum(expected) == kept_count(T * tiny.N, percent / 100)
    let_go(page, "#rp-keep")
    expect(card(page, "pruned").locator("h2")).to_have_text(f"Pruned to {T * tiny.N} tokens")
    settled(page)


def test_what_a_budget_is_stands_one_hover_away(clip):
    clip.locator("#rp-explorer .each").hover()
    expect(clip.locator("#rp-savings .definition")).to_contain_text("a share of")


def test_a_click_and_the_arrow_keys_choose_the_frame(clip):
    page, first = clip, pixels(clip)
    thumbs(page).nth(3).click()
    expect(canvas(page)).to_have_attribute("data-frame", "3")
    expect(thumbs(page).nth(3)).to_have_attribute("aria-pressed", "true")
    assert pixels(page) != first
    for key, at in (("ArrowRight", 4), ("End", 7), ("ArrowRight", 7), ("ArrowLeft", 6), ("Home", 0)):
        page.keyboard.press(key)
        expect(canvas(page)).to_have_attribute("data-frame", str(at))
        expect(thumbs(page).nth(at)).to_be_focused()
    assert pixels(page) == first
    canvas(page).focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#rp-explorer .readout")).to_contain_text("Frame 1 of 8 (0.0 s), row 1, column 1")


def test_play_runs_through_the_frames_until_pause(clip):
    page = clip
    page.get_by_role("button", name="Play").click()
    expect(canvas(page)).to_have_attribute("data-frame", "2")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play")).to_have_attribute("aria-pressed", "false")
    page.get_by_role("button", name="Play").click()
    thumbs(page).nth(7).click()  # choosing a frame ends the play
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    expect(canvas(page)).to_have_attribute("data-frame", "7")


def test_the_thumbs_show_what_the_picture_shows_after_any_way_there(clip):
    """Painted patch by patch as the slider moves, they must equal those painted at once."""
    page = clip
    shot = "all => all.map(c => c.toDataURL())"
    small = page.locator("#rp-explorer .frames canvas")

    def painted(percent):
        paints = canvas(page).get_attribute("data-paints")
        slide(page, "#rp-keep", str(percent))
        expect(canvas(page)).not_to_have_attribute("data-paints", paints)
        return small.evaluate_all(shot)

    def viewed(name, view):
        page.get_by_role("button", name=name, exact=True).click()
        expect(canvas(page)).to_have_attribute("data-view", view)
        return small.evaluate_all(shot)

    step_by_step = [painted(percent) for percent in (90, 3, 50)][-1]
    heat = viewed("Relevance", "heat")
    assert painted(60) == heat  # relevance does not depend on the sliders
    assert painted(50) == heat
    assert viewed("Kept", "kept") == step_by_step
    assert len({*step_by_step}) == T


def test_the_budget_menu_is_closed_with_its_reason_where_there_is_one_frame(page):
    menu = page.locator("#rp-budget")
    expect(menu).to_contain_text("only one frame")
    expect(menu.locator("input")).to_be_disabled()
    show_clip(page, 1)
    expect(menu.locator("input")).to_be_enabled()
    expect(menu).not_to_contain_text("only one")
    page.get_by_role("button", name="Example scene").first.click()
    expect(menu.locator("input")).to_be_disabled()
    expect(page.locator("#rp-explorer .film")).to_be_hidden()


def test_a_changed_budget_marks_the_answers_until_they_are_new(clip, explainer, monkeypatch):
    page = clip

    def refuses(*_):
        raise ValueError("Not now.")

    monkeypatch.setattr(explainer, "ask", refuses)
    page.locator("#rp-budget input").click()
    page.get_by_role("option", name="Across frames").click()
    expect(page.locator("#rp-notice")).to_contain_text("Not now.")
    expect(card(page, "pruned")).to_have_attribute("data-state", "stale")
    expect(page.locator("#rp-answers .line")).to_contain_text("budget")
    expect(page.locator("#rp-explorer .query")).to_contain_text("Still the earlier setting")


def test_a_clip_fits_a_desk_and_moves_nothing_and_scrolls_by_itself_on_a_phone(page, browser, address):
    parts = ("#rp-explorer", "#rp-knobs", "#rp-menus", "#rp-scenes", "#rp-ask", "#rp-answers", "#rp-savings")

    def places(at):
        return [at.locator(name).bounding_box() for name in parts]

    def widths(at):
        return at.locator("#rp-explorer .frames").evaluate("f => [f.scrollWidth, f.clientWidth]")

    before = places(page)
    show_clip(page, 0)
    assert places(page) == before
    scrolled, seen = widths(page)
    assert scrolled == seen
    assert all(box["y"] + box["height"] <= DESK["height"] for box in before)
    with browser.new_context(viewport=PHONE, has_touch=True) as context, visitor(context, address) as phone:
        settled(phone)
        # Not the place of the sliders, which stick to the edge of the screen.
        before = phone.locator("#rp-explorer").evaluate("e => e.offsetHeight")
        show_clip(phone, 0)
        assert phone.locator("#rp-explorer").evaluate("e => e.offsetHeight") == before
        scrolled, seen = widths(phone)
        assert scrolled > seen
        assert phone.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        thumbs(phone).last.evaluate("b => b.click()")
        expect(canvas(phone)).to_have_attribute("data-frame", "7")
        strip, last = phone.locator("#rp-explorer .frames").bounding_box(), thumbs(phone).last.bounding_box()
        assert strip["x"] <= last["x"] and last["x"] + last["width"] <= strip["x"] + strip["width"] + 1


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    frames = [tiny.image(t // 5, (120, 80)) for t in range(80)]
    return write(tmp_path_factory.mktemp("clips") / "walk.mp4", n=80, images=frames)


def test_a_visitors_own_clip_is_answered_at_the_number_of_frames_that_is_wanted(page, video):
    give(page, video)
    expect(thumbs(page)).to_have_count(8)
    expect(page.get_by_label("Question", exact=True)).to_have_value(CLIP_QUESTIONS[0])
    settled(page)
    expect(thumbs(page).last).to_contain_text("7.9 s")
    page.locator("#rp-own").get_by_label("4", exact=True).check()
    expect(thumbs(page)).to_have_count(4)
    expect(card(page, "full").locator("h2")).to_have_text(f"All {4 * tiny.N} tokens")
    settled(page)
    page.get_by_role("button", name="Example scene").first.click()
    expect(page.locator("#rp-explorer .film")).to_be_hidden()
    expect(page.locator("#rp-clip input[type=file]")).to_have_count(1)  # emptied: it waits for a file again


def test_an_animated_picture_is_a_clip_and_its_notes_are_said(page, tmp_path):
    frames = [tiny.image(t) for t in range(5)]
    frames[0].save(tmp_path / "dance.webp", save_all=True, append_images=frames[1:], duration=500)
    page.get_by_role("button", name="Your own picture or clip").click()
    page.locator("#rp-photo input[type=file]").first.set_input_files(tmp_path / "dance.webp")
    expect(thumbs(page)).to_have_count(5)
    expect(page.locator("#rp-notice")).to_contain_text("only 5 frames")
    settled(page)


def test_every_bad_file_gets_one_sentence_and_the_clip_before_stays(clip, video, tmp_path):
    page, before = clip, pixels(clip)
    (tmp_path / "cut.mp4").write_bytes(video.read_bytes()[:300])
    (tmp_path / "diary.txt").write_text("Dear diary")
    (tmp_path / "empty.mp4").write_bytes(b"")
    write_sound(tmp_path / "song.wav", "pcm_s16le")
    for name in ("cut.mp4", "diary.txt", "empty.mp4", "song.wav"):
        give(page, tmp_path / name)
        expect(page.locator("#rp-notice")).to_contain_text(name)
        expect(page.locator("#rp-clip input[type=file]")).to_have_count(1)
        settled(page)
        assert pixels(page) == before and thumbs(page).count() == T
    (tmp_path / "huge.mp4").touch()
    with (tmp_path / "huge.mp4").open("r+b") as file:
        file.truncate(101 * 2**20)
    give(page, tmp_path / "huge.mp4")
    expect(page.get_by_text("exceed the maximum allowed size").first).to_be_visible()
    settled(page)
    assert pixels(page) == before


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_the_clip_is_saved_as_the_sliders_stand_and_reads_back(clip, explainer, tmp_path, kind):
    page, source = clip, sources.Source(seed=sources.CLIP_EXAMPLES[0], clip=True)
    slide(page, "#rp-keep", "40")
    expect(canvas(page)).to_have_attribute("data-kept", str(T * kept_count(tiny.N, 0.4)))
    with page.expect_download() as found:
        save(page, f"Save as clip, {kind.upper()}")
    assert found.value.suggested_filename == f"kept-40-percent.{kind}"
    found.value.save_as(tmp_path / f"film.{kind}")
    film = load_video(tmp_path / f"film.{kind}", T)
    side = {"mp4": 640, "gif": 480}[kind]
    assert [frame.size for frame in film.frames] == [(side, side)] * T
    assert film.seconds == pytest.approx([t * sources.CLIP_SECONDS for t in range(T)], abs=0.01)
    look = explainer.look(sources.load_frames(source)[0])
    config = PruneConfig(keep_ratio=0.4)
    kept = explainer.select(look, explainer.ask(look, f"Is dog {source.seed} near?"), config).kept()
    for ours, theirs in zip(
        draw.film(sources.load_frames(source)[0].frames, look.vision, kept, side), film.frames, strict=True
    ):
        assert np.abs(np.asarray(ours, int) - np.asarray(theirs, int)).mean() < 6
    expect(page.locator("#rp-explorer .readout")).to_contain_text(
        f"8 frames of {side} x {side} pixels, 2 a second"
    )
    let_go(page, "#rp-keep")
    settled(page)


def test_a_still_is_saved_as_a_picture_and_an_error_is_said(page, explainer, tmp_path, monkeypatch):
    with page.expect_download() as found:
        save(page, "Save as picture")
    found.value.save_as(tmp_path / "still.png")
    with Image.open(tmp_path / "still.png") as saved:
        assert saved.size == (448, 448) and found.value.suggested_filename == "kept-15-percent.png"
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_enabled()

    def refuses(*_, **__):
        raise ValueError("No disk.")

    monkeypatch.setattr(explainer, "select", refuses)
    save(page, "Save as picture")
    expect(page.locator("#rp-explorer .readout")).to_contain_text("Not saved: No disk.")


@pytest.fixture(scope="module")
def tiles():
    with served(Explainer(llava_next.model(), llava_next.processor(), "tiles", Card())) as url:
        yield url


def test_tiles_are_views_of_one_picture_and_padding_holds_no_tokens(desk, tiles, tmp_path):
    tiny.image(5, (150, 61)).save(tmp_path / "wide.png")
    with visitor(desk, tiles) as page:
        settled(page)
        page.get_by_role("button", name="Your own picture or clip").click()
        page.locator("#rp-photo input[type=file]").first.set_input_files(tmp_path / "wide.png")
        expect(thumbs(page)).to_have_count(3)
        settled(page)
        expect(thumbs(page).nth(0)).to_contain_text("whole")
        expect(thumbs(page).nth(1)).to_contain_text("part 1")
        expect(page.locator("#rp-explorer .each")).to_contain_text("in 3 views")
        expect(page.get_by_role("button", name="Play")).to_be_hidden()
        slide(page, "#rp-keep", "100")
        full = card(page, "full").locator(".n")
        expect(canvas(page)).to_have_attribute("data-kept", full.inner_text())
        assert sum(counts(page)) == int(full.inner_text()) < 3 * tiny.N
        thumbs(page).nth(1).click()
        canvas(page).focus()
        page.keyboard.press("ArrowUp")
        expect(page.locator("#rp-explorer .readout")).to_contain_text("no token here, only padding")
        expect(page.locator("#rp-explorer .legend-cropped")).to_contain_text("outside this part")
        with page.expect_download() as found:
            save(page, "Save as picture")
        assert found.value.suggested_filename == "kept-100-percent.png"


@pytest.fixture(scope="module")
def with_class_token():
    explainer = Explainer(video_llava.model(), video_llava.processor(), "whole", Card())
    with served(explainer) as url:
        yield url


def test_a_token_of_the_whole_frame_is_counted_and_said(desk, with_class_token):
    with visitor(desk, with_class_token) as page:
        settled(page)
        show_clip(page, 0)
        expect(page.locator("#rp-explorer .readout")).to_contain_text(
            re.compile(r"1 token stands for the whole frame: (kept|dropped)")
        )
        slide(page, "#rp-keep", "100")
        expect(canvas(page)).to_have_attribute("data-kept", str(T * (tiny.N + 1)))
        assert counts(page) == [tiny.N + 1] * T
        expect(page.locator("#rp-explorer .readout")).to_contain_text("kept, pick")


def test_paint_puts_patches_where_they_lie(browser):
    """paint.js alone: uneven columns, letterbox, a grey rest, and the border of a kept block."""
    source = (EXPLORER / "paint.js").read_text(encoding="utf-8")
    page = browser.new_page()
    found = page.evaluate(
        source
        + """; (() => {
        const picture = document.createElement("canvas");
        picture.width = 100; picture.height = 50;
        Object.defineProperties(picture, { naturalWidth: { value: 100 }, naturalHeight: { value: 50 } });
        const p = picture.getContext("2d");
        p.fillStyle = "#ff0000"; p.fillRect(0, 0, 100, 50);
        const frame = { box: [10, 0, 90, 50], x: [10, 40, 60, 90], y: [0, 25, 25, 50] };
        const made = makeLayers(picture, frame, 200, 0.4);
        const canvas = document.createElement("canvas");
        canvas.width = canvas.height = 200;
        const pen = canvas.getContext("2d");
        const at = (x, y) => [...pen.getImageData(x, y, 1, 1).data];
        paintKept(pen, made, (i) => i === 3);
        const kept = { rects: [0, 1, 2, 3].map((i) => patchRect(made, i)), cropped: made.cropped,
          inside: at(150, 130), dropped: at(50, 70), gap: at(100, 130),
          faded: at(5, 100), above: at(100, 20) };
        paintHeat(pen, made, (i) => [0, 1, NaN, 0.5][i], [0, 1], [[0, 0, 0], [200, 200, 200]], 1);
        const heat = { low: at(50, 70), high: at(150, 70), none: at(50, 130), middle: at(150, 130) };
        pen.clearRect(0, 0, 200, 200);
        paintBorder(pen, made, (i) => i === 0, [[2, "#00ff00"]], false);
        const border = { edge: at(20, 70), within: at(50, 75) };
        pen.clearRect(0, 0, 200, 200);
        paintBorder(pen, made, () => false, [[2, "#00ff00"]], true);
        return { kept, heat, border, whole: [at(21, 100), at(100, 51), at(100, 100)] };
        })()"""
    )
    page.close()
    kept, heat = found["kept"], found["heat"]
    assert kept["rects"] == [[20, 50, 60, 50], [120, 50, 60, 50], [20, 100, 60, 50], [120, 100, 60, 50]]
    assert kept["cropped"]
    assert kept["inside"] == [255, 0, 0, 255]
    grey, gap = kept["dropped"], kept["gap"]
    assert grey[0] == grey[1] == grey[2] < 128 and gap == grey  # between two columns nothing was read
    assert 0 < kept["faded"][3] < 255 and kept["above"][3] == 0
    assert heat["low"] == [0, 0, 0, 255] and heat["high"] == [200, 200, 200, 255]
    assert heat["middle"][0] == pytest.approx(100, abs=1)
    assert heat["none"][0] == heat["none"][1] and heat["none"] not in (heat["low"], heat["middle"])
    green = [0, 255, 0, 255]
    assert found["border"]["edge"] == green and found["border"]["within"][3] == 0
    assert found["whole"][:2] == [green, green] and found["whole"][2][3] == 0


def test_the_message_of_a_clip_is_small_and_flat(explainer):
    """Gradio walks through every nested value on each message: what is long must be a string."""
    run = PageRun(sources.Source(seed=0, clip=True), "Is dog 0 near?", "rediprune", "prompt-tail")
    view = handlers.compute_first_update(AppState(explainer), run, {"keep": 0.15, "weight": 1 / 3})
    nested = [value for value in view.explorer.values() if isinstance(value, (list, dict))]
    assert max(map(len, nested)) <= 22
    assert json.loads(view.explorer["frames"])


def test_what_is_saved_is_the_clips_own_once_it_is_answered(page):
    savings = page.locator("#rp-savings .savings")
    of_still = savings.locator(".bars").get_attribute("aria-label")
    show_clip(page, 0)
    expect(savings.locator(".bars")).not_to_have_attribute("aria-label", of_still)
    expect(savings).to_have_attribute("data-state", "done")


def test_the_picking_is_saved_as_a_film_that_ends_on_what_is_kept(clip, explainer, tmp_path):
    page, source = clip, sources.Source(seed=sources.CLIP_EXAMPLES[0], clip=True)
    slide(page, "#rp-keep", "30")
    with page.expect_download() as found:
        save(page, "Save the selection as video, GIF")
    assert found.value.suggested_filename == "picking-30-percent.gif"
    found.value.save_as(tmp_path / "picking.gif")
    film = load_video(tmp_path / "picking.gif", 75)
    assert film.duration == pytest.approx(7.5, abs=0.05)
    look = explainer.look(sources.load_frames(source)[0])
    config = PruneConfig(keep_ratio=0.3)
    selection = explainer.select(look, explainer.ask(look, f"Is dog {source.seed} near?", config), config)
    ours = draw.picking(sources.load_frames(source)[0].frames, look.vision, selection, side=720)
    for mine, theirs in ((ours[0], film.frames[0]), (ours[-1], film.frames[-1])):
        assert np.abs(np.asarray(mine, int) - np.asarray(theirs, int)[: mine.height, : mine.width]).mean() < 6
    expect(page.locator("#rp-explorer .readout")).to_contain_text("7.5 seconds of")
    let_go(page, "#rp-keep")
    settled(page)


def test_the_choice_of_files_fits_what_is_shown_and_closes_without_a_trace(page, tmp_path):
    save_button = page.locator("#rp-explorer").get_by_role("button", name="Save", exact=True)
    save_button.click()
    files = page.get_by_role("dialog")
    expect(files.get_by_text("Video of the selection")).to_be_visible()
    expect(files.get_by_text("Video of the clip")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(files).to_be_hidden()
    expect(save_button).to_be_focused()
    with page.expect_download() as found:
        save(page, "Save the selection as picture")
    found.value.save_as(tmp_path / "stages.png")
    with Image.open(tmp_path / "stages.png") as sheet:
        assert found.value.suggested_filename == "picking-15-percent.png"
        assert sheet.width == 3 * (320 + 32)
