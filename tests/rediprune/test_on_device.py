"""Check that features can be kept on another device: they move, indices stay, and calls bring them along.

The meta device stands for a GPU: what lies there cannot be computed with by accident.
"""

import pickle

import pytest
import torch

import rediprune.explainer.explainer
from rediprune.config import PruneConfig
from rediprune.explainer.explainer import Explainer
from rediprune.explainer.model_card import Card
from rediprune.explainer.prompt_spec import PromptSpec
from rediprune.models.families.llava import LlavaAdapter
from rediprune.trace import on_device
from tests.families import families
from tests.support import tiny

META = torch.device("meta")


def explainer(keep_on=None, card=None) -> Explainer:
    return Explainer(tiny.model(), tiny.processor(), card=card, keep_on=keep_on)


def test_features_move_and_indices_stay():
    look = explainer().look(tiny.image())
    moved = on_device(look, META)
    assert moved.vision.features.device == moved.items[0].vision.features.device == META
    assert moved.items[0].placeholder_tokens is look.items[0].placeholder_tokens
    assert (moved.key, moved.media, moved.vision.geometry) == (look.key, look.media, look.vision.geometry)
    assert look.vision.features.device.type == "cpu"


def test_what_is_where_it_should_be_is_not_copied():
    look = explainer().look(tiny.image())
    assert on_device(look, "cpu") is look


def test_a_look_is_kept_where_it_was_told():
    look = explainer(keep_on=META).look(tiny.image())
    assert look.vision is look.items[0].vision and look.vision.features.device == META


def test_a_call_brings_the_features_to_the_model(monkeypatch):
    one, met = explainer(keep_on="cpu"), []
    look = one.look(tiny.image())
    asked = one.ask(look, "What color is the star?")
    monkeypatch.setattr(LlavaAdapter, "device", META)
    monkeypatch.setattr(one.adapter, "splice", lambda ids, mask, seen, *_: met.extend([ids, seen[0]]))
    one._prompt(PromptSpec(one.adapter, look, asked))()
    ids, seen = met
    assert ids.device == seen.vision.features.device == META
    assert look.vision.features.device.type == asked.query.vector.device.type == "cpu"


@pytest.mark.parametrize("query", ["prompt-tail", "text-tower"])
def test_a_query_is_made_at_the_model_and_kept_with_the_features(monkeypatch, tmp_path, query):
    tower = f"local-dir:{tiny.save_clip(tmp_path)}"
    one, met = explainer(keep_on="cpu", card=Card(text_tower=tower)), []
    made = rediprune.explainer.explainer.prepare_question

    def prepare_question(adapter, processor, look, *rest):
        met.append(look.vision.features.device)
        return on_device(made(adapter, processor, look, *rest), META)

    look = one.look(tiny.image())

    def moved(record, device):
        met.append(device)
        return record

    monkeypatch.setattr(rediprune.explainer.explainer, "prepare_question", prepare_question)
    monkeypatch.setattr(rediprune.explainer.explainer, "on_device", moved)
    one.ask(look, "What color is the star?", PruneConfig(query=query))
    assert met == [one.adapter.device, torch.device("cpu"), "cpu"]  # there, seen there, and back


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_what_every_family_sees_crosses_to_another_process(family):
    model = family.model(torch.float32)
    one = Explainer(model, family.processor())
    for media in (family.pictures(0)[0], family.pictures(1, family.n_frames)):
        look = one.look(media)
        crossed = pickle.loads(pickle.dumps(look))
        for before, after in zip(look.items, crossed.items, strict=True):
            kept = before.vision.all[::3]
            with torch.no_grad():
                (mine,), (other,) = (one.adapter.embed_kept([seen], [kept]) for seen in (before, after))
                assert torch.equal(mine, other)
        there = on_device(crossed.items, META)
        assert {one.vision.features.device for one in there} == {META}
        assert {one.placeholder_tokens.device.type for one in there} == {"cpu"}
