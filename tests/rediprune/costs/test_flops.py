"""Check the closed forms against the FLOPs counted in a forward pass."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from rediprune import PruneConfig, select
from rediprune.config import METHODS
from rediprune.costs import flops
from rediprune.costs.estimate import estimate
from rediprune.costs.flops import ModelShapes
from rediprune.models import adapter_for
from rediprune.models.class_attention import class_attention
from rediprune.models.vision_encoder import hidden_states
from rediprune.query.text_tower import TextTower
from tests.support import tiny
from tests.support.counting import count_flops, llm, zeros

N, TEXT = 576, 50
LLAVA_7B = ModelShapes(
    vision_layers=24,
    vision_width=1024,
    vision_mlp=4096,
    vision_tokens=577,
    vision_patches=576,
    patch_dim=3 * 14 * 14,
    projector_in=1024,
    projector_hidden=4096,
    projector_out=4096,
    llm_layers=32,
    llm_width=4096,
    llm_mlp=11008,
    n_heads=32,
    n_kv_heads=32,
    head_dim=128,
    vocab=32064,
)


def llava(n_kv_heads: int = 32, llm_layers: int = 32) -> LlavaForConditionalGeneration:
    """Build LLaVA-1.5-7B (CLIP ViT-L/14-336, projector, Vicuna-7B) without memory for its weights."""
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=24,
            num_attention_heads=16,
            image_size=336,
            patch_size=14,
            projection_dim=768,
        ),
        text_config=LlamaConfig(
            vocab_size=32064,
            hidden_size=4096,
            intermediate_size=11008,
            num_hidden_layers=llm_layers,
            num_attention_heads=32,
            num_key_value_heads=n_kv_heads,
        ),
    )
    with torch.device("meta"):
        return LlavaForConditionalGeneration._from_config(config, dtype=torch.float16).eval()


@pytest.fixture(scope="module")
def meta_model():
    return llava()


def test_the_adapter_reads_these_shapes_off_the_config(meta_model):
    assert adapter_for(meta_model).shapes() == LLAVA_7B


def test_vision_encoder_equals_a_counted_forward(meta_model):
    measured = count_flops(lambda: meta_model.model.vision_tower(zeros(1, 3, 336, 336)))
    assert flops.vision_flops(LLAVA_7B) == measured
    assert measured == pytest.approx(0.382e12, rel=2e-3)


def test_an_encoder_that_ends_where_it_is_read_runs_one_layer_less_than_is_counted(meta_model):
    tower = meta_model.model.vision_tower
    layer, pixels = meta_model.config.vision_feature_layer, zeros(1, 3, 336, 336)
    measured = count_flops(lambda: hidden_states(tower, tower.encoder.layers, pixels, [layer]))
    assert measured == flops.vision_flops(replace(LLAVA_7B, vision_layers=23)) < flops.vision_flops(LLAVA_7B)


def test_projector_equals_a_counted_forward(meta_model):
    assert flops.projector_flops(LLAVA_7B, 115) == count_flops(
        lambda: meta_model.model.multi_modal_projector(zeros(1, 115, 1024))
    )


def test_prefill_equals_a_counted_forward(meta_model):
    measured = count_flops(lambda: llm(meta_model, N + TEXT))
    assert flops.prefill_flops(LLAVA_7B, N + TEXT) == measured
    assert measured == pytest.approx(8.3137e12, rel=1e-5)


def test_decode_steps_and_grouped_query_attention_equal_a_counted_forward():
    model = llava(n_kv_heads=8, llm_layers=2)
    shapes = replace(LLAVA_7B, n_kv_heads=8, llm_layers=2)
    cache = llm(model, 60)
    stored = sum(t.numel() * t.element_size() for layer in cache.layers for t in (layer.keys, layer.values))
    assert flops.kv_bytes(shapes, 60) == stored
    assert flops.prefill_flops(shapes, 60) == count_flops(lambda: llm(model, 60))

    def three_steps():
        for _ in range(3):
            llm(model, 1, cache)

    assert flops.decode_flops(shapes, 60, n_new=4) == count_flops(three_steps)


@pytest.mark.parametrize("method", METHODS)
def test_selection_multiplies_one_gram_matrix_where_it_measures_distances_and_nothing_else(method):
    n, c, d = 196, 128, 160
    features, query = torch.randn(1, n, c), torch.randn(c)
    more = {"projected": torch.randn(1, n, d), "attention": torch.rand(1, n)}
    width = {"rediprune": c, "diversity": c, "divprune": d, "cdpruner": d}.get(method, 0)
    products = 2 * n * n * width
    if method == "cdpruner":  # pick i multiplies i rows of the Cholesky factor
        products += sum(2 * i * n for i in range(n))
    assert count_flops(lambda: select(features, query, PruneConfig(method=method), **more)) == products
    # What no flop counter sees: unit vectors, relevance and picks, element by element.
    beside = {
        "rediprune": 5 * n * c + 4 * n * n,
        "diversity": 3 * n * c + 4 * n * n,
        "relevance": 5 * n * c,
        "divprune": 3 * n * d + 4 * n * n,
        "cdpruner": 5 * n * c + 3 * n * d + 8 * n * n,
    }
    assert flops.selection_flops(method, n, c, d) == products + beside.get(method, 0)


def test_what_a_method_must_know_besides_equals_a_counted_run():
    model = tiny.model()
    adapter, tower = adapter_for(model), model.model.vision_tower
    inputs, shapes = tiny.inputs(), adapter_for(model).shapes()
    seen = adapter.look(inputs)
    everything = count_flops(lambda: adapter.projected(seen))
    assert flops.extra_flops("divprune", shapes, tiny.N, 1) == everything
    states = torch.randn(3, tiny.N + 1, tiny.C)
    block = getattr(tower, "vision_model", tower).encoder.layers[0]
    beside = 2 * states.numel()  # query times keys, element by element
    found = count_flops(lambda: class_attention(block, states)) + beside
    assert flops.extra_flops("cls-attention", shapes, tiny.N, 3) == found
    assert flops.extra_flops("rediprune", shapes, tiny.N, 1) == 0
    plain, paid = (estimate(shapes, tiny.N, 5, 20, method=name) for name in ("diversity", "divprune"))
    more = flops.selection_flops("divprune", tiny.N, tiny.C, tiny.D) + everything
    assert paid.pruned.selection == more and paid.pruned.projector == plain.pruned.projector


def test_a_text_tower_query_equals_a_counted_one(tmp_path):
    tower = TextTower.load(f"local-dir:{tiny.save_clip(tmp_path)}")
    features, value_path = torch.randn(1, tiny.N, tiny.C), adapter_for(tiny.model()).value_path
    with sdpa_kernel(SDPBackend.MATH):  # the one backend whose products are counted on every machine
        text = count_flops(lambda: tower.encode("what color is the star"))
    keys = count_flops(lambda: tower.keys(features))
    by_value = count_flops(lambda: tower.value_keys(features, value_path))
    assert flops.text_tower_flops(tower.shapes, 0, tiny.C) == text
    assert flops.text_tower_flops(tower.shapes, tiny.N, tiny.C) == text + keys
    assert flops.text_tower_flops(tower.shapes, tiny.N, tiny.C, value_path=True) == text + by_value


def test_a_loaded_text_tower_states_its_own_shapes(tmp_path):
    tower = TextTower.load(f"local-dir:{tiny.save_clip(tmp_path)}")
    assert tower.shapes == flops.TextTowerShapes(
        layers=2, width=16, mlp=64, context=77, joint_width=tiny.JOINT
    )
