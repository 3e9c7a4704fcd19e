"""The encoder ends where its last state is read, and is itself again afterwards."""

from __future__ import annotations

import weakref
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread

import pytest
import torch

from rediprune import PruneConfig, prune
from rediprune.models import adapter_for
from rediprune.models.families import internvl, llava, qwen2_5_vl
from rediprune.models.vision_encoder import hidden_states
from tests.families import families, vipllava
from tests.support import tiny

FAMILIES = {family.name: family for family in families()}
BOTH = [pytest.param(f, kind, id=f"{f.name}-{kind}") for f in FAMILIES.values() for kind in f.kinds]

# How many of the encoder's blocks nobody reads: CLIP's last one, in all that read the next to last.
UNREAD = {
    "InternVL": 0,
    "LLaVA-1.5": 1,
    "LLaVA-NeXT": 1,
    "LLaVA-NeXT-Video": 1,
    "LLaVA-OneVision": 0,
    "Qwen2.5-VL": 0,
    "Qwen3-VL": 0,
    "Video-LLaVA": 1,
    "VipLLaVA": 1,
}
BEHIND = ("post_layernorm", "head")  # what CLIP and SigLIP have behind their blocks


def encoders(model):
    names = ("vision_tower", "image_tower", "video_tower", "visual")
    return [getattr(model.model, name) for name in names if hasattr(model.model, name)]


def blocks_of(tower):
    if hasattr(tower, "blocks"):
        return tower.blocks
    inner = getattr(tower, "vision_model", tower).encoder
    return inner.layers if hasattr(inner, "layers") else inner.layer


def to_the_end(tower, blocks, pixels, layers):
    """`hidden_states` by the encoder's own record of all of its layers."""
    states = tower(pixels, output_hidden_states=True, return_dict=True).hidden_states
    assert len(states) == len(blocks) + 1
    return [states[layer] for layer in layers]


@contextmanager
def read_to_the_end(mergers, group):
    """`read_before` of an encoder that runs all of its mergers over everything."""
    read = [None] * len(mergers)
    hooks = [
        m.register_forward_pre_hook(lambda m, x: read.__setitem__(mergers.index(m), x[0])) for m in mergers
    ]
    yield read
    for hook in hooks:
        hook.remove()


def hooks_of(model):
    return [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]


@pytest.mark.parametrize(("family", "kind"), BOTH)
def test_what_is_read_is_to_the_last_bit_that_of_an_encoder_that_runs_to_its_end(family, kind, monkeypatch):
    adapter, inputs = adapter_for(family.model(torch.float32)), family.inputs(kind, (1, 2))
    stopped = adapter.look(inputs)
    for module in (llava, internvl):
        monkeypatch.setattr(module, "hidden_states", to_the_end)
    monkeypatch.setattr(qwen2_5_vl, "read_before", read_to_the_end)
    whole = adapter.look(inputs)
    for ours, theirs in zip(stopped, whole, strict=True):
        assert torch.equal(ours.vision.features, theirs.vision.features)
        assert (
            (ours.vision.attention is None) == (theirs.vision.attention is None) == (not adapter.class_token)
        )
        if adapter.class_token:
            assert torch.equal(ours.vision.attention, theirs.vision.attention)


@pytest.mark.parametrize(("family", "kind"), BOTH)
@pytest.mark.parametrize("way", ["look", "prune"])
def test_layers_that_nobody_reads_are_not_run(family, kind, way):
    model, inputs = family.model(torch.float32), family.inputs(kind)
    ran, behind, sizes = [], [], set()
    for tower in encoders(model):
        sizes.add(len(blocks_of(tower)))
        for block in blocks_of(tower):
            block.register_forward_hook(lambda m, *_: ran.append(m))
        for name, module in tower.named_modules():
            if name.rpartition(".")[2] in BEHIND:
                module.register_forward_hook(lambda m, *_: behind.append(m))
    if way == "look":
        adapter_for(model).look(inputs)
    else:
        with prune(model, PruneConfig(0.5)):
            model.generate(**inputs, max_new_tokens=2)
    assert {len(ran)} == {size - UNREAD[family.name] for size in sizes}
    assert len(set(ran)) == len(ran) and behind == []


@pytest.mark.parametrize(("family", "kind"), BOTH)
def test_the_model_is_itself_again_even_after_an_exception(family, kind):
    model, inputs = family.model(torch.float32), family.inputs(kind)
    adapter, before = adapter_for(model), hooks_of(model)
    adapter.look(inputs)
    assert hooks_of(model) == before

    def fail(*_):
        raise RuntimeError("no memory")

    first = [blocks_of(tower)[0].register_forward_pre_hook(fail) for tower in encoders(model)]
    with pytest.raises(RuntimeError, match="no memory"):
        adapter.look(inputs)
    for hook in first:
        hook.remove()
    assert hooks_of(model) == before
    settings = dict(max_new_tokens=3, do_sample=False)
    fresh = family.model(torch.float32).generate(**inputs, **settings)
    assert torch.equal(model.generate(**inputs, **settings), fresh)


@torch.no_grad()
@pytest.mark.parametrize("layers", [[-1], [-2], [0], [1, -1], [-2, 0, 1, -2], [3]])
def test_any_layers_come_in_the_order_asked_for(layers):
    tower, pixels = tiny.model().model.vision_tower, tiny.inputs()["pixel_values"]
    found = hidden_states(tower, blocks_of(tower), pixels, layers)
    for ours, theirs in zip(found, to_the_end(tower, blocks_of(tower), pixels, layers), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("layer", [4, -5])
def test_a_layer_that_is_not_there_is_an_error(layer):
    tower, pixels = tiny.model().model.vision_tower, tiny.inputs()["pixel_values"]
    with pytest.raises(IndexError):
        hidden_states(tower, blocks_of(tower), pixels, [layer])


@pytest.mark.parametrize("family", [FAMILIES["LLaVA-1.5"], vipllava.FAMILY], ids=lambda family: family.name)
def test_no_state_is_held_but_those_that_are_read(family):
    """All of them would be 25 times the tokens: a gigabyte for a clip of 32 frames in half precision."""
    model, inputs = deep(family), family.inputs("image")
    (tower,) = encoders(model)
    layers = model.config.vision_feature_layer
    read = 2 if isinstance(layers, int) else len(layers)  # and what goes into the block, for its class token
    made, most = [], []

    def count(_, x, out):
        made.append(weakref.ref(out))
        most.append(sum(state() is not None for state in made))

    for block in blocks_of(tower):
        block.register_forward_hook(count)
    adapter_for(model).look(inputs)
    assert len(made) == 11 and max(most) <= read + 1  # and the one that the next block is reading


def deep(family):
    """The family's tiny model with twelve blocks in its encoder."""
    small = family.model(torch.float32)
    config = small.config
    config.vision_config.num_hidden_layers = 12
    return type(small)(config).eval()


@torch.no_grad()
def test_another_thread_that_encodes_meanwhile_comes_to_its_end():
    tower, pixels = tiny.model().model.vision_tower, tiny.inputs()["pixel_values"]
    expected, others = tower(pixels).last_hidden_state, []

    def encode(*_):
        if not others:
            others.append(None)
            other = Thread(target=lambda: others.append(tower(pixels).last_hidden_state.detach()))
            other.start()
            other.join()

    with blocks_of(tower)[0].register_forward_hook(encode):
        (mine,) = hidden_states(tower, blocks_of(tower), pixels, [-2])
    assert torch.equal(others[1], expected)
    assert torch.equal(mine, to_the_end(tower, blocks_of(tower), pixels, [-2])[0])


CLIPS = [family for family in FAMILIES.values() if "video" in family.kinds]


@pytest.mark.parametrize("family", CLIPS, ids=lambda family: family.name)
def test_a_long_clip_goes_through_whole(family):
    """As in the unmodified model: in parts, products of fewer rows may round otherwise."""
    clip = replace(family, n_frames=19).inputs("video")
    model, passes = family.model(torch.float32), []
    for tower in encoders(model):
        blocks_of(tower)[0].register_forward_pre_hook(lambda _, x: passes.append(len(x[0])))
    adapter_for(model).look(clip)
    assert len(passes) == 1
