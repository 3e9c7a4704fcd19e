"""What stands between the page and those who ask it, through a page that is served."""

import asyncio
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from gradio_client import Client, handle_file

from app.answer import answering
from app.server import waiting
from app.server.refusals import INSIDE
from app.state import sources
from app.state.app_state import AppState, PageRun
from app.state.sources import Source
from rediprune import Explainer
from rediprune.explainer.model_card import Card
from rediprune.explainer.model_holder import ModelHolder
from rediprune.media.limits import ReadingStopped
from tests.soak.client import PATIENCE, HttpVisitor, PageSchema, RefusedError
from tests.support import tiny
from tests.support.visitor import served

ASKED = ["What?", 0.15, 0.33, "rediprune", "prompt-tail", "frame", 8]


PATIENCE_SECONDS = 240  # on a busy machine; a test that waits for ever is one that fails


class Gate:
    """A model whose answers wait until the gate is opened; counts those that began and that ended."""

    def __init__(self, explainer, monkeypatch):
        self.open, self.began, self.ended, self.stopped = threading.Event(), 0, 0, 0
        real = explainer.answer

        def answer(*given, stop=None, **how):
            self.began += 1
            while not self.open.wait(0.02) and not (stop and stop.is_set()):
                pass
            self.stopped += bool(stop and stop.is_set())
            self.ended += 1
            return real(*given, stop=stop, **how)

        monkeypatch.setattr(explainer, "answer", answer)


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card())


@pytest.fixture
def gate(explainer, monkeypatch):
    """Shut until it is opened, at the end of the test at the latest: nothing waits behind it for ever."""
    made = Gate(explainer, monkeypatch)
    yield made
    made.open.set()


@pytest.fixture(scope="module")
def demo():
    """The page that `address` serves, as soon as it does."""
    return SimpleNamespace(blocks=None)


@pytest.fixture(scope="module")
def address(explainer, demo):
    import app.page.build

    def built(*given, **how):
        demo.blocks = real(*given, **how)
        return demo.blocks

    real = app.page.build.build_demo
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.page.build.build_demo", built)
        with served(ModelHolder(explainer)) as url:
            yield url


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "photo.png"
    tiny.image(1).save(path)
    return path


@pytest.fixture(scope="module")
def visit(address):
    """Runs `doing(http, schema)` in an event loop of its own thread; see the fixture `browser`."""

    async def visited(doing):
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as http:
            return await doing(http, await PageSchema.read(http))

    with ThreadPoolExecutor(1) as thread:
        yield lambda doing: thread.submit(asyncio.run, visited(doing)).result(timeout=PATIENCE_SECONDS)


def until(true, seconds=60):
    """Wait until `true()`."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


async def called(http, name, data, session="stranger"):
    """What a program without a client library gets: status of the POST, or the words of the stream."""
    joined = await http.post(f"gradio_api/call/{name}", json={"data": data, "session_hash": session})
    if joined.status_code != 200:
        return joined.status_code, joined
    got = await http.get(f"gradio_api/call/{name}/{joined.json()['event_id']}")
    return 200, got.text


async def uploaded(http, photo):
    return (await http.post("gradio_api/upload", files={"files": ("p.png", photo.read_bytes())})).json()[0]


def file_of(path):
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


# Every way in waits in the queue.


@pytest.mark.parametrize("way", ["run", "api"])
@pytest.mark.parametrize("name", ["answer", "select", "overlay", "sweep", "about", "ask", "pick"])
def test_no_endpoint_is_run_beside_the_queue(visit, way, name):
    async def doing(http, schema):
        return (
            await http.post(f"gradio_api/{way}/{name}", json={"data": [], "session_hash": "x"})
        ).status_code

    assert visit(doing) == 404


def test_no_call_makes_gradio_write_what_a_session_shows_into_a_file(visit, demo):
    async def doing(http, schema):
        await called(http, "about", [], "linker")  # a session that the server knows
        wanted = ("gradio_api/deep_link", "gradio_api/deep_link/", "prefix/gradio_api/deep_link")
        return [await http.get(path, params={"session_hash": "linker"}) for path in wanted]

    for reply in visit(doing):
        assert reply.status_code == 404
    assert "keeps no links on its server" in reply.json()["detail"]
    assert not (Path(demo.blocks.app.uploaded_file_dir) / "deep_links").exists()


def test_a_full_queue_says_how_long_it_is_and_when_to_come_back(
    visit, address, demo, gate, photo, monkeypatch
):
    monkeypatch.setattr(demo.blocks._queue, "max_size", 2)

    async def doing(http, schema):
        path = await uploaded(http, photo)
        data = [file_of(path), *ASKED]
        queue, jobs = demo.blocks._queue, []
        # Two that are being answered first: four at once would fill the queue before any is begun.
        for in_queue in (0, 2):
            jobs += [asyncio.create_task(called(http, "answer", data, f"v{len(jobs) + i}")) for i in range(2)]
            for _ in range(4000):
                if (gate.began, len(queue)) == (2, in_queue):
                    break
                await asyncio.sleep(0.02)
        status, refused = await called(http, "answer", data, "late")
        late = HttpVisitor(http, schema)
        with pytest.raises(RefusedError) as said:
            await late.ask("What?")
        client = await asyncio.to_thread(Client, address, verbose=False)
        words = await asyncio.to_thread(refusal, client, photo)
        gate.open.set()
        return status, refused, str(said.value), words, await asyncio.gather(*jobs)

    status, refused, said, words, done = visit(doing)
    assert status == 429 and int(refused.headers["retry-after"]) >= 1
    for sentence in (refused.json()["detail"], said, words):
        assert "Too many requests: 2 are waiting already. Try again in about" in sentence
    assert [one[0] for one in done] == [200] * 4 and all("event: complete" in one[1] for one in done)


def refusal(client, photo):
    with pytest.raises(Exception) as said:
        client.predict(handle_file(str(photo)), "What?", api_name="/answer")
    return str(said.value)


def test_a_visitor_who_waits_is_told_the_place_and_the_time(visit, demo, gate):

    async def place(http, who, ticket=1):
        return (await http.get("rediprune/place", params={"who": who, "ticket": ticket})).json()

    async def joined(count):
        """Wait until so many stand in the queue or at the model; the first two at the model."""
        queues = demo.blocks._queue.event_queue_per_concurrency_id
        for _ in range(4000):
            queue = queues.get("model")
            there = queue.current_concurrency + len(queue.queue) if queue else 0
            if there == count and gate.began >= min(count, 2):
                return
            await asyncio.sleep(0.02)

    async def doing(http, schema):
        await joined(0)  # those of other tests are gone
        crowd = [HttpVisitor(http, schema) for _ in range(5)]
        jobs = []
        for i, one in enumerate(crowd):
            one.who = f"who{i}"
            jobs.append(asyncio.create_task(one.ask("What color is the dog?")))
            await joined(i + 1)  # they come one after the other
        found = [await place(http, f"who{i}") for i in range(5)]
        strange = [
            await place(http, "nobody"),
            await place(http, "who4", "x" * 99),
            await place(http, "who4", 7),
        ]
        gate.open.set()
        await asyncio.gather(*jobs)
        return found, strange, await place(http, "who4")

    found, strange, after = visit(doing)
    assert [one["place"] for one in found] == [0, 0, 2, 3, 4]
    assert found[4]["seconds"] > found[2]["seconds"] >= 0
    assert {one["place"] for one in (*strange, after)} == {0}
    assert all(one["known"] for one in found), "two are being answered, three wait"
    assert not any(one["known"] for one in (*strange, after))


def test_the_expected_wait_is_that_of_those_before(monkeypatch):
    fast, slow = object(), object()
    times = {fast: SimpleNamespace(avg_time=0.5), slow: SimpleNamespace(avg_time=4.0)}
    queue = SimpleNamespace(
        queue=[SimpleNamespace(fn=fn) for fn in (fast, slow, fast)],
        start_times_per_fn={slow: {1.0}},
        concurrency_limit=2,
    )
    page = SimpleNamespace(_queue=SimpleNamespace(process_time_per_fn=times))
    assert waiting.seconds_left(page, queue, 0) == 1.0  # half of the slow one that runs, on two at once
    assert waiting.seconds_left(page, queue, 2) == 1.0 + 4.5 / 2
    assert waiting.seconds_left(page, queue) == 1.0 + 5 / 2


# Work that can be left out, while others wait.


def test_while_others_wait_nothing_is_timed_again_and_equal_work_is_done_once(explainer, monkeypatch):
    state = AppState(explainer)
    run = PageRun(Source(seed=1), "What color is the dog?", "rediprune", "prompt-tail")
    sliders = {"keep": 0.25, "weight": 1 / 3}

    def cards():
        views = list(answering.answer(state, answering.AnswerRequest(run, sliders), threading.Event()))
        return views, [view.answers for view in views if view.answers and "full" in view.answers][-1]

    alone, first = cards()
    calls = []
    for name in ("answer", "agreement", "time_both"):
        monkeypatch.setattr(explainer, name, lambda *a, name=name, **k: calls.append(name))
    state.others_wait = lambda: True
    crowded, again = cards()
    assert calls == [] and len(crowded) < len(alone) and not again["busy"]
    for side in ("full", "pruned"):
        assert again[side]["text"] == first[side]["text"]
        assert "measured earlier" in again[side]["time"]
    assert again["line"] == first["line"]


# What the server keeps of visitors.


def kept_bytes(blocks):
    """Of all sessions, what Gradio keeps of values, and how many components it knows."""
    states = blocks.state_holder.session_data.values()
    sizes = [len(json.dumps(state.config_values, default=str)) for state in states]
    return sum(sizes), max(len(state.blocks_config.blocks) for state in states)


def test_memory_is_level_after_many_answers_of_one_session(visit, demo):
    async def doing(http, schema):
        one, found = HttpVisitor(http, schema), []
        for round_ in range(6):
            await one.pick(round_ % 2)
            await one.slide(0.1 + 0.1 * round_, 0.5)
            found.append(kept_bytes(demo.blocks))
        return found

    found = visit(doing)
    assert len(set(found[1:])) == 1


def test_memory_is_level_after_as_many_sessions_as_are_remembered(visit, demo, monkeypatch):
    monkeypatch.setattr(demo.blocks.state_holder, "capacity", 3)

    async def doing(http, schema):
        found = []
        for seed in range(8):
            await HttpVisitor(http, schema).pick(seed)
            found.append(kept_bytes(demo.blocks)[0])
        return found

    found = visit(doing)
    assert max(found[4:]) <= 1.01 * found[3]


# Refusals are sentences for the caller and one line in the log.

NOT_FILES = [
    "/etc/passwd",
    "file:///etc/passwd",
    {"path": "/etc/passwd"},
    {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
    {"path": "file:///etc/passwd", "meta": {"_type": "gradio.FileData"}},
    {"path": None, "url": "file:///etc/passwd", "meta": {"_type": "gradio.FileData"}},
    {"path": "../../etc/passwd", "meta": {"_type": "gradio.FileData"}},
    {"meta": {"_type": "gradio.FileData"}},
    {"path": ["/etc/passwd"], "meta": {"_type": "gradio.FileData"}},
    {"path": "http://127.0.0.1:1/x.png", "meta": {"_type": "gradio.FileData"}},
    5,
    [],
    [{"path": "/etc/passwd"}],
]


@pytest.mark.parametrize("media", NOT_FILES, ids=str)
@pytest.mark.parametrize("name", ["answer", "select"])
def test_what_is_no_uploaded_file_gets_a_sentence_and_one_line_in_the_log(visit, name, media, capfd, caplog):
    async def doing(http, schema):
        return await called(http, name, [media, *ASKED])

    with caplog.at_level(logging.WARNING, logger="app"):
        status, said = visit(doing)
    assert status == 200 and "event: error" in said
    sentence = json.loads(said.partition("data: ")[2].partition("\n")[0])["error"]
    assert sentence and sentence.endswith(".") and "passwd" not in sentence
    written = capfd.readouterr()
    assert "Traceback" not in written.err + written.out
    assert len(caplog.records) <= 1 and "passwd" not in caplog.text


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("answer", []),
        ("answer", [None] * 50),
        ("choose", [{}, "rediprune", "prompt-tail", "frame"]),
        ("choose", []),
        ("mine", [{}]),
        ("restore", [{}]),
        ("take", []),
        ("save", [{}]),
        ("start", []),
        ("tell", []),
        ("measure", []),
        ("give", [{"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, 8, "", {}, "", "", ""]),
        ("ask", [5, {"keep": {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}}, 1, 2, 3]),
    ],
)
def test_requests_by_hand_get_sentences_too(visit, name, data, capfd):
    async def doing(http, schema):
        return await called(http, name, data)

    status, said = visit(doing)
    assert status in (200, 422)
    if status == 200 and "event: error" in said:
        sentence = json.loads(said.partition("data: ")[2].partition("\n")[0])["error"]
        assert sentence and sentence.endswith(".") and INSIDE not in sentence
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("call/nothing", {"data": []}),
        ("queue/join", {"data": [], "fn_index": 10**6, "session_hash": "x"}),
        ("queue/join", {"data": [], "fn_index": -1, "session_hash": "x"}),
        ("queue/join", {"data": [], "session_hash": "x"}),
        ("run/nothing", {"data": []}),
    ],
)
def test_an_endpoint_that_is_not_there_gets_a_sentence(visit, path, body, capfd):
    async def doing(http, schema):
        return await http.post(f"gradio_api/{path}", json=body)

    reply = visit(doing)
    assert reply.status_code in (400, 404) and reply.json()["detail"].endswith(".")
    assert "Traceback" not in capfd.readouterr().err


def test_a_fault_of_the_program_gets_a_sentence_and_its_traceback_stays_in_the_log(
    visit, explainer, photo, monkeypatch, caplog
):
    monkeypatch.setattr(explainer, "run", lambda *given, **how: 1 / 0)

    async def doing(http, schema):
        return await called(http, "answer", [file_of(await uploaded(http, photo)), *ASKED])

    _, said = visit(doing)
    assert json.loads(said.partition("data: ")[2].partition("\n")[0])["error"] == INSIDE
    assert caplog.text.count("ZeroDivisionError") >= 1


# Who leaves ends the work.


def test_an_answer_ends_when_its_caller_disconnects(visit, gate, photo):

    async def doing(http, schema):
        path = await uploaded(http, photo)
        joined = await http.post("gradio_api/call/answer", json={"data": [file_of(path), *ASKED]})
        async with http.stream("GET", f"gradio_api/call/answer/{joined.json()['event_id']}"):
            for _ in range(4000):
                if gate.began:
                    break
                await asyncio.sleep(0.02)

    visit(doing)
    until(lambda: gate.stopped == gate.began > 0)


def test_a_question_is_counted_in_tokens_before_the_encoder_runs(visit, explainer, tmp_path):
    tiny.image(99).save(tmp_path / "new.png")
    before = explainer.encodes

    async def doing(http, schema):
        one = HttpVisitor(http, schema)
        with pytest.raises(RefusedError) as page:
            await one.give(tmp_path / "new.png", typed="a " * 900)
        path = await uploaded(http, tmp_path / "new.png")
        return str(page.value), (await called(http, "answer", [file_of(path), "a " * 900, *ASKED[1:]]))[1]

    page, api = visit(doing)
    for said in (page, api):
        assert "tokens, as this model reads it: shorten it to at most" in said
    assert explainer.encodes == before


@pytest.mark.parametrize("way", ["page", "api"])
def test_a_file_that_reads_slowly_holds_up_nobody_and_ends_when_its_sender_leaves(
    visit, tmp_path, monkeypatch, way
):
    reading, stopped = [], []

    def slow(path, n_frames, *, stop, seconds):
        reading.append(path)
        while not stop():
            time.sleep(0.02)
        stopped.append(path)
        raise ReadingStopped("nobody waits")

    monkeypatch.setattr(sources, "load_media", slow)
    tiny.image(5).save(tmp_path / "slow.png")

    async def send(http, schema):
        if way == "page":
            return await HttpVisitor(http, schema).give(tmp_path / "slow.png")
        path = await uploaded(http, tmp_path / "slow.png")
        joined = await http.post("gradio_api/call/answer", json={"data": [file_of(path), *ASKED]})
        return await http.get(f"gradio_api/call/answer/{joined.json()['event_id']}")

    async def doing(http, schema):
        senders = [asyncio.create_task(send(http, schema)) for _ in range(4)]
        for _ in range(4000):
            if len(reading) == 2:
                break
            await asyncio.sleep(0.02)
        cards = await asyncio.wait_for(HttpVisitor(http, schema).pick(3), 60)
        for one in senders:
            one.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
        return cards

    cards = visit(doing)
    assert not cards["busy"] and len(reading) >= 2
    until(lambda: len(stopped) == len(reading))


def test_so_many_are_at_the_model_at_once_and_a_stopped_one_waits_no_longer(explainer):
    state, stop = AppState(explainer, at_once=1), threading.Event()
    with state.take_slot(threading.Event()):
        assert not state.is_crowded()
        inside = threading.Event()

        def second():
            with state.take_slot(stop):
                inside.set()

        waiting_one = threading.Thread(target=second)
        waiting_one.start()
        until(state.is_crowded)
        assert not inside.is_set()
        stop.set()
        until(inside.is_set)
        waiting_one.join()
    with state.take_slot(threading.Event()):  # the stopped one took no place that it could give back
        assert not state._slots.acquire(blocking=False)


def test_a_visitors_newer_request_begins_after_the_older_one_ended(explainer):
    state, order = AppState(explainer), []

    def older():
        with state.take_turn("a", 1) as stop:
            begun.set()
            stop.wait()
            time.sleep(0.1)
            order.append("older")

    begun = threading.Event()
    thread = threading.Thread(target=older)
    thread.start()
    begun.wait()
    with state.take_turn("a", 2, patience=30):
        order.append("newer")
    thread.join()
    assert order == ["older", "newer"]
