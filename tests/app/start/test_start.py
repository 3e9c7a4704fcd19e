"""Start and end of the page's process: bad addresses refused at once, no file left behind, ended at once."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

import rediprune
from app.start.address import is_loopback, why_not_served
from app.start.upload_folder import (
    LOCK,
    PARENT,
    PREFIX,
    check_writable,
    claim,
    new_folder,
    remove,
    remove_left_behind,
)
from tests.support import tiny

ROOT = Path(rediprune.__file__).parents[1]


@pytest.fixture
def taken():
    """A port that something listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize("host", [None, "", "127.0.0.1", "0.0.0.0", "localhost"])
def test_an_address_of_this_machine_is_let_through(host):
    assert why_not_served(host, None) == ""
    assert why_not_served(host, free_port()) == ""


@pytest.mark.parametrize("port", [0, -1, 99_999, "x", "7860.5", "٧٨٦٠", 10**30])
def test_a_port_that_there_is_not(port):
    assert "out of range: choose one from 1 to 65535" in why_not_served(None, port)


@pytest.mark.parametrize("host", [None, "0.0.0.0"])
def test_a_port_in_use(taken, host):
    assert f"port {taken} of" in why_not_served(host, taken) and "in use" in why_not_served(host, taken)


def test_an_address_of_another_machine():
    assert why_not_served("203.0.113.7", 7860).startswith("203.0.113.7 is no address of this machine")


def test_a_name_that_is_no_address():
    assert why_not_served("a" * 300, 7860).startswith("there is no address aaa")


@pytest.mark.parametrize("words", [["--port", "99999"], ["--host", "203.0.113.7"], "taken"])
def test_a_bad_address_is_one_sentence_before_anything_is_loaded(words, taken):
    words = ["--port", str(taken)] if words == "taken" else words
    command = [sys.executable, "-X", "importtime", "app.py", *words]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    said = [line for line in ran.stderr.splitlines() if not line.startswith("import time:")]
    assert ran.returncode == 1 and len(said) == 1 and "Traceback" not in ran.stderr
    assert not re.search(r"\b(torch|transformers|gradio)\b", ran.stderr.replace(said[0], ""))


def own_code(folder):
    """A model of a class of its own, whose code leaves a mark."""
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w')")


def no_weights(folder):
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "sentence"), [(own_code, "--trust-remote-code"), (no_weights, "holds no weights")]
)
def test_a_model_that_cannot_be_used_is_one_sentence_at_the_start(tmp_path, damage, sentence):
    folder = tiny.save(tmp_path / "tiny")
    damage(folder)
    command = [sys.executable, "app.py", "--port", str(free_port()), "--model", str(folder)]
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False, input="y\n"
    )
    assert ran.returncode == 1 and "Traceback" not in ran.stderr
    assert sentence in ran.stderr.splitlines()[-1]
    assert not (folder / "ran").exists()


@pytest.mark.parametrize(
    ("host", "only_here"),
    [
        (None, True),
        ("", True),
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.7", False),
        ("demo.example", False),
    ],
)
def test_a_loopback_address_in_every_spelling_reaches_this_machine_alone(host, only_here):
    assert is_loopback(host) == only_here


@pytest.mark.parametrize("use", [claim, check_writable])
def test_a_folder_that_cannot_be_made_is_refused_in_the_same_sentence_either_way(tmp_path, use):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match=r"The folder for uploads, .* cannot be written .*GRADIO_TEMP_DIR"):
        use(tmp_path / "file" / "uploads")


def test_a_folder_is_in_use_until_its_process_ends(tmp_path):
    folder = new_folder({"GRADIO_TEMP_DIR": str(tmp_path)})
    assert folder.parent == tmp_path / PARENT and folder.name.startswith(PREFIX)
    lock = claim(folder)
    (folder / "upload.png").write_bytes(b"x")
    assert remove_left_behind(folder.parent) == [] and (folder / "upload.png").exists()
    lock.release()
    assert remove_left_behind(folder.parent) == [folder] and not folder.exists()


def test_the_end_removes_the_own_folder_alone(tmp_path):
    mine, other = (new_folder({"GRADIO_TEMP_DIR": str(tmp_path)}) for _ in range(2))
    locks = claim(mine), claim(other)
    remove(mine, locks[0])
    assert not mine.exists() and other.exists()
    locks[1].release()


def test_what_is_not_ours_is_never_removed(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / LOCK).touch()
    parent = tmp_path / PARENT
    parent.mkdir()
    (parent / f"{PREFIX}link").symlink_to(elsewhere)
    (parent / f"{PREFIX}file").write_text("x")
    (parent / "another").mkdir()
    (parent / "another" / LOCK).touch()
    strange = parent / f"{PREFIX}strange"  # by our kind of name, but with something that `claim` did not make
    strange.mkdir()
    (strange / "data").write_text("x")
    os.utime(strange, (0, 0))
    young = parent / f"{PREFIX}young"  # its process is about to lock it
    young.mkdir()
    assert remove_left_behind(parent) == []
    assert elsewhere.exists() and strange.exists() and young.exists() and (parent / "another").exists()


@contextmanager
def page(model, uploads, port):
    """A process that serves the page, once it does; killed at the end if it still runs."""
    env = {**os.environ, "PYTHONUNBUFFERED": "1", "GRADIO_TEMP_DIR": str(uploads)}
    command = [sys.executable, "app.py", "--model", str(model), "--port", str(port)]
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            said = []
            for line in server.stdout:
                said.append(line)
                if "Running on local URL" in line:
                    break
            else:
                pytest.fail("".join(said))
            yield server
        finally:
            server.kill()


def uploaded(port, name, data):
    """Give the page a file as the browser does; returns its path on the server."""
    body = (
        f'--x\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode() + data
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/gradio_api/upload",
        body + b"\r\n--x--\r\n",
        {"Content-Type": "multipart/form-data; boundary=x"},
    )
    with urllib.request.urlopen(asked) as reply:
        return json.load(reply)[0]


def served(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/gradio_api/file={path}") as reply:
            return reply.status
    except urllib.error.HTTPError as error:
        return error.code


def test_files_of_a_killed_process_are_neither_served_nor_kept_and_a_signal_ends_it_at_once(tmp_path):
    model = tiny.save(tmp_path / "model")
    port, uploads = free_port(), tmp_path / "uploads"
    with page(model, uploads, port) as first:
        path = uploaded(port, "secret.png", b"of another visitor")
        assert served(port, path) == 200
        first.kill()
    assert Path(path).exists()
    with page(model, uploads, port) as second:
        assert served(port, path) in (403, 404) and not Path(path).exists()
        tiny.image().save(tmp_path / "given.png")
        given = {
            "path": uploaded(port, "given.png", (tmp_path / "given.png").read_bytes()),
            "meta": {"_type": "gradio.FileData"},
        }
        # An answer is under way: its thread must not be waited for.
        data = [given, "What is it?", 0.15, 0.33, "rediprune", "prompt-tail", "frame", 8]
        urllib.request.urlopen(
            urllib.request.Request(
                f"http://127.0.0.1:{port}/gradio_api/call/answer",
                json.dumps({"data": data}).encode(),
                {"Content-Type": "application/json"},
            )
        ).close()
        began = time.perf_counter()
        second.send_signal(signal.SIGTERM)
        assert second.wait(timeout=20) == 0
        assert time.perf_counter() - began < 4  # 1 to 2 on an idle machine
        rest = second.stdout.read()
        assert "terminate called" not in rest and "Traceback" not in rest
    assert list((uploads / PARENT).iterdir()) == []
