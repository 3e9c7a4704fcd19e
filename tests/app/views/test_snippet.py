"""snippet: the program that the page shows, executed, keeps the same tokens and says the same words."""

import io
from contextlib import redirect_stdout
from dataclasses import replace

import pytest
import torch

import rediprune
from app.state.app_state import PageRun
from app.state.options import to_prune_config
from app.state.sources import Source, load_frames, load_saved_run
from app.views import snippet
from rediprune import Explainer, save_trace
from rediprune.explainer.model_card import Card
from tests.support import tiny

QUESTION = "What color is the 'star', \"really\"?"


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny-llava", Card())


def fill(made, keep, weight, own=""):
    """Put the sliders, or the visitor's own tokens ("3,17"), into the program, as export.js does."""
    a, b, c = made["parts"]
    tokens = own.replace(",", ", ")
    kept = f"torch.tensor([{tokens}])" if own else made["by_rule"]
    return ("import torch\n\n" if own else "") + f"{a}{keep}{b}{weight}{c}{kept}" + made["tail"]


def program(explainer, source, sliders, own="", **dials):
    run = PageRun(
        source, QUESTION, dials.get("method", "rediprune"), "prompt-tail", dials.get("budget", "frame")
    )
    config = to_prune_config(explainer, sliders, run.method, run.query, run.budget)
    made = snippet.build_snippet(explainer, run, config, load_frames(source)[0].clip)
    return config, fill(made, sliders["keep"], sliders["weight"], own), made["note"]


def printed(text, explainer, monkeypatch):
    """What the program prints; the model that it opens is the one at hand."""
    opens = []
    monkeypatch.setattr(Explainer, "from_pretrained", lambda *a, **k: opens.append((a, k)) or explainer)
    out = io.StringIO()
    with redirect_stdout(out):
        exec(compile(text, "snippet", "exec"), {})
    return out.getvalue().splitlines(), opens


@pytest.mark.parametrize(
    ("source", "dials"),
    [
        (Source(seed=42), {}),
        (Source(seed=42), {"method": "random"}),
        (Source(seed=4, clip=True), {"budget": "shared"}),
    ],
)
@pytest.mark.parametrize("sliders", [{"keep": 0.15, "weight": 1 / 3}, {"keep": 0.5, "weight": 1.0}])
def test_run_it_keeps_the_same_tokens_and_says_the_same(explainer, monkeypatch, source, sliders, dials):
    config, text, _ = program(explainer, source, sliders, **dials)
    trace = explainer.run(load_frames(source)[0], QUESTION, config)
    lines, opens = printed(text, explainer, monkeypatch)
    assert lines == [str(trace.kept.tolist()), trace.full.text, trace.pruned.text]
    assert opens == [((), {})]  # the built-in model, by its default


def test_tokens_of_ones_own_are_in_it(explainer, monkeypatch):
    _, text, _ = program(explainer, Source(seed=42), {"keep": 0.15, "weight": 0.5}, own="2,4,9")
    look = explainer.look(load_frames(Source(seed=42))[0])
    said = explainer.answer(look, explainer.ask(look, QUESTION), torch.tensor([2, 4, 9])).text
    lines, _ = printed(text, explainer, monkeypatch)
    assert lines[0] == "[2, 4, 9]" and lines[2] == said


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "PATH" / "TO").mkdir(parents=True)
    return tmp_path / "PATH" / "TO"


def test_an_upload_stands_in_it_by_a_place_to_fill_in_and_that_is_said(explainer, monkeypatch, folder):
    name = 'it\'s a "photo".png'
    tiny.image(3, (120, 80)).save(folder / name)
    source = Source(path=str(folder / name))
    config, text, note = program(explainer, source, {"keep": 0.25, "weight": 0.5})
    lines, _ = printed(text, explainer, monkeypatch)
    assert lines[0] == str(explainer.run(load_frames(source)[0], QUESTION, config).kept.tolist())
    assert "your own file" in note


def test_so_does_an_opened_trace(explainer, monkeypatch, folder):
    trace = explainer.run(tiny.image(3), QUESTION, rediprune.PruneConfig(0.25), max_new_tokens=3)
    source = Source(path=str(save_trace(trace, folder / "run.json")), trace=True)
    run = PageRun(source, QUESTION, "rediprune", "prompt-tail")
    made = snippet.build_snippet(load_saved_run(source), run, trace.config, False)
    lines, _ = printed(fill(made, 0.25, 1 / 3), explainer, monkeypatch)
    assert lines[0] == str(trace.kept.tolist()) and "your own file" in made["note"]


def test_another_model_is_opened_as_it_was(explainer):
    hub = Explainer(tiny.model(), tiny.processor(), "llava-hf/llava-1.5-7b-hf")
    _, text, _ = program(hub, Source(seed=1), {"keep": 0.15, "weight": 0.5})
    assert "from_pretrained('llava-hf/llava-1.5-7b-hf', dtype='float32')" in text
    local = Explainer(tiny.model(), tiny.processor(), "mine")
    _, text, note = program(local, Source(seed=1), {"keep": 0.15, "weight": 0.5})
    assert "'PATH/TO/mine'" in text and "folder of the model" in note


def test_only_dials_that_are_turned_are_in_it(explainer):
    _, text, _ = program(explainer, Source(seed=1), {"keep": 0.15, "weight": 0.5})
    assert "method" not in text and "budget" not in text
    seeded = Explainer(tiny.model(), tiny.processor(), "tiny-llava", Card())
    seeded.defaults = replace(seeded.defaults, seed=7)
    assert "seed=7" in program(seeded, Source(seed=1), {"keep": 0.15, "weight": 0.5})[1]
