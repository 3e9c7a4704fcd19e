"""The page as a whole: how it starts, and what a stranger's bare request gets."""

import importlib
import json
import os
import re
import runpy
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from rediprune import Explainer
from rediprune.explainer.model_card import Card
from tests.support import tiny

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def address():
    from app.page.build import build_demo, launch_options

    demo = build_demo(Explainer(tiny.model(), tiny.processor(), "<b>tiny</b>", Card()))
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **launch_options())
    yield url
    demo.close()


def posted(address, call, data):
    """What the server says to a stranger's bare request, past every client that would upload files first."""
    body = json.dumps({"data": data, "session_hash": "stranger"}).encode()
    asked = urllib.request.Request(
        f"{address}gradio_api/call/{call}", body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked) as reply:
        event = json.load(reply)["event_id"]
    with urllib.request.urlopen(f"{address}gradio_api/call/{call}/{event}") as reply:
        return reply.read().decode()


def offers_tools(address):
    try:
        with urllib.request.urlopen(f"{address}gradio_api/mcp/schema") as schema:
            return bool(json.load(schema))
    except urllib.error.HTTPError as error:
        assert error.code == 404
        return False


@pytest.mark.parametrize("mark", [{}, {"meta": {"_type": "gradio.FileData"}}])
def test_a_path_that_was_not_uploaded_is_refused(address, tmp_path, mark):
    secret = tmp_path / "secret.png"
    tiny.image(1).save(secret)
    for path in (str(secret), str(tmp_path / "missing.png")):
        file = {"path": path, **mark}
        said = posted(address, "answer", [file, "What?", 0.15, 0.33, "rediprune", "prompt-tail", "frame", 8])
        assert "event: error" in said and "event: complete" not in said
        sliders = {"keep": 0.15, "weight": 0.33}
        for call in ("give", "give_1"):  # of the picture and of the clip
            asked = [file, 8, "What?", None, sliders, "rediprune", "prompt-tail", "frame"]
            said = posted(address, call, asked)
            assert "data:image" not in said
            # Of a File component Gradio itself checks where the file lies, before we do.
            assert mark or call == "give_1" or "No uploaded file arrived" in said


def test_a_models_name_is_never_html(address):
    with urllib.request.urlopen(address) as page:
        text = page.read().decode()
    assert "<b>tiny</b>" not in text


def start(monkeypatch, *words):
    """Run app.py in this process up to the point where it ends by itself."""
    monkeypatch.setattr(sys, "argv", ["app.py", *words])
    # The signals and the folder of uploads of this process stay those of the tests.
    monkeypatch.setattr("app.start.signals.end_at_once", lambda *_, **__: None)
    importlib.import_module("gradio")
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
    return ended.value.code


def test_help_names_every_flag(monkeypatch, capsys):
    assert start(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    for flag in (
        "--share",
        "--host",
        "--port",
        "--model",
        "--device",
        "--dtype",
        "--no-fixed-model",
        "--mcp",
    ):
        assert flag in shown


def test_tools_without_their_package_get_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "mcp", None)
    said = start(monkeypatch, "--mcp")
    assert 'pip install "gradio[mcp]"' in said and "\n" not in said


def test_a_model_that_is_not_there_gets_a_sentence(monkeypatch):
    assert "/no/such/folder" in start(monkeypatch, "--model", "/no/such/folder")


@pytest.mark.parametrize(
    ("starter", "tools"),
    [([sys.executable, "app.py", "--mcp"], True), ([sys.executable, "-m", "gradio", "app.py", "--"], False)],
)
def test_the_page_is_served_and_tools_where_they_are_asked_for(starter, tools, tmp_path):
    tiny.save(tmp_path / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--model", str(tmp_path / "model"), "--port", str(port)]
    env = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*starter, *words],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as server:
        try:
            said = []
            for line in server.stdout:
                said.append(line)
                if re.search("Launching MCP server" if tools else "Running on local URL", line):
                    break
            else:
                pytest.fail("".join(said))
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
                assert "ReDiPrune" in page.read().decode()
            assert offers_tools(f"http://127.0.0.1:{port}/") is tools
        finally:
            os.killpg(server.pid, 15)
