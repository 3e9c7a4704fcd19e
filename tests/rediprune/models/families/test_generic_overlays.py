"""Real processors with the families of one line: the prompt fits the model, and tokens lie where shown."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image

from rediprune import PruneConfig, prune
from rediprune.models import ModelError
from rediprune.models.registry import adapter_for
from tests.families import real_processors, tiny_models

REAL = {name: of for name, of in real_processors.REAL.items() if name in tiny_models.served_here()}


@cache
def model_of(name: str) -> torch.nn.Module:
    return REAL[name].model(name)


@cache
def processor_of(name: str):
    return REAL[name].processor()


def pictures(count: int) -> list[Image.Image]:
    blocks = np.random.default_rng(0).integers(0, 256, (count, 9, 9, 3), dtype=np.uint8)
    sizes = ((84, 84), (150, 70))
    return [
        Image.fromarray(one).resize(sizes[i % 2], Image.Resampling.NEAREST) for i, one in enumerate(blocks)
    ]


@pytest.mark.parametrize("name", REAL)
def test_identical_at_100(name):
    """What the family's own processor returns goes through a prune block unchanged, with two images."""
    model = model_of(name)
    inputs = REAL[name].processed(pictures(2), processor_of(name))
    settings = {
        "max_new_tokens": 3,
        "do_sample": False,
        "output_logits": True,
        "return_dict_in_generate": True,
    }
    full = model.generate(**inputs, **settings)
    with prune(model, PruneConfig(1.0)) as report:
        ours = model.generate(**inputs, **settings)
    assert torch.equal(ours.sequences, full.sequences)
    assert all(map(torch.equal, ours.logits, full.logits))
    assert len(report.images) == 2
    with prune(model, PruneConfig(0.2)) as report:
        model.generate(**inputs, **settings)
    assert 0 < report.n_kept < report.n_visual


@pytest.mark.parametrize("name", REAL)
def test_overlay(name):
    """A mark inside a token's box in the upload changes the pixels of that token more than of any other."""
    real, processor, adapter, checked = REAL[name], processor_of(name), adapter_for(model_of(name)), 0
    for size in real.sizes:
        plain = Image.new("RGB", size, (90, 90, 90))
        before = real.processed([plain], processor)
        (seen,) = adapter.look(before, [size], processor)
        blocks = real.patches(before)
        assert blocks.shape[:2] == seen.vision.shape
        boxes = [place.token_boxes().tolist() for place in seen.vision.geometry]
        rng = np.random.default_rng(0)
        for token in rng.choice(seen.vision.all.numpy(), 12):
            t, n = divmod(int(token), blocks.shape[1])
            left, top, right, bottom = boxes[t][n]
            x0, x1 = round(left + (right - left) * 0.3), round(right - (right - left) * 0.3)
            y0, y1 = round(top + (bottom - top) * 0.3), round(bottom - (bottom - top) * 0.3)
            if x1 <= max(x0, 0) or y1 <= max(y0, 0) or x0 < 0 or y0 < 0 or x1 > size[0] or y1 > size[1]:
                continue  # padding, or smaller than a pixel
            pixels = np.asarray(plain).copy()
            pixels[y0:y1, x0:x1] = 250
            after = real.patches(real.processed([Image.fromarray(pixels)], processor))
            change = (after - blocks).abs().amax(-1)[t]
            assert int(change.argmax()) == n, (size, t, n)
            checked += 1
    assert checked >= 10


@pytest.mark.parametrize("name", REAL)
def test_a_processor_of_another_cut_is_said_to_be_one(name):
    """Sizes that the pixels were not made of are refused in one sentence."""
    inputs = REAL[name].processed(pictures(1), processor_of(name))
    with pytest.raises(ModelError, match=r"sizes were given for|cuts images of|turns a"):
        adapter_for(model_of(name)).look(inputs, [(84, 84)] * 3, processor_of(name))
