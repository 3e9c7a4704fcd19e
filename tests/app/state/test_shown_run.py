"""What a page shows survives the loss of the server's record of it: its own picture, or one sentence."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest
from playwright.sync_api import expect

from app.state import sources
from app.state.app_state import OPENED, PageRun
from app.state.shown_run import LOST, LostRunError, describe, restore_run, restore_run_or_first
from app.state.sources import Source
from rediprune import Explainer
from rediprune.explainer.model_card import Card
from tests.soak.client import PATIENCE, HttpVisitor, PageSchema, RefusedError
from tests.support import tiny
from tests.support.visitor import let_go, served, settled, slide, visitor

FIRST = PageRun(Source(seed=42), "What color is the star?", "rediprune", "prompt-tail")
SHOWN = replace(FIRST, source=Source(seed=4321), question="What color is the dog?", answered=True)


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card())


@pytest.fixture(scope="module")
def address(explainer):
    """A page that remembers two visitors at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.page.build.VISITORS_REMEMBERED", 2)
        with served(explainer) as url:
            yield url


@pytest.fixture(scope="module")
def visit(address):
    """Runs `visit(http, schema)` in an event loop of its own thread; see the fixture `browser`."""

    async def visited(doing):
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as http:
            return await doing(http, await PageSchema.read(http))

    with ThreadPoolExecutor(1) as thread:
        yield lambda doing: thread.submit(asyncio.run, visited(doing)).result()


async def come_and_go(http, schema, count=4):
    """So many other visitors ask once each, which is more than the page remembers."""
    for _ in range(count):
        await HttpVisitor(http, schema).ask("What color is the dog?")


def test_a_slider_released_after_others_came_answers_the_visitors_own_scene(visit):
    async def doing(http, schema):
        mine = HttpVisitor(http, schema)
        before = await mine.pick(4321)
        await come_and_go(http, schema)
        return before, await mine.slide(0.5, 1.0), mine.values["rp-explorer"]["setting"]["seed"]

    before, after, seed = visit(doing)
    assert (after["at"]["question"], after["at"]["picture"]) == (
        before["at"]["question"],
        before["at"]["picture"],
    )
    assert after["at"]["keep"] == 0.5 and seed == 4321


def test_a_file_is_still_the_visitors_own_and_a_lost_one_gets_a_sentence(visit, tmp_path):
    tiny.image(7, (120, 80)).save(tmp_path / "mine.png")

    async def doing(http, schema):
        mine = HttpVisitor(http, schema)
        before = await mine.give(tmp_path / "mine.png")
        await come_and_go(http, schema)
        after = await mine.ask("What is on the left?")
        await come_and_go(http, schema)
        mine.shows |= {"upload": "gone/mine.png"}
        with pytest.raises(RefusedError) as said:
            await mine.ask("What is on the left?")
        return before["at"]["picture"], after["at"]["picture"], mine.values["rp-notice"], said

    before, after, notice, said = visit(doing)
    assert before == after
    assert notice == {"text": LOST, "kind": "error", "code": ""} and LOST in str(said.value)


def test_the_browser_sends_what_it_shows(desk, address, visit):
    with visitor(desk, f"{address}?scene=4321") as page:
        settled(page)
        expect(page.locator("#rp-scenes .seed")).to_have_value("4321")
        question = page.locator("#rp-answers .question").inner_text()
        visit(come_and_go)
        slide(page, "#rp-keep", "50")
        let_go(page, "#rp-keep")
        expect(page.locator("#rp-answers .line")).to_have_text(re.compile("answer|guess", re.I))
        expect(page.locator("#rp-answers .card.pruned .n")).to_have_text(str(round(tiny.N / 2)))
        settled(page)
        assert page.locator("#rp-answers .question").inner_text() == question
        visit(come_and_go)
        page.locator("#rp-story").scroll_into_view_if_needed()
        expect(page.locator("#rp-story .about")).to_contain_text("50% kept")


def test_what_the_server_still_knows_is_believed_before_the_browser():
    assert restore_run(SHOWN, describe(FIRST)) == SHOWN
    assert restore_run(FIRST, None) == FIRST


def test_a_page_that_still_shows_an_earlier_models_picture_is_believed():
    """The reply with the new model's picture was lost: the page has to be drawn anew and told."""
    kept = replace(SHOWN, model=3)
    assert restore_run(kept, describe(replace(SHOWN, model=2))) == replace(SHOWN, model=2)
    for record in ({"model": -1}, {"model": "2"}, {"model": True}, {}, "2"):
        assert restore_run(kept, record) == kept


def test_a_run_is_restored_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "get_upload_folder", lambda: str(tmp_path))
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "run.json").write_text("{}")
    file = Source(path=str(tmp_path / "x" / "run.json"), n_frames=4)
    saved = replace(SHOWN, source=replace(file, trace=True), model=OPENED)
    for run in (SHOWN, replace(SHOWN, source=Source(seed=3, clip=True)), replace(SHOWN, source=file), saved):
        told = describe(run)
        assert str(tmp_path) not in str(told)
        assert restore_run(FIRST, told) == run


@pytest.mark.parametrize(
    "change",
    [
        {"seed": -1},
        {"seed": None},
        {"seed": "4"},
        {"upload": "../secret.png"},
        {"upload": "/etc/passwd"},
        {"upload": 5},
        {"n_frames": 10**9, "upload": "mine.png"},
        {"question": None},
        {"method": "magic"},
        {"method": ["grid"]},
        {"query": "magic"},
        {"budget": "magic"},
        {"model": OPENED},
        {"model": 1.5},
        {"model": None},
    ],
)
def test_a_record_that_makes_no_sense_is_refused_in_one_sentence(tmp_path, monkeypatch, change):
    monkeypatch.setattr(sources, "get_upload_folder", lambda: str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "mine.png").write_bytes(b"x")
    (tmp_path / "secret.png").write_bytes(b"x")
    told = describe(SHOWN) | change
    with pytest.raises(LostRunError, match="choose or give the picture again"):
        restore_run(FIRST, told)
    assert restore_run_or_first(FIRST, told) == FIRST


@pytest.mark.parametrize("told", [[], "scene 4", 5, {}, {"seed": 4}])
def test_a_record_of_another_kind_is_refused(told):
    with pytest.raises(LostRunError):
        restore_run(FIRST, told)
