"""Pictures of any shape become a bounded number of visual tokens, or one sentence before the encoder."""

import pytest
import torch
from PIL import Image

from rediprune import Explainer
from rediprune.explainer import encode
from rediprune.models import ModelError
from tests.families import families

FAMILIES = {family.name: family for family in families()}
SHAPES = [(50, 1), (1, 50), (4096, 82), (82, 4096), (2000, 2000)]


def picture(size):
    return Image.linear_gradient("L").resize(size).convert("RGB")


@pytest.mark.parametrize("name", ["InternVL", "LLaVA-NeXT", "LLaVA-OneVision", "Qwen2.5-VL", "Qwen3-VL"])
def test_strips_and_huge_pictures_become_as_many_tiles_as_the_model_takes(name):
    family = FAMILIES[name]
    explainer = Explainer(family.model(torch.float32), family.processor(), name)
    for size in SHAPES:
        encoding = explainer.look(picture(size))
        assert 0 < encoding.n_visual < 300
        question = explainer.ask(encoding, "What is this?")
        kept = explainer.select(encoding, question).kept()
        assert explainer.answer(encoding, question, kept, max_new_tokens=2).n_visual == len(kept)


def test_hundreds_of_tiles_are_refused_before_the_encoder(monkeypatch):
    family = FAMILIES["InternVL"]
    processor = family.processor()
    monkeypatch.setattr(processor.image_processor, "max_patches", 400)
    explainer = Explainer(family.model(torch.float32), processor, "InternVL")
    monkeypatch.setattr(encode, "MOST_VISUAL_TOKENS", 5000)
    monkeypatch.setattr(explainer.adapter, "look", lambda *_: pytest.fail("the encoder ran"))
    with pytest.raises(ModelError, match=r"makes [56],\d+ visual tokens of 2000 x 2000 pixels, [^\n]*$"):
        explainer.look(picture((2000, 2000)))
