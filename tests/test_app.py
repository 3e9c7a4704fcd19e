"""The page as a whole: how it starts, and its one public endpoint through a real client."""

import json
import os
import re
import runpy
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from rediprune import Explainer, kept_count
from rediprune.card import Card
from tests import tiny
from tests.footage import write, write_sound

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def address():
    from app.ui import build_demo, launch_options

    demo = build_demo(Explainer(tiny.model(), tiny.processor(), "<b>tiny</b>", Card()))
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, server_name="127.0.0.1", **launch_options())
    yield url
    demo.close()


@pytest.fixture(scope="module")
def client(address):
    from gradio_client import Client

    return Client(address, verbose=False)


@pytest.fixture
def photo(tmp_path):
    from gradio_client import handle_file

    tiny.image(1).save(tmp_path / "photo.png")
    return handle_file(str(tmp_path / "photo.png"))


def test_answer_is_the_only_public_endpoint_and_is_described(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoints) == ["/answer"]
    names = [p["parameter_name"] for p in endpoints["/answer"]["parameters"]]
    assert names == ["media", "question", "keep_ratio", "weight", "method", "query", "budget", "n_frames"]
    assert "pruned few" in endpoints["/answer"]["description"]


def test_the_endpoint_answers_with_defaults(client, photo):
    found = client.predict(photo, "What color is the star?", api_name="/answer")
    assert found["unpruned"]["visual_tokens"] == tiny.N
    assert found["pruned"]["visual_tokens"] == kept_count(tiny.N, 0.15) == len(found["kept"])
    assert found["frames"] == [{"second": None, "tokens": tiny.N, "kept": len(found["kept"])}]
    assert found["savings_estimated"]["prefill"] > 1
    assert found["agreement"]["kl_first"] >= 0


def test_the_endpoint_refuses_bad_input_with_the_librarys_sentence(client, photo, tmp_path):
    from gradio_client import handle_file

    (tmp_path / "broken.png").write_bytes(b"nothing")
    for change, words in (
        ({"question": " "}, "question is empty"),
        ({"keep_ratio": 0}, "keep_ratio"),
        ({"method": "magic"}, "magic"),
        ({"media": handle_file(str(tmp_path / "broken.png"))}, "broken.png"),
        ({"media": handle_file(str(write_sound(tmp_path / "song.wav", "pcm_s16le")))}, "only sound"),
        ({"budget": "magic"}, "magic"),
        ({"n_frames": 99}, "from 1 to 32"),
    ):
        with pytest.raises(Exception, match=words):
            client.predict(**{"media": photo, "question": "What?", **change}, api_name="/answer")


def test_the_endpoint_answers_about_a_clip_with_either_budget(client, tmp_path):
    from gradio_client import handle_file

    clip = handle_file(str(write(tmp_path / "clip.mp4", n=40)))
    for budget, count in (("frame", 4 * kept_count(tiny.N, 0.15)), ("shared", kept_count(4 * tiny.N, 0.15))):
        found = client.predict(clip, "Is it near?", budget=budget, n_frames=4, api_name="/answer")
        assert found["unpruned"]["visual_tokens"] == 4 * tiny.N
        assert sum(frame["kept"] for frame in found["frames"]) == len(found["kept"]) == count
        assert [frame["second"] for frame in found["frames"]] == [0, 1.3, 2.6, 3.9]


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


@pytest.mark.parametrize("mark", [{}, {"meta": {"_type": "gradio.FileData"}}])
def test_a_path_that_was_not_uploaded_is_refused(address, tmp_path, mark):
    secret = tmp_path / "secret.png"
    tiny.image(1).save(secret)
    for path in (str(secret), str(tmp_path / "missing.png")):
        file = {"path": path, **mark}
        said = posted(address, "answer", [file, "What?", 0.15, 0.33, "rediprune", "prompt-tail", "frame", 8])
        assert "event: error" in said and "event: complete" not in said
        knobs = {"keep": 0.15, "weight": 0.33}
        for call in ("give", "give_1"):  # of the picture and of the clip
            asked = [file, 8, "What?", None, knobs, "rediprune", "prompt-tail", "frame"]
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
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
    return ended.value.code


def test_help_names_every_flag(monkeypatch, capsys):
    assert start(monkeypatch, "--help") == 0
    shown = capsys.readouterr().out
    for flag in ("--share", "--host", "--port", "--model", "--device", "--dtype", "--no-fixed-model"):
        assert flag in shown


def test_a_model_that_is_not_there_gets_a_sentence(monkeypatch):
    assert "/no/such/folder" in start(monkeypatch, "--model", "/no/such/folder")


@pytest.mark.parametrize("starter", [[sys.executable, "app.py"], [sys.executable, "-m", "gradio", "app.py"]])
def test_the_page_is_served(starter, tmp_path):
    tiny.save(tmp_path / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["--model", str(tmp_path / "model"), "--port", str(port)]
    if "gradio" in starter:
        words = ["--", *words]
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
                if re.search("Running on local URL", line):
                    break
            else:
                pytest.fail("".join(said))
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as page:
                assert "ReDiPrune" in page.read().decode()
        finally:
            os.killpg(server.pid, 15)
