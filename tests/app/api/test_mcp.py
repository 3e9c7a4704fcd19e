"""The tools through a real MCP client: what a language model is told, and what it gets."""

import asyncio
import base64
import io
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from app.api import mcp as tools
from app.page.build import build_demo, launch_options
from rediprune import Explainer
from rediprune.explainer.model_card import Card
from tests.support import tiny

QUESTION = "What color is the star?"
NAMES = ["answer_question", "select_tokens", "draw_overlay", "sweep_ratios", "about_model"]


@pytest.fixture(scope="module")
def demo():
    made = build_demo(Explainer(tiny.model(), tiny.processor(), "tiny", Card()))
    tools.launch(made, quiet=True, server_name="127.0.0.1", **launch_options())
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(demo):
    return demo.local_url


@pytest.fixture(scope="module")
def ask(address):
    """Runs `doing(session)`, in a thread of its own: Playwright leaves an event loop running in this one."""

    async def talk(doing):
        async with (
            streamable_http_client(f"{address}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            return await doing(session)

    with ThreadPoolExecutor(1) as thread:
        yield lambda doing: thread.submit(asyncio.run, talk(doing)).result()


def data_url(seed=1):
    out = io.BytesIO()
    tiny.image(seed).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


@pytest.fixture
def call(ask):
    def called(name, **how):
        how = how if name == "about_model" else {"media": data_url(), "question": QUESTION, **how}
        return ask(lambda session: session.call_tool(name, how))

    return called


def test_every_tool_says_what_it_does_and_what_each_parameter_means(ask):
    found = ask(lambda session: session.list_tools()).tools
    assert [tool.name for tool in found] == NAMES
    for tool in found:
        assert len(tool.description) > 100 and "The result:" in tool.description
        for name, schema in tool.inputSchema["properties"].items():
            assert len(schema["description"]) > 30 and "type" in schema, (tool.name, name)
    (answer, *_) = found
    assert answer.inputSchema["required"] == ["media", "question"]
    assert {"rediprune", "random"} <= set(answer.inputSchema["properties"]["method"]["enum"])


def test_a_tool_gives_as_json_what_the_endpoint_gives(call, address, tmp_path):
    tiny.image(1).save(tmp_path / "photo.png")
    client = Client(address, verbose=False)
    of_endpoint = client.predict(handle_file(str(tmp_path / "photo.png")), QUESTION, api_name="/select")
    made = call("select_tokens")
    (said,) = made.content
    assert not made.isError and json.loads(said.text) == of_endpoint
    assert json.loads(call("about_model").content[0].text)["model"] == "tiny"


def test_a_sweep_ends_with_all_its_rows(call):
    found = json.loads(call("sweep_ratios", methods=["grid"], keep_ratios=[1.0]).content[0].text)
    assert (found["done"], len(found["rows"])) == (2, 2)


def test_the_overlay_is_a_picture_that_another_tool_takes(call):
    image, told = call("draw_overlay").content
    with Image.open(io.BytesIO(base64.b64decode(image.data))) as drawn:
        assert (image.mimeType, drawn.size) == ("image/png", (448, 448))
    url = told.text.partition(": ")[2]
    assert json.loads(call("select_tokens", media=url).content[0].text)["size"] == [448, 448]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"question": " "}, "question is empty"),
        ({"keep_ratio": 7}, "keep_ratio=7.0 is out of range"),
        ({"method": "magic"}, "'magic' is not one of ['rediprune'"),
        ({"media": "data:image/png;base64,x"}, "no address of a file"),
        ({"media": "/etc/passwd"}, "no address of a file"),
        ({"media": "https:///nowhere.png"}, "could be fetched"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, change, words):
    said = call("answer_question", **change)
    assert said.isError and words in said.content[0].text and "\n" not in said.content[0].text


def files():
    return {str(path) for path in Path(get_upload_folder()).rglob("*") if path.is_file()}


def test_what_a_model_gives_and_gets_is_forgotten_like_an_upload(call, demo):
    """Gradio removes what is in these sets once it is old enough (see build_demo)."""
    before = files()
    assert not call("draw_overlay", media=data_url(seed=90), keep_ratio=0.9).isError
    made = files() - before
    assert made and made <= set().union(*demo.temp_file_sets)


def test_the_page_is_there_as_well(address):
    with urllib.request.urlopen(address) as page:
        assert "ReDiPrune" in page.read().decode()
