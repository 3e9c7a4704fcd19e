"""Symbols say what their patches show, in the LLM's own words, in stills and in every frame of a clip."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support import tiny_world
from world.render.clip_plans import N_FRAMES, plan_clip
from world.render.scenes import GRID_SIZE, IMAGE_SIZE, N_PATCHES, PATCH_SIZE


@pytest.fixture(scope="module")
def reader():
    return tiny_world.make_language_model()


@torch.no_grad()
def test_a_symbol_is_the_sum_of_the_words_for_what_its_patch_shows(reader, tmp_path):
    bank = tiny_world.make_scene_store(tmp_path, 2)
    attributes, owner = (torch.from_numpy(x[:].astype(np.int64)) for x in (bank.attributes, bank.owner))
    every = torch.arange(N_PATCHES).expand(2, -1)
    found = reader.symbols(attributes[:, None], owner[:, None], every)
    t, tokenizer = reader.symbols.tables, reader.packer.tokenizer

    def word(name: str) -> torch.Tensor:
        (one,) = tokenizer.encode(" " + name, add_special_tokens=False)
        return reader.llm.get_input_embeddings().weight[one]

    for b in range(2):
        scene = bank.scene(b)
        for p in range(N_PATCHES):
            shown = t["background"].weight[0]
            x, y = (p % GRID_SIZE + 0.5) * PATCH_SIZE, (p // GRID_SIZE + 0.5) * PATCH_SIZE
            for s in scene.shapes:
                if p in s.patches:
                    shown = word(s.color) + word(s.shape) + (word(s.digit) if s.digit else 0)
                    x, y = s.x, s.y
                    same = [
                        sum(getattr(o, k) == getattr(s, k) for o in scene.shapes) for k in ("color", "shape")
                    ]
                    shown = shown + t["same_color"].weight[same[0]] + t["same_shape"].weight[same[1]]
            right, down = reader.symbols.axes
            place = (x / (IMAGE_SIZE / 2) - 1) * right + (y / (IMAGE_SIZE / 2) - 1) * down
            expected = shown + place + t["total"].weight[len(scene.shapes)]
            assert torch.allclose(found[b, p], expected, atol=1e-5), (b, p)


def test_words_of_the_symbols_are_the_llm_s_own(reader):
    assert reader.symbols.words[0] is reader.llm.get_input_embeddings()
    assert not any(name.startswith("symbols.words") for name in reader.state_dict())


@torch.no_grad()
def test_a_clip_s_symbols_are_those_of_its_frames(reader):
    """Each as if it were a still: a symbol knows nothing of time."""
    plan = plan_clip(5)
    attributes, owner = torch.from_numpy(plan.to_attributes()), torch.from_numpy(plan.to_owner())
    keep = torch.tensor([[3, 150, 200, 600, 1000, 1400]])
    found = reader.symbols(attributes[None], owner[None], keep)[0]
    for symbol, token in zip(found, keep[0].tolist(), strict=True):
        t, n = divmod(token, N_PATCHES)
        assert t < N_FRAMES
        still = reader.symbols(attributes[None, t : t + 1], owner[None, t : t + 1], torch.tensor([[n]]))
        assert torch.allclose(symbol, still[0, 0])
