"""The tower's training targets, against slow rules read off the scenes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support import tiny_world
from world.render.scenes import COLORS, DIGITS, GRID_SIZE, N_PATCHES, PATCH_SIZE, SHAPES
from world.text.tokenizer import sample_phrase
from world.training.dense_heads import DenseHeads, compute_dense_losses
from world.training.scene_store import SceneBatch
from world.training.vision_tower import (
    FEATURE_LAYER,
    TEXT_CONTEXT,
    TOWER_WIDTH,
    describe_batch,
    sample_phrases,
)


@pytest.fixture(scope="module")
def batch(tmp_path_factory) -> SceneBatch:
    return SceneBatch.load(tiny_world.make_scene_store(tmp_path_factory.mktemp("bank"), 6), np.arange(6))


def test_a_batch_is_its_scenes(batch):
    for b, scene in enumerate(batch.scenes):
        white = torch.from_numpy(scene.pixels).permute(2, 0, 1) / 255
        assert torch.allclose(batch.pixels[b] * 0.25 + 0.5, white, atol=1e-6)
        assert describe_batch(batch)[b].count(",") == len(scene.shapes) - 1


def test_phrases_name_the_patches_of_what_they_say(batch):
    texts, wanted = sample_phrases(80, np.random.default_rng(7))
    named = batch.match_phrases(wanted)
    assert named.shape == (6, N_PATCHES, 80)
    again = np.random.default_rng(7)
    for m in range(80):
        text, triples = sample_phrase(again)
        assert texts[m] == text
        for b, scene in enumerate(batch.scenes):
            held = {
                p
                for s in scene.shapes
                for c, f, d in triples
                if c in (-1, list(COLORS).index(s.color))
                and f in (-1, SHAPES.index(s.shape))
                and d in (-1, DIGITS.index(s.digit) + 1 if s.digit else 0)
                for p in s.patches
            }
            assert named[b, :, m].nonzero()[:, 0].tolist() == sorted(held), (text, scene.shapes)
    assert 0 < named.mean() < 0.5


def test_heads_that_tell_the_truth_cost_nothing(batch):
    """One-hot answers made by plain loops over the shapes; every loss falls to zero, and only for them."""
    said = {name: torch.zeros(6, N_PATCHES, size) for name, size in DenseHeads.SIZES.items()}
    said["here"] -= 30
    for b, scene in enumerate(batch.scenes):
        for p in range(N_PATCHES):
            row, col = divmod(p, GRID_SIZE)
            for name, value in (("row", row), ("col", col), ("total", len(scene.shapes))):
                said[name][b, p, value] = 30
        for s in scene.shapes:
            facts = {
                "color": list(COLORS).index(s.color),
                "shape": SHAPES.index(s.shape),
                "digit": DIGITS.index(s.digit) + 1 if s.digit else 0,
                "same_color": sum(o.color == s.color for o in scene.shapes),
                "same_shape": sum(o.shape == s.shape for o in scene.shapes),
            }
            for p in s.patches:
                said["here"][b, p] = 30
                for name, value in facts.items():
                    said[name][b, p, value] = 30
                row, col = divmod(p, GRID_SIZE)
                middle = torch.tensor([col + 0.5, row + 0.5]) * PATCH_SIZE
                said["offset"][b, p] = (torch.tensor([s.x, s.y]) - middle) / PATCH_SIZE
    truth = compute_dense_losses(said, batch)
    assert set(truth) == set(DenseHeads.SIZES)
    assert max(truth.values()) < 1e-6, truth
    lies = compute_dense_losses({name: x.roll(1, dims=1) for name, x in said.items()}, batch)
    assert min(v for name, v in lies.items() if name != "total") > 0.01


def test_every_part_of_the_tower_learns(batch):
    module = tiny_world.make_tower()
    texts, wanted = sample_phrases(8, np.random.default_rng(7))
    losses = module(batch, texts, wanted, describe_batch(batch))
    sum(losses.values()).backward()
    idle = [n for n, p in module.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [
        n for n in idle if not n.endswith("k_proj.bias")
    ] == []  # softmax forgets a constant in its scores


@torch.no_grad()
def test_a_text_does_not_depend_on_its_case_or_its_company():
    module = tiny_world.make_tower()
    alone = module.encode_text(["red star"])
    assert torch.allclose(alone.norm(dim=-1), torch.ones(1))
    crowd = module.encode_text(["Red STAR", "a very long text " * TEXT_CONTEXT, ""])
    assert torch.allclose(crowd[0], alone[0], atol=1e-6)
    assert not torch.allclose(crowd[1], alone[0], atol=1e-2)


@torch.no_grad()
def test_dense_heads_read_the_layer_that_llava_reads(batch):
    """Nothing above layer -2 may change what the dense heads see."""
    module = tiny_world.make_tower()
    before = module.vision(batch.pixels[:1], output_hidden_states=True).hidden_states[FEATURE_LAYER]
    for parameter in module.vision.encoder.layers[-1].parameters():
        parameter.add_(1.0)
    after = module.vision(batch.pixels[:1], output_hidden_states=True).hidden_states[FEATURE_LAYER]
    assert torch.equal(before, after)
    assert before.shape == (1, N_PATCHES + 1, TOWER_WIDTH)
