"""What a visitor may send: sizes, numbers, an hour's total, a full disk; and files behind addresses."""

import asyncio
import errno
import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from gradio import processing_utils
from gradio.processing_utils import hash_bytes
from gradio.route_utils import GradioUploadFile

from app.export.download import CANNOT_STORE, prepare_download
from app.server import fetching, uploads
from app.server.fetching import BoundedTransport, FetchRefusedError
from app.server.uploads import ALL_BYTES, HOUR, VISITOR_BYTES, VISITOR_FILES, Allowance
from rediprune import Explainer
from rediprune.explainer.model_card import Card
from tests.support import tiny
from tests.support.visitor import served

MB = 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The page's folder of uploads, of its own."""
    return tmp_path_factory.mktemp("uploads")


@pytest.fixture(scope="module")
def address(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        with served(Explainer(tiny.model(), tiny.processor(), "tiny", Card())) as url:
            yield url


@pytest.fixture
def files(folder):
    """The files in the folder of uploads that were not there before."""
    before = set(folder.rglob("*"))
    return lambda: [path for path in folder.rglob("*") if path.is_file() and path not in before]


def send(address, files, **how):
    return httpx.post(f"{address}gradio_api/upload", files=files, timeout=60, **how)


def named(count, size=10):
    return [("files", (f"{i}.png", str(i).encode() * size)) for i in range(count)]


def test_a_file_is_taken_as_before(address, files):
    reply = send(address, named(1))
    assert reply.status_code == 200 and Path(reply.json()[0]).read_bytes() == b"0" * 10
    assert len(files()) == 1


def test_too_many_files_in_one_request_are_refused_and_nothing_is_kept(address, files):
    assert send(address, named(uploads.REQUEST_FILES)).status_code == 200
    kept = len(files())
    reply = send(address, named(900))
    assert reply.status_code == 400 and reply.text == uploads.TOO_MANY
    assert len(files()) == kept


@pytest.mark.parametrize("told", [True, False])
def test_a_request_that_is_too_large_is_refused_and_nothing_is_kept(address, files, monkeypatch, told):
    monkeypatch.setattr(uploads, "REQUEST_BYTES", MB)
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'

    def body():  # its length is not told
        yield head
        for _ in range(40):
            yield b"a" * 65536
        yield b"\r\n--x--\r\n"

    content = b"".join(body()) if told else body()
    reply = httpx.post(
        f"{address}gradio_api/upload",
        content=content,
        headers={"Content-Type": "multipart/form-data; boundary=x"},
        timeout=60,
    )
    assert reply.status_code == 413 and uploads.TOO_LARGE in reply.text
    assert files() == []


def test_other_requests_have_a_limit_too(address, monkeypatch):
    monkeypatch.setattr(uploads, "BODY_BYTES", MB)
    for content in (b"[" * 2 * MB, iter([b"[" * MB, b"[" * MB])):
        reply = httpx.post(
            f"{address}gradio_api/call/about",
            content=content,
            headers={"Content-Type": "application/json"},
            timeout=60,
        )
        assert reply.status_code == 413 and "too large" in reply.text


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EIO])
def test_a_disk_that_is_full_gets_a_sentence_and_keeps_nothing(address, files, monkeypatch, code):
    real, count = GradioUploadFile.write, [0]

    async def write(self, data):
        count[0] += 1
        if count[0] > 3:
            raise OSError(code, "no room")
        await real(self, data)

    monkeypatch.setattr(GradioUploadFile, "write", write)
    reply = send(address, [("files", ("a.png", b"a" * 3 * MB))])
    assert reply.status_code in (500, 507) and "nothing was kept" in reply.text and "\n" not in reply.text
    assert files() == []


def test_a_disk_that_is_nearly_full_takes_nothing(address, files, monkeypatch):
    monkeypatch.setattr(uploads, "free_bytes", lambda: uploads.FREE_BYTES)
    reply = send(address, named(1))
    assert (reply.status_code, reply.text) == (507, uploads.FULL) and files() == []


def test_an_upload_that_breaks_off_leaves_nothing(address, files, folder):
    host, port = httpx.URL(address).host, httpx.URL(address).port
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 9000000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    )
    with socket.create_connection((host, port)) as line:
        line.sendall(head.encode() + b"a" * 3 * MB)
        until(lambda: files() != [])
    until(lambda: files() == [])


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def test_an_hours_total_of_one_visitor_and_of_all_is_limited():
    now = [0.0]
    allowance = Allowance(clock=lambda: now[0])
    assert allowance.refuse("a", VISITOR_BYTES) == ""
    allowance.note("a", VISITOR_BYTES)
    now[0] = HOUR - 60 * 10
    assert "in an hour: try again in 10 minutes" in allowance.refuse("a", 1)
    assert allowance.refuse("b", 1) == ""
    for i in range(ALL_BYTES // VISITOR_BYTES):
        allowance.note(f"v{i}", VISITOR_BYTES)
    assert allowance.refuse("b", 1).startswith("All visitors together")
    now[0] = 3 * HOUR
    assert allowance.refuse("a", VISITOR_BYTES) == "" and allowance.refuse("b", 1) == ""
    for _ in range(VISITOR_FILES):
        allowance.note("many", 1)
    assert allowance.refuse("many", 1) and not allowance.refuse("other", 1)


def fetch(handler, url="https://public.example/a.png", clock=time.monotonic, count=1):
    """What a client gets through the transport from a host whose answers `handler` makes."""
    asked = []

    async def opens(host):
        asked.append(host)
        return httpx.MockTransport(handler)

    transport = BoundedTransport(opens, clock)

    async def get():
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.get(url)

    async def all_of_them():
        return await asyncio.gather(*(get() for _ in range(count)), return_exceptions=True)

    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(asyncio.run, all_of_them()).result(30)
    assert transport._running == 0
    return found, asked


class Endless(httpx.AsyncByteStream):
    async def __aiter__(self):
        while True:
            yield b"a" * 65536


def test_a_file_behind_an_address_is_fetched_unpacked(monkeypatch):
    seen = []

    def handler(request):
        seen.append(request.headers["accept-encoding"])
        return httpx.Response(200, content=b"picture")

    ((reply,), asked) = fetch(handler)
    assert reply.content == b"picture" and asked == ["public.example"] and seen == ["identity"]


def test_an_endless_file_ends_at_the_limit(monkeypatch):
    monkeypatch.setattr(fetching, "MOST_BYTES", MB)
    ((error,), _) = fetch(lambda request: httpx.Response(200, stream=Endless()))
    assert isinstance(error, FetchRefusedError) and "too large" in str(error)


def test_a_file_that_comes_slowly_ends_at_the_limit():
    ticks = iter(range(0, 10**6, 10))
    ((error,), _) = fetch(lambda request: httpx.Response(200, stream=Endless()), clock=lambda: next(ticks))
    assert isinstance(error, FetchRefusedError) and "too slowly" in str(error)


def test_a_packed_file_is_refused():
    ((error,), _) = fetch(
        lambda request: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Endless())
    )
    assert isinstance(error, FetchRefusedError) and "packed" in str(error)


def test_so_many_files_are_fetched_at_once():
    async def handler(request):
        await asyncio.sleep(0.2)
        return httpx.Response(200, content=b"x")

    found, _ = fetch(handler, count=fetching.AT_ONCE + 3)
    assert sum(isinstance(one, FetchRefusedError) for one in found) == 3


def test_the_page_fetches_within_these_limits_and_from_public_hosts_alone(address):
    transport = processing_utils.async_transport
    assert isinstance(transport, BoundedTransport)

    async def get(url):
        with pytest.raises(ValueError, match="failed validation"):
            await processing_utils.async_ssrf_protected_get(url)

    with ThreadPoolExecutor(1) as thread:
        for url in (
            "http://127.0.0.1:1/a.png",
            "http://[::1]/a.png",
            "http://10.0.0.1/",
            "http://169.254.169.254/",
        ):
            thread.submit(asyncio.run, get(url)).result(30)


def test_a_folder_that_cannot_be_written_ends_the_start_with_a_sentence(tmp_path):
    (tmp_path / "file").write_text("no folder")
    started = subprocess.run(
        [sys.executable, "app.py", "--model", "/no/such/folder"],
        cwd=Path(__file__).resolve().parents[3],
        env={**os.environ, "GRADIO_TEMP_DIR": str(tmp_path / "file" / "gradio")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert started.returncode == 1
    assert "The folder for uploads" in started.stderr and "GRADIO_TEMP_DIR" in started.stderr
    assert "Traceback" not in started.stderr and "/no/such/folder" not in started.stderr


@pytest.mark.parametrize("late", [False, True])
def test_a_disk_that_is_full_when_a_file_is_made_for_a_visitor_gets_a_sentence(tmp_path, monkeypatch, late):
    def make(folder):
        if not late:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder / "kept.png"))
        (folder / "kept.png").write_bytes(b"picture")
        return folder / "kept.png", "Saved."

    def save(data, name, cache):
        (tmp_path / hash_bytes(data)).mkdir()
        (tmp_path / hash_bytes(data) / name).write_bytes(data[:3])
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / name))

    monkeypatch.setattr("app.export.download.save_bytes_to_cache", save)
    assert prepare_download(make, str(tmp_path)) == {"said": f"Not saved: {CANNOT_STORE}"}
    assert list(tmp_path.iterdir()) == []
