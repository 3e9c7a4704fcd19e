"""Taking a run along, in real Chromium: a trace saved and opened by another visitor, a link, a program."""

import json
import re

import pytest
from playwright.sync_api import expect

from rediprune import Explainer, kept_count
from rediprune.explainer.model_card import Card
from tests.support import tiny
from tests.support.visitor import brief, canvas, card, let_go, settled, slide, small_clips, visitor


@pytest.fixture(scope="module", autouse=True)
def world():
    with small_clips(3):
        yield


@pytest.fixture(scope="module", autouse=True)
def short_answers():
    with brief():
        yield


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card())


def along(page):
    part = page.locator("#rp-along")
    if not part.locator(".body").is_visible():
        part.locator("summary").click()
    return part


def take(page, path):
    with page.expect_download() as news:
        along(page).get_by_role("button", name="Save the trace").click()
    news.value.save_as(path)
    expect(page.locator("#rp-along .said")).to_contain_text("Saved rediprune-scene-")
    return path


def give(page, path):
    along(page).locator(".file").set_input_files(path)


def texts(page):
    return [card(page, side).locator(".text").inner_text() for side in ("full", "pruned")]


def choose_by_hand(page):
    """Answer with one more token, the first."""
    page.locator("#rp-explorer .edit").click()
    canvas(page).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.get_by_role("button", name=re.compile("Answer with my")).click()
    expect(card(page, "pruned").locator(".what")).to_have_text("Your own")
    settled(page)


def test_a_saved_run_opened_by_another_visitor_is_the_same_run(page, desk, address, tmp_path):
    slide(page, "#rp-keep", "40")
    let_go(page, "#rp-keep")
    expect(card(page, "pruned").locator("h2")).to_have_text(f"Pruned to {kept_count(tiny.N, 0.4)} tokens")
    settled(page)
    said, path = texts(page), take(page, tmp_path / "run.json")
    choose_by_hand(page)
    kept, by_hand = canvas(page).get_attribute("data-kept"), take(page, tmp_path / "own.json")
    expect(along(page).locator(".code")).to_contain_text("torch.tensor([")
    expect(along(page).locator(".why-no-link")).to_contain_text("chosen by hand")
    with visitor(desk, address) as other:
        settled(other)
        give(other, path)
        expect(card(other, "full").locator(".foreign")).to_have_text("from a file, not run here")
        expect(other.locator("#rp-notice")).to_contain_text("nothing was run here")
        expect(along(other).locator(".said")).to_contain_text("Opened: ")
        settled(other)
        assert texts(other) == said
        expect(canvas(other)).to_have_attribute("data-kept", str(kept_count(tiny.N, 0.4)))
        expect(other.locator("#rp-knobs .keep-now")).to_have_text("40%")
        expect(along(other).locator(".why-no-link")).to_contain_text("does not fit into a link")
        asked = len(other.requests)
        slide(other, "#rp-weight", "21")
        slide(other, "#rp-keep", "60")
        expect(canvas(other)).to_have_attribute("data-kept", str(kept_count(tiny.N, 0.6)))
        expect(other.locator("#rp-answers .line")).to_contain_text("Answered at 40%")
        assert other.requests[asked:] == []
        other.get_by_role("button", name="Answer again").click()  # its own model is open: it can go on
        expect(card(other, "full").locator(".foreign")).to_be_hidden()
        settled(other)
        give(other, by_hand)
        expect(card(other, "pruned").locator(".what")).to_have_text("Your own")
        settled(other)
        assert canvas(other).get_attribute("data-kept") == kept


def test_a_bad_file_changes_nothing_and_a_strangers_text_is_text(page, tmp_path):
    (tmp_path / "bad.json").write_text('{"format": 3, "<img src=x onerror=window.bad=1>": 1}')
    before, kept = texts(page), canvas(page).get_attribute("data-kept")
    give(page, tmp_path / "bad.json")
    expect(page.locator("#rp-notice")).to_contain_text("bad.json cannot be opened as a trace")
    expect(along(page).locator(".said")).to_have_text("Not opened: the message at the top says why.")
    settled(page)
    assert texts(page) == before and canvas(page).get_attribute("data-kept") == kept

    record = json.loads(take(page, tmp_path / "run.json").read_text())
    bad = "<img src=x onerror='window.bad=1'>"
    record |= {"question": bad, "model": bad, "notes": [bad]}
    record["answers"]["full"]["text"] = record["answers"]["pruned"]["text"] = bad
    (tmp_path / "hostile.json").write_text(json.dumps(record))
    give(page, tmp_path / "hostile.json")
    expect(card(page, "full").locator(".text")).to_have_text(bad)
    expect(page.locator("#rp-notice")).to_contain_text("which is not the open model")
    settled(page)
    assert page.evaluate("window.bad") is None and page.locator("img[src=x]").count() == 0
    slide(page, "#rp-keep", "50")
    page.get_by_role("button", name="Answer again").click()
    expect(page.locator("#rp-notice")).to_contain_text("to answer anew, open that one")
    expect(card(page, "full").locator(".text")).to_have_text(bad)


def test_the_link_brings_another_visitor_to_the_same_place(page, desk, address):
    page.get_by_label("Question", exact=True).fill("Where is the <b>dog?")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#rp-answers .question")).to_have_text("Where is the <b>dog?")
    settled(page)
    page.get_by_role("button", name="Relevance", exact=True).click()
    slide(page, "#rp-keep", "30")
    slide(page, "#rp-weight", "12")
    let_go(page, "#rp-weight")
    expect(card(page, "pruned").locator("h2")).to_have_text(f"Pruned to {kept_count(tiny.N, 0.3)} tokens")
    settled(page)
    along(page).locator(".link").focus()
    link, weight = (
        along(page).locator(".link").input_value(),
        page.locator("#rp-knobs .weight-now").inner_text(),
    )
    with visitor(desk, link) as other:
        expect(other.locator("#rp-answers .question")).to_have_text("Where is the <b>dog?")
        settled(other)
        expect(card(other, "pruned").locator("h2")).to_have_text(
            f"Pruned to {kept_count(tiny.N, 0.3)} tokens"
        )
        expect(other.locator("#rp-knobs .keep-now")).to_have_text("30%")
        expect(other.locator("#rp-knobs .weight-now")).to_have_text(weight)
        expect(canvas(other)).to_have_attribute("data-view", "heat")
        expect(other.get_by_label("Question", exact=True)).to_have_value("Where is the <b>dog?")
        along(other).locator(".link").focus()
        expect(along(other).locator(".link")).to_have_value(link)
        assert texts(other) == texts(page)


def test_a_link_to_a_clip_with_nonsense_in_it(desk, address):
    nonsense = "<script>window.bad=1</script>"
    with visitor(
        desk, f"{address}?clip=4&method=random&budget=shared&keep=500&query={nonsense}&view=x"
    ) as page:
        expect(page.locator("#rp-notice")).to_contain_text(
            "These parts of the link cannot be used here and were left out: "
            f"query “{nonsense}”, view “x”, keep “500”"
        )
        settled(page)
        expect(page.locator("#rp-explorer .total")).to_have_text(str(3 * tiny.N))
        expect(page.locator("#rp-menus input").first).to_have_value("Random")
        expect(page.locator("#rp-scenes button[aria-pressed=true]")).to_have_attribute("data-seed", "4")
        assert page.evaluate("window.bad") is None


def test_link_and_program_follow_the_page_and_are_copied_even_without_a_clipboard(page, tmp_path):
    part = along(page)
    page.locator("#rp-along summary").focus()
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.className"))
    assert reached == ["take", "pick", "link", "copy-link", "code", "copy-code"]
    slide(page, "#rp-keep", "35")
    slide(page, "#rp-weight", "0")
    expect(part.locator(".code")).to_contain_text("keep_ratio=0.35,")
    expect(part.locator(".code")).to_contain_text("alpha_from_weight(0)")
    expect(part.locator(".code")).to_contain_text("make_scene(42).image")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.evaluate(
        "document.addEventListener('copy', () => { window.copied = String(document.activeElement.value); })"
    )
    part.get_by_role("button", name="Copy code").click()
    expect(part.locator(".said")).to_have_text("Code copied.")
    assert page.evaluate("window.copied") == part.locator(".code").inner_text()
    part.get_by_role("button", name="Copy link").click()
    expect(part.locator(".said")).to_have_text("Link copied.")
    assert "scene=42" in page.evaluate("window.copied")
    tiny.image(3, (120, 80)).save(tmp_path / "photo.png")
    page.get_by_text("Your own picture or clip").click()
    page.locator("#rp-photo input[type=file]").set_input_files(tmp_path / "photo.png")
    expect(part.locator(".why-no-link")).to_contain_text("Your own file does not fit into a link")
    settled(page)
    expect(part.locator(".link")).to_be_hidden()
    expect(part.locator(".code")).to_contain_text("PATH/TO/photo.png")
    expect(part.locator(".note")).to_contain_text("your own file")


def state(page):
    """What a reload has to bring back."""
    return [
        page.get_by_label("Question", exact=True).input_value(),
        page.locator("#rp-answers .question").inner_text(),
        page.locator("#rp-knobs .keep-now").inner_text(),
        page.locator("#rp-knobs .weight-now").inner_text(),
        page.locator("#rp-menus input").first.input_value(),
        canvas(page).get_attribute("data-view"),
        canvas(page).get_attribute("data-kept"),
        *texts(page),
    ]


def test_the_address_says_where_the_page_stands_and_reload_and_back_lead_there(desk, address):
    with visitor(desk, f"{address}?__theme=light#top") as page:
        settled(page)
        page.wait_for_timeout(600)  # longer than the address waits for a hand to rest
        assert page.url == f"{address}?__theme=light#top"  # nothing was done, and nothing is written
        page.get_by_label("Question", exact=True).fill("Where is the dog & what?")
        page.get_by_role("button", name="Ask").click()
        expect(page.locator("#rp-answers .question")).to_have_text("Where is the dog & what?")
        settled(page)
        slide(page, "#rp-keep", "30")
        slide(page, "#rp-weight", "12")
        let_go(page, "#rp-weight")
        expect(card(page, "pruned").locator("h2")).to_have_text(f"Pruned to {kept_count(tiny.N, 0.3)} tokens")
        settled(page)
        page.get_by_role("button", name="Order", exact=True).click()
        page.wait_for_url("**view=order**")
        entries = page.evaluate("history.length")
        found, there = state(page), page.url
        assert "__theme=light" in there and there.endswith("#top") and "keep=30" in there

        def returned():
            expect(page.locator("#rp-answers .question")).to_have_text("Where is the dog & what?")
            expect(page.locator("#rp-knobs .keep-now")).to_have_text("30%")
            settled(page)
            assert state(page) == found and page.url == there

        page.reload()
        returned()
        assert page.evaluate("history.length") == entries  # no move of a slider is a step of Back
        page.goto("about:blank")
        page.go_back()
        returned()


def test_an_own_picture_leaves_its_question_out_of_the_address_and_the_sliders_stay_in_it(page, tmp_path):
    tiny.image(3, (120, 80)).save(tmp_path / "photo.png")
    page.get_by_label("Question", exact=True).fill("Who is this?")
    page.get_by_text("Your own picture or clip").click()
    page.locator("#rp-photo input[type=file]").set_input_files(tmp_path / "photo.png")
    expect(page.locator("#rp-answers .question")).to_have_text("Who is this?")
    settled(page)
    slide(page, "#rp-keep", "35")
    page.wait_for_url("**keep=35**")
    assert "scene=" not in page.url and "q=" not in page.url
