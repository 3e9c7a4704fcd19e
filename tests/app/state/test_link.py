"""link: what a link says is done piece by piece; nonsense is left out and said; nothing else is read."""

import pytest

from app.state import link
from app.state.app_state import PageRun
from app.state.sources import Source, suggestions
from rediprune import Explainer
from rediprune.explainer.model_card import Card
from tests.support import tiny

SLIDERS = {"keep": 0.15, "weight": 1 / 3}
BEFORE = PageRun(Source(seed=3), "Where is the dog?", "rediprune", "prompt-tail", model=5)


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card())


def read(search, explainer, before=BEFORE):
    return link.read(search, before, SLIDERS, explainer)


def test_a_whole_link_is_restored(explainer):
    found = read(
        "?scene=42&q=Is+the+%E2%98%85+%3Cb%3Ered%3F&keep=30&weight=0.3333&method=random&query=prompt-tail"
        "&budget=shared&view=heat",
        explainer,
    )
    assert found.notes == ()
    assert found.sliders == {"keep": 0.3, "weight": 0.3333}
    assert found.run == PageRun(
        Source(seed=42), "Is the ★ <b>red?", "random", "prompt-tail", "shared", BEFORE.model
    )


def test_a_clip_is_a_clip(explainer):
    assert read("?clip=4&q=what", explainer).run.source == Source(seed=4, clip=True)


def test_of_a_scene_and_a_clip_the_scene_is_shown_and_the_clip_is_said_to_be_left_out(explainer):
    found = read("?clip=4&scene=7&q=what", explainer)
    assert found.run.source == Source(seed=7)
    assert [note.split(": ")[1] for note in found.notes] == ["clip “4” beside scene “7”."]


def test_what_a_link_does_not_say_stays_and_a_scene_brings_its_question(explainer):
    found = read("?scene=7&__theme=dark&other=1", explainer)
    assert found.sliders == SLIDERS and found.notes == ()
    assert found.run == PageRun(
        Source(seed=7), suggestions(Source(seed=7))[0], "rediprune", "prompt-tail", model=5
    )


@pytest.mark.parametrize(
    ("search", "name"),
    [
        ("scene=-1", "scene"),
        ("scene=1e3", "scene"),
        ("scene=99999999999999999999", "scene"),
        ("clip=x", "clip"),
        ("q=", None),  # an empty one says nothing
        ("q=what+%3Cimage%3E", "q"),
        ("keep=0", "keep"),
        ("keep=101", "keep"),
        ("keep=nan", "keep"),
        ("weight=nan", "weight"),
        ("weight=2", "weight"),
        ("weight=inf", "weight"),
        ("method=magic", "method"),
        ("method=cls-attention ", "method"),
        ("query=text-tower/cosine", "query"),  # this model has no text tower
        ("budget=all", "budget"),
        ("view=../secret", "view"),
    ],
)
def test_nonsense_is_left_out_and_said_and_the_rest_holds(explainer, search, name):
    found = read(f"?{search}&keep=40" if name != "keep" else f"?{search}&weight=0.5", explainer)
    assert (found.sliders["keep"], found.sliders["weight"]) in [(0.4, 1 / 3), (0.15, 0.5)]
    assert found.run.source.is_scene and found.run.method == "rediprune"
    if name is None:
        assert found.notes == ()
    else:
        (note,) = found.notes
        assert note.startswith(f"These parts of the link cannot be used here and were left out: {name} “")


@pytest.mark.parametrize("search", [None, 5, "?q=" + "x" * 10_000, "?" + "&".join(["a=1"] * 100)])
def test_what_is_no_link_at_all_is_an_error(explainer, search):
    with pytest.raises(ValueError):
        read(search, explainer)


def test_a_long_piece_is_not_repeated_whole(explainer):
    (note,) = read("?method=" + "x" * 3000, explainer).notes
    assert len(note) < 120
