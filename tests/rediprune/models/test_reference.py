"""Which definition of correctness holds for which LLM, and that `check` uses it."""

import pytest
import torch
from transformers import MistralConfig

from rediprune import Explainer
from rediprune.evaluation import check
from rediprune.explainer.encode import MediaInput
from rediprune.models.reference import definition_for
from tests.families import tiny_models
from tests.support import tiny

RECURRENT = {
    "qwen3_5",
    "qwen3_5_moe",
    "qwen4_exp",
    "glm5_next",
    "minicpmv4_6",
    "minicpmv4_7",
    "minicpm_ocr",
    "nemotron_h_omni",
    "lfm2_vl",
    "lfm3_vl",
    "inkling2",
    "inkling2_loop",
}


@pytest.mark.parametrize("name", sorted(tiny_models.served_here()))
def test_recurrence_and_convolution_ask_for_the_short_prompt(name):
    model = tiny_models.build(name, tiny_models.models()[name])
    assert definition_for(model, 100).name == ("short" if name in RECURRENT else "masked")


def mistral(window: int) -> torch.nn.Module:
    """A LLaVA on Mistral with a window of so many tokens."""
    plain = tiny.config().text_config
    text = MistralConfig(
        vocab_size=plain.vocab_size,
        hidden_size=tiny.D,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=window,
        pad_token_id=plain.pad_token_id,
    )
    return tiny.model(text_config=text)


def test_a_window_asks_for_the_short_prompt_where_the_prompt_is_longer():
    model = mistral(8)
    assert definition_for(model, 9).name == "short"
    assert definition_for(model, 8).name == "masked"
    assert "window of 8 of 9 tokens" in definition_for(model, 9).why


@pytest.mark.parametrize("window", [8, 4096])
def test_check_calls_a_good_model_good_and_says_which_definition_it_used(window):
    explainer = Explainer(mistral(window), tiny.processor())
    passed, detail = check.check_masked(explainer, MediaInput((tiny.image(3),)))
    assert passed
    assert ("against the unmodified LLM on the same short prompt" in detail) is (window == 8)
    assert ("every layer of its LLM is plain attention" in detail) is (window == 4096)


def test_check_still_finds_a_wrong_projection_with_a_short_window(monkeypatch):
    explainer = Explainer(mistral(8), tiny.processor())
    project = type(explainer.adapter).project
    monkeypatch.setattr(type(explainer.adapter), "project", lambda self, x: project(self, x) * 1.001)
    passed, _ = check.check_masked(explainer, MediaInput((tiny.image(3),)))
    assert not passed
