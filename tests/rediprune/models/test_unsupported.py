"""What cannot be pruned before a projector is refused by name, with the reason."""

from types import SimpleNamespace

import pytest
import torch
from transformers import BertConfig, CLIPVisionConfig, LlavaConfig, PixtralVisionConfig

from rediprune.models import FAMILIES, ModelError, adapter_for, load
from rediprune.models.unsupported import _NO_SEPARATE_PROJECTOR, refuse_class, refuse_name
from rediprune.pruning.prune import prune
from tests.support import tiny


@pytest.mark.parametrize(
    "name",
    ["gpt-4-vision-preview", "GPT-4V", "gpt-4o", "openai/gpt-4-turbo", "gemini-1.5-pro", "google/gemini-pro"],
)
def test_closed_weights_are_said_to_be_closed(name):
    with pytest.raises(ModelError, match=f"^{name} has closed weights"):
        load(name)


@pytest.mark.parametrize("name", ["openflamingo/OpenFlamingo-9B-vitl-mpt7b", "someone/open_flamingo-3b"])
def test_open_flamingo_is_refused_with_its_reason(name):
    with pytest.raises(
        ModelError, match=f"^{name} has no separate projector .* Perceiver resampler .* cross-att"
    ):
        load(name)


@pytest.mark.parametrize("name", ["someone/gemini-style-llava", "nomic-ai/gpt4all-j", "google/gemma-3-4b-it"])
def test_a_name_that_only_resembles_them_is_not_refused(name):
    refuse_name(name)


class Config:
    def __init__(self, model_type):
        self.model_type = model_type


@pytest.mark.parametrize("kind", _NO_SEPARATE_PROJECTOR)
def test_a_family_without_a_separate_projector_is_refused_by_class(kind):
    with pytest.raises(ModelError, match="SomeModel has no separate projector to prune in front of: "):
        refuse_class("SomeModel", Config(kind), FAMILIES)


def test_open_flamingos_own_class_has_no_config_and_is_known():
    with pytest.raises(ModelError, match=r"Flamingo has no separate projector .* Perceiver"):
        refuse_class("Flamingo", None, FAMILIES)


def test_a_vision_encoder_that_a_familys_own_adapter_does_not_know_is_served_by_a_line():
    pixtral = LlavaConfig(vision_config=PixtralVisionConfig())
    refuse_class("Llava", pixtral, FAMILIES)
    assert not FAMILIES["llava"].serves(pixtral)
    assert FAMILIES["llava"].serves(LlavaConfig(vision_config=CLIPVisionConfig()))


def test_a_model_without_pictures_is_told_apart_from_an_unknown_family():
    with pytest.raises(ModelError, match="Bert has no vision encoder"):
        refuse_class("Bert", BertConfig(), FAMILIES)
    unknown = Config("owlvit")
    unknown.vision_config = CLIPVisionConfig()
    refuse_class("Owl", unknown, FAMILIES)  # whether its tokens reach the prompt unmixed shows when it runs


def test_a_model_that_has_nothing_to_run_is_refused_when_it_is_loaded():
    class Owl:
        config = Config("owlvit")

        def can_generate(self):
            return True

    Owl.config.vision_config = CLIPVisionConfig()
    with pytest.raises(ModelError, match="Owl has no get_image_features, so its images cannot be read"):
        adapter_for(Owl())


class PromptLearning:
    """As PEFT wraps a model for prompt tuning: PEFT is no dependency of the tests."""

    def __init__(self, model, kind: str):
        self.base_model = model
        self.active_peft_config = SimpleNamespace(is_prompt_learning=True, peft_type=kind)

    def get_base_model(self):
        return self.base_model

    def __getattr__(self, name):
        return getattr(self.base_model, name)


@pytest.mark.parametrize("kind", ["PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING"])
@pytest.mark.parametrize("enter", [adapter_for, prune], ids=lambda enter: enter.__name__)
def test_prompt_learning_is_refused_by_name(kind, enter):
    with pytest.raises(ModelError, match=rf"prompt learning \(PEFT's {kind}\)"):
        enter(PromptLearning(tiny.model(), kind))


def test_prompt_learning_is_found_behind_torch_compile():
    outside = SimpleNamespace(_orig_mod=PromptLearning(tiny.model(), "PREFIX_TUNING"))
    with pytest.raises(ModelError, match="prompt learning"):
        adapter_for(outside)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("DataParallel", "pass model.module"),
        ("DistributedDataParallel", "pass model.module"),
        ("FullyShardedDataParallel", "load it whole"),
        ("FSDPModule", "load it whole"),
        ("DeepSpeedEngine", "load it whole"),
        ("ScriptModule", "is a compiled graph"),
        ("GraphModule", "is a compiled graph"),
    ],
)
def test_a_wrapper_that_hides_the_models_parts_is_refused_by_name(name, sentence):
    wrapper = type(f"Own{name}", (type(name, (), {}),), {"config": tiny.config()})
    with pytest.raises(ModelError, match=f"^Own{name} .*{sentence}"):
        adapter_for(wrapper())


def test_torchs_own_data_parallel_is_refused_by_name():
    with pytest.raises(ModelError, match=r"^DataParallel keeps the model in \.module"):
        adapter_for(torch.nn.DataParallel(tiny.model()))
