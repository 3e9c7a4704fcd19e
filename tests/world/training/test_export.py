"""The exported folders are the trained modules: strangers' libraries load them and compute the same.

Weights are rounded to float16 on disk, so the modules are rounded here before they are compared.
"""

from __future__ import annotations

import json

import open_clip
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from transformers import AutoProcessor, LlavaForConditionalGeneration

from rediprune import Explainer
from rediprune.query.text_tower import TextTower
from rediprune.tokens import split_indices
from tests.support import tiny_world
from world import make_clip
from world.render.scenes import N_PATCHES
from world.text.packing import VISUAL_TOKEN
from world.text.scene_questions import Question
from world.training.export import export
from world.training.scene_store import SceneBatch
from world.training.vision_tower import FEATURE_LAYER

QUESTION = "What color is the star?"


def rounded(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(weight.half())
    return module


@pytest.fixture(scope="module")
def tower():
    return rounded(tiny_world.make_tower(seed=1))


@pytest.fixture(scope="module")
def reader():
    return rounded(tiny_world.make_language_model(seed=2))


@pytest.fixture(scope="module")
def assets(tower, reader, tmp_path_factory):
    folder = tmp_path_factory.mktemp("assets")
    export(tower, reader, tiny_world.train_tokenizer_once(), folder)
    card = {"text_tower": "../tiny-clip", "default_query": "text-tower", "default_pointing": "value"}
    (folder / "tiny-llava" / "rediprune.json").write_text(json.dumps(card))
    return folder


@pytest.fixture(scope="module")
def explainer(assets) -> Explainer:
    return Explainer.from_pretrained(assets / "tiny-llava")


@pytest.fixture(scope="module")
def pixels(tmp_path_factory) -> torch.Tensor:
    """Two scenes as training sees them, [2, 3, 224, 224]."""
    return SceneBatch.load(
        tiny_world.make_scene_store(tmp_path_factory.mktemp("bank"), 2), torch.arange(2).numpy()
    ).pixels


@pytest.fixture(scope="module")
def images(pixels) -> list[Image.Image]:
    white = ((pixels * 0.25 + 0.5) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    return [Image.fromarray(one.numpy()) for one in white]


@torch.no_grad()
def test_visual_tokens_are_those_of_training(explainer, tower, pixels, images):
    trained = tower.vision(pixels, output_hidden_states=True).hidden_states[FEATURE_LAYER][:, 1:]
    found = torch.cat([explainer.look(image).vision.features for image in images])
    assert found.dtype == torch.float32
    assert torch.allclose(found, trained, atol=1e-4)


@torch.no_grad()
def test_prompt_and_logits_are_those_of_training(explainer, tower, reader, images):
    look = explainer.look(images[0])
    asked = explainer.ask(look, QUESTION)
    packer = reader.packer
    image = [explainer.adapter.image_token_id] * N_PATCHES
    assert asked.inputs["input_ids"][0].tolist() == packer.prefix_ids + image + packer.question_ids(QUESTION)

    spliced = explainer.adapter.splice(asked.inputs["input_ids"], None, look.items, [look.vision.all])
    found = explainer.model(inputs_embeds=spliced.embeds).logits[0, -1]
    page = packer.pack([[Question(QUESTION, "", "color", ())]], torch.zeros(1, N_PATCHES).long())
    trained = reader.llm.get_input_embeddings()(page.ids.clamp(min=0))
    trained[page.ids == VISUAL_TOKEN] = reader.projector(look.vision.features)[0]
    logits = reader.llm(inputs_embeds=trained, attention_mask=page.mask, position_ids=page.positions).logits
    last = page.answers[0].nonzero()[0, 0] - 1
    assert torch.allclose(found, logits[0, last], atol=1e-4)


@torch.no_grad()
def test_a_pruned_clip_is_prompted_as_in_training(explainer, reader):
    """Two frames, one of which keeps nothing: the product's prompt is the page's."""
    clip = make_clip(3)
    look = explainer.look(clip.images[:2])
    asked = explainer.ask(look, QUESTION)
    kept = torch.tensor([200, 207, 300])
    of_each = split_indices(kept, [one.vision for one in look.items])
    spliced = explainer.adapter.splice(asked.inputs["input_ids"], None, look.items, of_each)
    page = reader.packer.pack([[Question(QUESTION, "", "color", ())]], kept[None] // N_PATCHES, n_frames=2)
    trained = reader.llm.get_input_embeddings()(page.ids.clamp(min=0))
    trained[page.ids == VISUAL_TOKEN] = reader.projector(look.vision.take(kept))
    length = spliced.embeds.shape[1]
    assert not page.answers[0, :length].any() and page.answers[0, length]
    assert torch.allclose(spliced.embeds[0], trained[0, :length], atol=1e-4)


@torch.no_grad()
def test_open_clip_loads_it_strictly_and_sees_what_transformers_sees(assets, tower, pixels, images):
    folder = f"local-dir:{assets / 'tiny-clip'}"
    clip, _, preprocess = open_clip.create_model_and_transforms(folder)
    clip.eval()
    assert torch.allclose(torch.stack([preprocess(image) for image in images]), pixels, atol=1e-5)
    found = clip.encode_image(pixels, normalize=True)
    trained = F.normalize(tower.visual_projection(tower.vision(pixels).pooler_output), dim=-1)
    assert torch.allclose(found, trained, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("text", [QUESTION, "red star 7, blue circle", "🦊 <script>", "many words " * 40])
def test_texts_embed_as_in_training(assets, tower, text):
    folder = f"local-dir:{assets / 'tiny-clip'}"
    trained = tower.encode_text([text])[0]
    clip, tokenize = open_clip.create_model(folder).eval(), open_clip.get_tokenizer(folder)
    assert torch.allclose(clip.encode_text(tokenize([text]), normalize=True)[0], trained, atol=1e-4)
    assert torch.allclose(F.normalize(TextTower.load(folder).encode(text), dim=-1), trained, atol=1e-4)


@torch.no_grad()
def test_keys_of_the_text_tower_are_where_the_dense_loss_put_them(assets, tower, explainer, images):
    features = explainer.look(images[0]).vision.features
    found = TextTower.load(f"local-dir:{assets / 'tiny-clip'}").keys(features)
    trained = tower.visual_projection(tower.vision.post_layernorm(features))
    assert torch.allclose(found, trained, atol=1e-4)


def test_unmodified_transformers_loads_and_generates(assets, images):
    model = LlavaForConditionalGeneration.from_pretrained(assets / "tiny-llava")
    processor = AutoProcessor.from_pretrained(assets / "tiny-llava")
    said = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
    prompt = processor.apply_chat_template(said, add_generation_prompt=True)
    inputs = processor(images=images[0], text=prompt, return_tensors="pt")
    made = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert made.shape[1] > inputs["input_ids"].shape[1]
    assert model.dtype == torch.float32
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_the_card_is_found_and_every_query_can_be_asked(explainer, images):
    assert (explainer.defaults.query, explainer.defaults.pointing) == ("text-tower", "value")
    look = explainer.look(images[0])
    assert explainer.select(look, explainer.ask(look, QUESTION)).order.shape == (1, N_PATCHES)
    assert "prompt-tail" in explainer.queries


def test_files_are_small_and_know_nothing_of_training(assets):
    for path in assets.rglob("*"):
        if path.is_file():
            assert path.stat().st_size < 9 * 2**20, path.name
        if path.suffix == ".json":
            assert "world" not in path.read_text(), path.name
