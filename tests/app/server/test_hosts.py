"""Whose requests are taken: Host and Origin, at the page itself and at its rules."""

import json
import urllib.error
import urllib.request

import pytest
from starlette.datastructures import Headers

from app.server.hosts import HostCheck, HostRules, hostname
from rediprune import Explainer
from rediprune.explainer.model_card import Card
from tests.support import tiny

HERE, SHARE = "127.0.0.1:7860", "https://abc.gradio.live"
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
FILE = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nabc\r\n--x--\r\n'


def rules(**how):
    return HostRules(**how)


@pytest.mark.parametrize(
    ("how", "host", "served"),
    [
        ({}, HERE, True),
        ({}, "localhost:7860", True),
        ({}, "LOCALHOST", True),
        ({}, "localhost.", True),
        ({}, "127.0.0.2:8080", True),
        ({}, "[::1]:7860", True),
        ({}, "evil.example:7860", False),
        ({}, "localhost.evil.example", False),
        ({}, "127.0.0.1.evil.example", False),
        ({}, "192.168.1.5:7860", False),
        ({}, "", False),
        ({}, "null", False),
        ({"listens": "0.0.0.0"}, "192.168.1.5:7860", True),
        ({"listens": "::"}, "[fd00::5]:7860", True),
        ({"listens": "0.0.0.0"}, "evil.example", False),
        ({"listens": "192.168.1.5"}, "192.168.1.5:7860", True),
        ({"listens": "192.168.1.5"}, "192.168.1.6:7860", False),
        ({"listens": "box.lan"}, "box.lan:7860", True),
        ({"allowed": ["demo.example"]}, "demo.example", True),
        ({"allowed": ["demo.example:443"]}, "Demo.Example", True),
        ({"allowed": ["demo.example"]}, "x.demo.example", False),
        ({"allowed": ["*"]}, "anything.example", True),
        ({"shared": lambda: SHARE}, "abc.gradio.live", True),
        ({"shared": lambda: SHARE}, "evil.gradio.live", False),
    ],
)
def test_which_hosts_are_served(how, host, served):
    assert rules(**how).serves(host) is served


@pytest.mark.parametrize(
    ("how", "origin", "host", "taken"),
    [
        ({}, "http://127.0.0.1:7860", HERE, True),
        ({}, "http://localhost:7860", "localhost:7860", True),
        ({}, "http://localhost:3000", "localhost:7860", False),
        ({}, "http://localhost:7860", HERE, False),
        ({}, "https://evil.example", HERE, False),
        ({}, "null", HERE, False),
        ({}, "file://", HERE, False),
        ({}, "127.0.0.1:7860", HERE, False),
        ({}, "https://localhost", "localhost:443", True),
        ({"shared": lambda: SHARE}, SHARE, "abc.gradio.live", True),
        ({"shared": lambda: SHARE}, SHARE, HERE, False),
        ({"allowed": ["demo.example"]}, "https://demo.example", HERE, True),  # the proxy asks by another name
        ({"allowed": ["demo.example"]}, "https://demo.example.evil.example", HERE, False),
        ({"allowed": ["*"]}, "https://anything.example", "x.hf.space", True),
    ],
)
def test_which_origins_are_taken(how, origin, host, taken):
    assert rules(**how).takes(origin, host) is taken


def checked(how, headers, kind="http"):
    """Whether a request reaches the page, by the ASGI protocol."""
    reached, sent = [], []

    async def page(scope, receive, send):
        reached.append(scope)

    async def send(message):
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "method": "POST", "path": "/", "headers": raw, "query_string": b""}
    coroutine = HostCheck(page, rules(**how))(scope, None, send)
    with pytest.raises(StopIteration):
        coroutine.send(None)
    return bool(reached), sent


@pytest.mark.parametrize(
    ("headers", "reached"),
    [
        ({"Host": HERE}, True),
        ({"Host": HERE, "Sec-Fetch-Site": "same-origin"}, True),
        ({"Host": HERE, "Sec-Fetch-Site": "none"}, True),
        ({"Host": HERE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, False),
        ({"Host": HERE, "Sec-Fetch-Site": "same-site"}, False),
        ({"Host": HERE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, True),
        ({"Host": HERE, "Origin": "https://evil.example", "X-Forwarded-Host": "evil.example"}, False),
        ({"Host": "evil.example", "X-Forwarded-Host": HERE}, False),
        ({}, False),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_what_reaches_the_page(headers, reached, kind):
    through, sent = checked({}, headers, kind)
    assert through is reached
    if not reached:
        assert sent[0].get("status", 1008 if kind == "websocket" else 0) in (403, 1008)


def test_names_are_read_without_port():
    assert hostname("[::1]:80") == hostname("::1") == "::1"
    assert Headers({"host": "x"})["host"] == hostname("X:1")


@pytest.fixture(scope="module")
def address():
    from app.api import mcp as tools
    from app.page.build import build_demo, launch_options

    demo = build_demo(Explainer(tiny.model(), tiny.processor(), "tiny", Card()))
    _, url, _ = tools.launch(demo, quiet=True, server_name="127.0.0.1", **launch_options())
    yield url
    demo.close()


def asked(address, path, headers, body=None):
    request = urllib.request.Request(address + path, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as reply:
            return reply.status, reply.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


REQUESTS = {
    "page": ("", {}, None),
    "config": ("config", {}, None),
    "upload": ("gradio_api/upload", FORM, FILE),
    "menu": ("gradio_api/run/halt", {"Content-Type": "application/json"}, b'{"data": []}'),
    "call": ("gradio_api/call/about", {"Content-Type": "application/json"}, b'{"data": []}'),
    "tools": (
        "gradio_api/mcp/",
        {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"},
        json.dumps(
            {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "initialize",
                "params": {
                    "protocolVersion": "2025-03-26",
                    "capabilities": {},
                    "clientInfo": {"name": "t", "version": "1"},
                },
            }
        ).encode(),
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_page_itself_and_programs_are_served(address, name):
    path, headers, body = REQUESTS[name]
    own = {} if body is None else {"Origin": address.rstrip("/")}
    assert asked(address, path, headers, body)[0] == 200
    assert asked(address, path, headers | own, body)[0] == 200


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize(
    "foreign", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}], ids=str
)
def test_other_pages_and_other_names_are_refused_in_a_sentence(address, name, foreign):
    path, headers, body = REQUESTS[name]
    status, said = asked(address, path, headers | foreign, body)
    assert status == 403
    assert said.startswith("This page") and "--allowed-host" in said and "\n" not in said


def test_a_space_is_open_to_every_page_and_a_flag_names_others(monkeypatch):
    import runpy
    import sys
    from pathlib import Path

    monkeypatch.setattr(sys, "argv", ["app.py", "--allowed-host", "a.example", "--allowed-host", "b.example"])
    monkeypatch.setattr(
        "app.page.build.build_demo", lambda *given, **how: type("Page", (), {"share_url": None})()
    )
    monkeypatch.setattr("rediprune.Explainer.from_pretrained", lambda **how: None)
    monkeypatch.setattr("rediprune.explainer.model_holder.ModelHolder", lambda *given, **how: None)
    monkeypatch.delitem(sys.modules, "_rediprune_kept", raising=False)
    started = runpy.run_path(str(Path(__file__).resolve().parents[3] / "app.py"))
    made = started["host_rules"](started["args"], started["demo"])
    assert made.serves("a.example") and made.serves("b.example") and not made.serves("c.example")
    monkeypatch.setenv("SPACE_ID", "someone/space")
    on_a_space = started["host_rules"](started["args"], started["demo"])
    assert on_a_space.serves("someone-space.hf.space")
    assert on_a_space.takes("https://huggingface.co", "someone-space.hf.space")
