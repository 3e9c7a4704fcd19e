"""The class token's attention is what the model itself would report, without ever asking it to."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rediprune import PruneConfig, prune
from rediprune.models import adapter_for
from rediprune.models.class_attention import class_attention
from rediprune.tokens import concat_tokens
from tests.families import families
from tests.support import reference, tiny

FAMILIES = {family.name: family for family in families()}
BOTH = [pytest.param(f, kind, id=f"{f.name}-{kind}") for f in FAMILIES.values() for kind in f.kinds]


@torch.no_grad()
def test_it_is_the_attention_of_the_slow_reference():
    tower = tiny.model().model.vision_tower
    block = getattr(tower, "vision_model", tower).encoder.layers[1]
    states = torch.randn(2, 10, tiny.C, generator=torch.Generator().manual_seed(0))
    attn = block.self_attn
    parts = [
        (part.weight.double().numpy(), part.bias.double().numpy())
        for part in (block.layer_norm1, attn.q_proj, attn.k_proj)
    ]
    expected = [reference.class_attention(x.double().numpy(), *parts, heads=4) for x in states]
    assert class_attention(block, states).numpy() == pytest.approx(np.array(expected), abs=1e-6)


@pytest.mark.parametrize("layer", [-2, -1, 1])
@torch.no_grad()
def test_a_look_holds_what_the_model_reports_of_the_layer_that_made_its_tokens(layer):
    model = tiny.model(vision_feature_layer=layer)
    inputs = tiny.inputs()
    (seen,) = adapter_for(model).look(inputs)
    tower = model.model.vision_tower
    tower.set_attn_implementation("eager")
    attentions = tower(inputs["pixel_values"], output_attentions=True, return_dict=True).attentions
    reported = attentions[layer if layer < 0 else layer - 1][:, :, 0, 1:].mean(1)
    torch.testing.assert_close(seen.vision.attention, reported, atol=1e-6, rtol=0)


def test_layers_that_no_block_made_have_none():
    for layers in (0, [-2, -1]):
        adapter = adapter_for(tiny.model(vision_feature_layer=layers))
        assert not adapter.class_token and "cls-attention" not in adapter.methods
    assert "cls-attention" in adapter_for(tiny.model()).methods


@pytest.mark.parametrize(("family", "kind"), BOTH)
def test_every_family_says_whether_it_gives_attention_and_projects_every_token(family, kind):
    adapter = adapter_for(family.model(torch.float32))
    (seen,) = adapter.look(family.inputs(kind))
    attention = seen.vision.attention
    assert (attention is not None) == adapter.class_token == ("cls-attention" in adapter.methods)
    if attention is not None:
        assert attention.shape == seen.vision.shape and attention.dtype is torch.float32
        assert (attention > 0).all() and (attention.sum(-1) <= 1.001).all()
    projected, everything = adapter.projected([seen, seen]), seen.vision.all
    t, n = seen.vision.shape
    assert projected.shape[:2] == (2 * t, n)
    tokens = adapter.embed_kept([seen], [everything])[0][
        (seen.placeholder_tokens[seen.surviving(everything)] >= 0)
    ]
    order = seen.placeholder_tokens[seen.placeholder_tokens >= 0]
    torch.testing.assert_close(projected[:t].flatten(0, 1)[order], tokens, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(projected[:t], projected[t:])


@pytest.mark.parametrize(("family", "kind"), BOTH)
@pytest.mark.parametrize("method", ["divprune", "cdpruner", "cls-attention"])
def test_every_family_is_pruned_by_it_or_refuses_in_one_sentence(family, kind, method):
    model = family.model(torch.float32)
    config = PruneConfig(0.25, method=method, budget="shared")
    if method not in adapter_for(model).methods:
        with pytest.raises(ValueError, match="method='cls-attention' needs the attention of a class token"):
            prune(model, config).__enter__()
        return
    with prune(model, config) as report:
        model.generate(**family.inputs(kind, (1, 2)), max_new_tokens=1)
    for number in range(2):
        mine = [image for image in report.images if image.prompt == number]
        total = sum(image.n_tokens for image in mine)
        assert sum(len(image.kept) for image in mine) == round(total * 0.25)


def test_tokens_of_another_width_are_joined_with_their_attention():
    family = FAMILIES["LLaVA-NeXT-Video"]
    adapter = adapter_for(family.model(torch.float32))
    still, clip = (adapter.look(family.inputs(kind))[0] for kind in ("image", "video"))
    both = concat_tokens([still.vision, clip.vision])
    assert both.attention.shape == both.shape
    n = clip.vision.shape[1]
    assert torch.equal(both.attention[len(still.vision.geometry) :, :n], clip.vision.attention)
    assert concat_tokens([still.vision, still.vision]).attention is not None
