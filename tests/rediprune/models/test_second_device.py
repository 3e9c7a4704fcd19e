"""Nothing of the CPU meets anything of the model's device: every family on a second device that is none."""

from __future__ import annotations

import pytest
import torch

from rediprune import Explainer, PruneConfig, prune
from rediprune.config import METHODS
from tests.families import families
from tests.support.second_device import There, move_to_second_device, second_device

FAMILIES = families()
BOTH = [pytest.param(f, kind, id=f"{f.name}-{kind}") for f in FAMILIES for kind in f.kinds]
CONFIGS = [
    PruneConfig(1.0),
    PruneConfig(0.2),
    PruneConfig(0.2, method="cdpruner", budget="shared", positions="original"),
]
SETTINGS = dict(max_new_tokens=2, min_new_tokens=2, do_sample=False)


def model_of(family):
    model = family.model(torch.float32)
    model.set_attn_implementation("eager")
    return model


def pruned(model, inputs, config):
    with prune(model, config) as report:
        return model.generate(**inputs, **SETTINGS), report


def agrees(family, kind, config):
    inputs = family.inputs(kind, (1, 2))
    ids, report = pruned(model_of(family), inputs, config)
    with second_device():
        theirs, other = pruned(move_to_second_device(model_of(family)), move_to_second_device(inputs), config)
    assert isinstance(theirs, There) and torch.equal(theirs.held, ids)
    for ours, there in zip(report.images, other.images, strict=True):
        assert type(there.kept) is torch.Tensor and torch.equal(there.kept, ours.kept)
        if there.selection is not None:
            assert type(there.selection.order) is torch.Tensor
        if there.query is not None:
            assert type(there.query.vector) is type(there.query.weights) is torch.Tensor


@pytest.mark.parametrize(("family", "kind"), BOTH)
@pytest.mark.parametrize("config", CONFIGS, ids=["all", "frame", "shared"])
def test_prune(family, kind, config):
    agrees(family, kind, config)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_every_method(method, budget):
    """On tiles with gaps, where the masks of what is there play a part too."""
    family = next(f for f in FAMILIES if f.name == "LLaVA-NeXT")
    agrees(family, "image", PruneConfig(0.2, method=method, budget=budget))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize("keep_on", [None, "cpu"])
def test_explainer(family, keep_on):
    """The features where the encoder leaves them, and held in main memory between calls."""
    clip, config = family.pictures(3, 3), PruneConfig(0.2, method="cdpruner")
    ours = Explainer(model_of(family), family.processor()).run(clip, "Where is the cat?", config, 2)
    with second_device():
        explainer = Explainer(move_to_second_device(model_of(family)), family.processor(), keep_on=keep_on)
        theirs = explainer.run(clip, "Where is the cat?", config, 2)
        look = explainer.look(clip)
        assert explainer.expects(look, explainer.ask(look, "Where is the cat?"), theirs.kept, theirs.full)
    assert isinstance(theirs.vision.features, There) == (keep_on is None)
    assert torch.equal(theirs.kept, ours.kept)
    assert (theirs.full.token_ids, theirs.pruned.token_ids) == (ours.full.token_ids, ours.pruned.token_ids)


def test_the_second_device_refuses_what_a_gpu_refuses():
    there, here = There(torch.ones(4)), torch.ones(4)
    with second_device():
        assert there[torch.tensor([1])].held.tolist() == [1.0]  # a CPU index is taken
        for mixed in (
            lambda: there + here,
            lambda: here[There(torch.tensor([1]))],
            lambda: there.masked_fill(here > 0, 0.0),
            lambda: torch.isin(there, here),
            lambda: there.gather(0, torch.tensor([1])),
            lambda: torch.cat([there, here]),
        ):
            with pytest.raises(RuntimeError, match=r"device|indexed"):
                mixed()
