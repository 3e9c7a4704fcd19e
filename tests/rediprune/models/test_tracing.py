"""A model of a family in no table: its projector is found by a run of it, or it is refused by name."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from rediprune import PruneConfig, prune
from rediprune.models import ModelError
from rediprune.models.generic.tracing import TracedAdapter
from rediprune.models.registry import adapter_for
from tests.families import tiny_models

SETTINGS = {"max_new_tokens": 3, "do_sample": False, "output_logits": True, "return_dict_in_generate": True}
# family -> (where its tokens are read, rows of each)
FOUND = {
    "paligemma": ("model.multi_modal_projector", 1),
    "smolvlm": ("model.connector.modality_projection", 1),
    "glm4v": ("model.visual.merger", 1),
    "qwen2_vl": ("model.visual.merger", 4),
    "lfm3_vl": ("model.multi_modal_projector", 4),
    "aya_vision": ("model.multi_modal_projector.linear_2", 1),
}


@pytest.fixture
def unknown(monkeypatch):
    monkeypatch.setattr("rediprune.models.registry.LINES", {})


def built(name: str) -> tuple[torch.nn.Module, dict]:
    tiny = tiny_models.models()[name]
    return tiny_models.build(name, tiny), tiny_models.inputs(tiny, "image", (1, 2))


@pytest.mark.parametrize("name", [name for name in FOUND if name in tiny_models.served_here()])
def test_the_projector_is_found_and_nothing_changes_at_100(name, unknown):
    model, inputs = built(name)
    adapter = adapter_for(model)
    assert isinstance(adapter, TracedAdapter) and not adapter.has_overlay
    adapter.look(inputs)
    assert (adapter.line.projector, adapter.line.group) == FOUND[name]
    full = model.generate(**inputs, **SETTINGS)
    with prune(model, PruneConfig(1.0)) as report:
        ours = model.generate(**inputs, **SETTINGS)
    assert torch.equal(ours.sequences, full.sequences) and report.n_kept > 0
    assert all(map(torch.equal, ours.logits, full.logits))


def test_where_tokens_are_mixed_is_named(unknown):
    model, inputs = built("gemma3")
    with (
        pytest.raises(ModelError, match=r"visual tokens are mixed in model\.multi_modal_projector$"),
        prune(model, PruneConfig(0.2)),
    ):
        model.generate(**inputs, **SETTINGS)


def test_features_that_are_added_behind_the_first_layers_are_not_lost_in_silence(unknown):
    model, inputs = built("qwen3_vl_moe")
    with pytest.raises(ModelError, match="adds further features to its visual tokens"):
        adapter_for(model).look(inputs)


def test_a_model_is_left_as_it_was_and_calls_at_once_do_not_mix():
    """Generate refuses embeddings for Gemma 3: what admits them is gone when the last call is done."""
    model, _ = built("gemma3")
    prompts = [
        tiny_models.inputs(tiny_models.models()["gemma3"], "image", media) for media in ((1,), (2,), (1, 1))
    ]

    def ask(inputs):
        return model.generate(**inputs, max_new_tokens=3, do_sample=False)

    before = set(vars(model))
    with prune(model, PruneConfig(0.3)), ThreadPoolExecutor(3) as pool:
        alone = [ask(inputs) for inputs in prompts]
        for _ in range(3):
            assert all(map(torch.equal, pool.map(ask, prompts), alone))
    assert set(vars(model)) == before
    assert not model._forward_pre_hooks
