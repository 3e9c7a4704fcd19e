"""The catalogue's numbers are those of the real architectures, built at their true shapes without weights."""

import pytest
import torch
from torch import nn
from transformers import CONFIG_MAPPING, AutoModelForImageTextToText
from transformers.quantizers.quantizers_utils import should_convert_module

from rediprune.models.checkpoints.catalog import CATALOG, SMALL, find
from rediprune.models.checkpoints.checkpoint import IN_16_BITS
from tests.families import tiny_models

NAMES = [entry.name for entry in CATALOG]
TOWERS_AND_PROJECTORS = (
    "vision_tower",
    "image_tower",
    "video_tower",
    "vision_model",
    "visual",
    "multi_modal_projector",
    "connector",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_counts_are_those_of_the_real_architecture(name):
    entry, model = find(name), find(name).on_meta()
    assert {weight.device.type for weight in model.parameters()} == {"meta"}
    assert model.config.model_type == entry.family
    assert sum(weight.numel() for weight in model.parameters()) == entry.parameters

    # What bitsandbytes would turn into 8 or 4 bits, by the very rule with which transformers asks it to.
    chosen = {
        path: module
        for path, module in model.named_modules()
        if type(module) is nn.Linear and should_convert_module(path, list(IN_16_BITS))
    }
    assert sum(module.weight.numel() for module in chosen.values()) == entry.quantised
    assert not any(part in path.split(".") for path in chosen for part in (*TOWERS_AND_PROJECTORS, "lm_head"))
    blocks = {path.split("layers.")[1].split(".")[0] for path in chosen}
    assert len(blocks) == entry.config["text_config"]["num_hidden_layers"]


@pytest.mark.parametrize("kind", sorted(tiny_models.models()))
def test_of_every_family_only_the_llm_is_quantised(kind):
    """Relevance is measured on the tokens of encoder and projector, whatever these are called."""
    config = CONFIG_MAPPING[kind](**tiny_models.models()[kind].config)
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    chosen = [
        path
        for path, module in model.named_modules()
        if type(module) is nn.Linear and should_convert_module(path, list(IN_16_BITS))
    ]
    assert chosen
    assert [path for path in chosen if not {"language_model", "text_model"} & set(path.split("."))] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_cache_of_one_token_is_what_the_config_says(name):
    entry = find(name)
    text = CONFIG_MAPPING[entry.family](**entry.config).get_text_config()
    head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    layers = [
        kind for kind in getattr(text, "layer_types", None) or ["full_attention"] * text.num_hidden_layers
    ]
    assert entry.kv_bytes_per_token == 4 * layers.count("full_attention") * text.num_key_value_heads * head


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("llava-hf/llava-1.5-7b-hf", 7_063_427_072),
        ("OpenGVLab/InternVL3-1B-hf", 938_193_024),
        ("Qwen/Qwen3-VL-8B-Instruct", 8_767_123_696),
        ("HuggingFaceTB/SmolVLM-256M-Instruct", 256_484_928),
        ("Qwen/Qwen3.5-0.8B", 873_438_784 - 20_452_864),  # without the head that predicts several tokens
    ],
)
def test_a_published_count_is_met(name, published):
    assert find(name).parameters == published


def test_names_are_unique_and_found():
    assert len(set(NAMES)) == len({entry.title for entry in CATALOG}) == len(CATALOG)
    assert find("llava-hf/llava-1.5-7b-hf").title == "LLaVA-1.5 7B"
    assert find("owner/unknown") is None


def test_the_menu_says_who_takes_clips():
    takes = {entry.family: entry.takes for entry in CATALOG}
    assert takes["llava"] == takes["vipllava"] == takes["llava_next"] == "image"
    assert takes["llava_next_video"] == takes["qwen3_vl"] == "image and video"


def test_every_small_model_says_what_a_visitor_needs_to_know():
    assert len(SMALL) == 8
    assert [entry.title for entry in SMALL if entry.family == "qwen3_vl"] == [
        "Qwen3-VL 2B",
        "Qwen3-VL 4B",
        "Qwen3-VL 8B",
    ]
    for entry in SMALL:
        assert entry.licence and entry.good_at and entry.settings.description
        assert entry.settings.processor and entry.photograph.tokens > 0


@pytest.mark.parametrize("entry", SMALL, ids=lambda entry: entry.title)
def test_a_download_is_two_bytes_for_each_stored_parameter_or_what_was_quoted(entry):
    extra = 20_452_864 if entry.family == "qwen3_5" else 0
    names_and_shapes = 2e5  # at the start of the file
    assert 0 <= entry.download_bytes - 2 * (entry.parameters + extra) < names_and_shapes
