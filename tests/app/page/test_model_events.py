"""The model is changed on the page, in Chromium: what its visitors see, and what a request may do."""

import json
import re
import runpy
import sys
import urllib.request
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import Page, expect

from app.answer import handlers
from app.state.app_state import AppState, PageRun
from app.state.sources import Source
from rediprune import Explainer
from rediprune.explainer.model_card import Card
from rediprune.explainer.model_holder import ModelHolder
from tests.support import tiny
from tests.support.visitor import brief, save, visitor

expect.set_options(timeout=30_000)  # two slow cores may be busy with other things
ROOT = Path(__file__).resolve().parents[3]
KNOWS = "This model knows only its own test pictures."
FIXED = "The model of this page is fixed for this test."


@pytest.fixture(scope="module", autouse=True)
def short_answers():
    with brief():
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {name: str(tiny.save(root / name, seed)) for seed, name in enumerate(("other", "third"), 1)}


def served(demo):
    from app.page.build import launch_options

    options = launch_options()
    return demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **options)[1]


@pytest.fixture
def address(tmp_path):
    """A page with a model that can do more than those it is exchanged for: it has a text tower and a card."""
    from app.page.build import build_demo

    tower = tiny.save_clip(tmp_path / "clip")
    card = Card(text_tower=f"local-dir:{tower}", knows=KNOWS)
    demo = build_demo(Explainer(tiny.model(), tiny.processor(), "first", card))
    yield served(demo)
    demo.close()


@pytest.fixture(scope="module")
def fixed_address():
    from app.page.build import build_demo

    demo = build_demo(Explainer(tiny.model(), tiny.processor(), "first"), fixed=FIXED)
    yield served(demo)
    demo.close()


@pytest.fixture
def visit(browser):
    """Call it for one more visitor; errors in the page's own scripts fail the test."""
    context, errors = browser.new_context(viewport={"width": 1280, "height": 800}), []

    def come(address: str) -> Page:
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        expect(page.locator("#rp-explorer .map")).to_have_attribute("data-kept", re.compile(r"\d+"))
        return page

    yield come
    context.close()
    assert errors == []


def menu(page: Page, part: str):
    return page.locator(f"#rp-models {part}")


def settled(page: Page) -> None:
    expect(page.locator("#rp-answers .card[data-state=done]")).to_have_count(2)


def change_to(page: Page, name: str) -> None:
    menu(page, ".change").click()
    menu(page, ".which").fill(name)
    menu(page, ".load").click()


def queries(page: Page) -> list[str]:
    page.get_by_label("Relevance is measured against").click()
    words = page.get_by_role("option").all_inner_texts()
    page.keyboard.press("Escape")
    return words


def test_a_change_of_the_model_reaches_every_part_of_the_page_and_every_visitor(address, visit, folders):
    mine, other = visit(address), visit(address)
    settled(mine)
    assert any("CLIP" in word for word in queries(mine))
    mine.get_by_text("Your own picture or clip").click()
    expect(mine.locator("#rp-outside")).to_contain_text(KNOWS)
    before = {side: mine.locator(f".card.{side} .text").inner_text() for side in ("full", "pruned")}

    change_to(mine, folders["other"])
    expect(menu(mine, ".said")).to_have_text("other is open.")
    menu(mine, ".close").click()
    expect(menu(mine, ".name")).to_have_text("other")
    expect(mine.locator("#rp-notice")).to_contain_text("The model is now other, for everyone")
    settled(mine)
    # The same question about the same picture: an answer remembered of the first model would be its words.
    assert mine.locator(".card.full .text").inner_text() != before["full"]
    expect(mine.locator(".card.full .time")).not_to_contain_text("earlier")
    assert not any("CLIP" in word for word in queries(mine))
    expect(mine.locator("#rp-outside")).not_to_be_visible()

    # The other visitor, who looks at the page again, is told; what is shown stays, as the earlier model's.
    other.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(menu(other, ".name")).to_have_text("other")
    line = other.locator("#rp-answers .line")
    expect(line).to_have_text("The picture and these answers are an earlier model's. The model is now other.")
    expect(other.locator("#rp-answers .card[data-state=stale]")).to_have_count(2)
    expect(other.locator("#rp-explorer .query")).to_contain_text("Still the earlier model's")
    assert other.locator(".card.full .text").inner_text() == before["full"]
    save(other, "Save as picture")
    expect(other.locator("#rp-explorer .readout")).to_contain_text("an earlier model's")
    other.get_by_role("button", name="Answer again").click()
    settled(other)
    assert other.locator(".card.full .text").inner_text() == mine.locator(".card.full .text").inner_text()
    assert not any("CLIP" in word for word in queries(other))

    # Who comes now finds a page that was made for the first model, and gets the answers of the open one.
    late = visit(address)
    expect(late.locator("#rp-notice")).to_contain_text("The model is now other")
    expect(late.locator(".card.full .text")).to_have_text(mine.locator(".card.full .text").inner_text())
    settled(late)
    assert late.locator(".card.full .text").inner_text() == mine.locator(".card.full .text").inner_text()


def test_who_asks_without_having_heard_of_the_change_is_answered_by_the_open_model(address, visit, folders):
    mine, other = visit(address), visit(address)
    settled(other)
    change_to(mine, folders["third"])
    expect(menu(mine, ".said")).to_have_text("third is open.")
    other.get_by_label("Question", exact=True).fill("Where is the dog?")
    other.get_by_role("button", name="Ask").click()
    expect(menu(other, ".name")).to_have_text("third")
    expect(other.locator("#rp-notice")).to_contain_text("The model is now third")
    settled(other)
    expect(other.locator("#rp-answers .question")).to_have_text("Where is the dog?")
    expect(other.locator("#rp-answers .line")).to_contain_text("KL")


def test_a_failed_change_is_one_sentence_for_its_visitor_and_the_page_answers_as_before(address, visit):
    page, other = visit(address), visit(address)
    settled(page)
    change_to(page, "owner/model")
    expect(menu(page, ".said")).to_contain_text("Not opened: owner/model is not on this machine")
    menu(page, ".close").click()
    expect(menu(page, ".name")).to_have_text("first")
    expect(menu(page, ".about")).to_contain_text("Not opened")
    page.evaluate("window.dispatchEvent(new Event('focus'))")  # asks anew, and keeps what is its own
    other.evaluate("window.dispatchEvent(new Event('focus'))")
    late = visit(address)
    for stranger in (other, late):
        menu(stranger, ".change").click()
        expect(menu(stranger, ".room")).to_contain_text("on cpu")  # the state of this moment has come
        expect(menu(stranger, ".said")).to_have_text("")
        menu(stranger, ".close").click()
        expect(menu(stranger, ".about")).to_contain_text("parameters")
    expect(menu(page, ".about")).to_contain_text("Not opened")
    page.get_by_label("Question", exact=True).fill("Where is the dog?")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#rp-answers .question")).to_have_text("Where is the dog?")
    settled(page)


def test_the_list_says_what_fits_and_picking_an_entry_fills_the_name(address, visit):
    page = visit(address)
    menu(page, ".change").click()
    expect(menu(page, ".room")).to_contain_text("on cpu")
    menu(page, ".list").get_by_text("Qwen3-VL 8B").click()
    expect(menu(page, ".which")).to_have_value("Qwen/Qwen3-VL-8B-Instruct")
    expect(menu(page, ".verdict")).to_contain_text("Qwen3-VL 8B in bf16 needs about")
    expect(menu(page, ".row[data-name='LanguageBind/Video-LLaVA-7B-hf']")).to_contain_text("*")
    page.keyboard.press("Escape")
    expect(menu(page, "dialog")).not_to_be_visible()


def test_a_method_that_the_new_model_does_not_offer_gives_way_to_its_default(folders, monkeypatch):
    monkeypatch.setattr(
        "app.answer.answering.method_choices", lambda _: [("ReDiPrune", "rediprune"), ("Grid", "grid")]
    )
    state = AppState(Explainer(tiny.model(), tiny.processor(), "first"))
    state.models.open(folders["other"])
    for asked, answered in (("random", "rediprune"), ("grid", "grid")):
        before = PageRun(Source(seed=1), "What color is the star?", asked, "text-tower/value")
        view = handlers.compute_first_update(state, before, {"keep": 0.25, "weight": 1 / 3})
        assert view.method["value"] == view.run.method == answered
        assert view.query["value"] == view.run.query == "prompt-tail"
        assert view.run.model == state.models.generation != before.model
        assert view.models["name"] == "other"


def test_where_no_model_is_open_the_page_says_so_and_nothing_is_lost():
    state, run = (
        AppState(ModelHolder()),
        PageRun(Source(seed=1), "What color is the star?", "rediprune", "prompt-tail"),
    )
    view = handlers.compute_first_update(state, run, {"keep": 0.25, "weight": 1 / 3})
    assert view.notice["kind"] == "error" and "no model is open at this moment" in view.notice["text"]
    assert view.run is None and view.answers is None
    assert state.menu.state()["name"] == ""


@pytest.mark.parametrize(
    ("words", "variables", "fixed"),
    [
        ([], {}, False),
        (["--host", "localhost"], {}, False),
        (["--host", "0.0.0.0"], {}, True),
        (["--host", "127.0.0.2"], {}, False),
        (["--share"], {}, True),
        (["--share", "--no-fixed-model"], {}, False),
        (["--fixed-model"], {}, True),
        ([], {"SPACE_ID": "someone/something"}, True),
        ([], {"GRADIO_SERVER_NAME": "0.0.0.0"}, True),
        ([], {"GRADIO_SHARE": "True"}, True),
    ],
)
def test_where_others_reach_the_page_its_model_is_fixed(words, variables, fixed, monkeypatch):
    told = []
    monkeypatch.setattr(sys, "argv", ["app.py", *words])
    monkeypatch.setattr("app.page.build.build_demo", lambda models, first_run, fixed: told.append(fixed))
    monkeypatch.setattr(Explainer, "from_pretrained", lambda *_, **__: None)
    monkeypatch.setitem(sys.modules, "_rediprune_kept", ModuleType("_rediprune_kept"))
    for name in ("SPACE_ID", "GRADIO_SERVER_NAME", "GRADIO_SHARE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    runpy.run_path(str(ROOT / "app.py"), run_name="app_of_a_test")
    assert bool(told[0]) == fixed


def test_a_fixed_page_says_why_and_opens_nothing_for_a_strangers_request_either(
    visit, fixed_address, folders
):
    page = visit(fixed_address)
    menu(page, ".change").click()
    expect(menu(page, ".fixed")).to_have_text(FIXED)
    expect(menu(page, ".choice")).not_to_be_visible()
    body = json.dumps({"data": [], "event_data": {"name": folders["other"], "precision": "stored"}}).encode()
    asked = urllib.request.Request(
        f"{fixed_address}gradio_api/call/fetch", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked) as reply:
        event = json.load(reply)["event_id"]
    with urllib.request.urlopen(f"{fixed_address}gradio_api/call/fetch/{event}") as reply:
        said = reply.read().decode()
    assert "other is open" not in said
    menu(page, ".close").click()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    expect(menu(page, ".name")).to_have_text("first")


def test_who_hears_of_the_change_before_the_answers_are_there_is_answered_all_the_same(
    visit, address, folders, browser
):
    """Parts of a page wake in any order: here the answers say whose they are after the menu heard."""
    mine = visit(address)
    change_to(mine, folders["other"])
    expect(menu(mine, ".said")).to_have_text("other is open.")
    with browser.new_context() as context:
        context.add_init_script("""
            let state, answeredRun, first, told = false;
            Object.defineProperty(window, "rediprune", {
                get: () => state,
                set: (made) => {
                    state = Object.defineProperty(made, "answeredRun", {
                        get: () => (told ? answeredRun : undefined),
                        set: (now) => { answeredRun = now; },
                    });
                },
            });
            window.addEventListener("rp:model", () => {
                first ??= window.rediprune.model.number; // the page's own, from before the change
                if (window.rediprune.model.number === first) return;
                setTimeout(() => { told = true; window.dispatchEvent(new CustomEvent("rp:state")); });
            });
        """)
        with visitor(context, address) as late:
            expect(late.locator("#rp-notice")).to_contain_text("The model is now other")
            settled(late)


def test_a_lost_reply_is_said_and_the_new_models_answers_are_asked_for_again(visit, address, folders):
    """Gradio's client may put a request on a stream that closes: it is answered, and nothing arrives."""
    mine = visit(address)
    settled(mine)
    to_lose, lost = [True], []

    def lose(route, request):
        # Requests for answers, which alone carry a ticket.
        carries = any(isinstance(one, dict) and "ticket" in one for one in request.post_data_json["data"])
        if carries and to_lose:
            lost.append(to_lose.pop())
            route.fetch()
            route.fulfill(json={"event_id": f"lost{len(lost)}"})  # what arrives is for another name
        else:
            route.continue_()

    mine.route("**/queue/join*", lose)
    mine.get_by_role("button", name="Ask").click()
    expect(mine.locator("#rp-answers .line")).to_contain_text("busy or cannot be reached")
    settled(mine)  # what was there before
    assert len(lost) == 1

    before = mine.locator(".card.full .text").inner_text()
    to_lose.append(True)
    change_to(mine, folders["other"])
    expect(menu(mine, ".said")).to_have_text("other is open.")
    menu(mine, ".close").click()
    expect(mine.locator(".card.full .text")).not_to_have_text(before)  # the other model's words
    settled(mine)
    assert len(lost) == 2
