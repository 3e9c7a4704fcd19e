"""Which text tower belongs to a model: by its config, or one clause on why none does."""

import pytest
import torch

from rediprune import Explainer
from rediprune.evaluation.check import check_pointing
from rediprune.models import adapter_for
from rediprune.models.checkpoints.catalog import CATALOG, SMALL, find
from rediprune.query.text_tower import TextTower
from tests.support import photo_models, tiny

SO400M = "ViT-SO400M-14-SigLIP-384/webli"
CLIP_336 = "ViT-L-14-336-quickgelu/openai"


@pytest.mark.parametrize(
    ("name", "tower", "why"),
    [
        ("llava-hf/llava-1.5-7b-hf", CLIP_336, ""),
        ("llava-hf/llava-v1.6-mistral-7b-hf", CLIP_336, ""),
        ("llava-hf/llava-onevision-qwen2-0.5b-ov-hf", SO400M, ""),
        ("llava-hf/vip-llava-7b-hf", None, "several layers"),
        ("LanguageBind/Video-LLaVA-7B-hf", None, "LanguageBind"),
        ("OpenGVLab/InternVL3-1B-hf", None, "InternViT was trained on"),
        ("HuggingFaceTB/SmolVLM-256M-Instruct", None, "joins neighbouring tokens of a SigLIP"),
        ("Qwen/Qwen3.5-0.8B", None, "trained together with its LLM"),
        ("Qwen/Qwen2.5-VL-3B-Instruct", None, "trained together with its LLM"),
        ("Qwen/Qwen3-VL-2B-Instruct", None, "trained together with its LLM"),
    ],
)
def test_a_model_has_the_text_tower_of_its_encoder_or_says_why_it_has_none(name, tower, why):
    adapter = adapter_for(find(name).on_meta())
    assert adapter.text_tower_name == tower
    assert bool(adapter.why_no_text_tower) == (tower is None)
    assert why in adapter.why_no_text_tower


@pytest.mark.parametrize("entry", [*SMALL, *CATALOG[:1]], ids=lambda entry: entry.title)
def test_every_name_is_one_that_open_clip_has_for_that_width(entry):
    import open_clip

    adapter = adapter_for(entry.on_meta())
    if adapter.text_tower_name is None:
        return
    model, tag = adapter.text_tower_name.split("/")
    assert tag in open_clip.list_pretrained_tags_by_model(model)
    config = open_clip.get_model_config(model)
    width = config["vision_cfg"].get("width") or config["embed_dim"]
    assert adapter.shapes().vision_width == width


def test_siglip_tokens_of_an_earlier_layer_have_no_text_tower():
    model = find("llava-hf/llava-onevision-qwen2-0.5b-ov-hf").on_meta()
    assert model.config.vision_config.num_hidden_layers == 26  # of 27: one is left out, as nobody reads it
    model.config.vision_feature_layer = -2
    adapter = adapter_for(model)
    assert adapter.text_tower_name is None
    assert "not those of SigLIP's last layers" in adapter.why_no_text_tower


def test_the_reason_is_said_where_the_text_tower_is_asked_for(tmp_path):
    folder = photo_models.save(find("OpenGVLab/InternVL3-1B-hf"), tmp_path)
    explainer = Explainer.from_pretrained(folder, quick=True)
    assert explainer.queries == ("prompt-tail",)
    passed, detail = check_pointing(explainer, [])
    assert passed is None and "InternViT was trained on with language models" in detail
    with pytest.raises(
        ValueError, match=r"belongs to InternVL3-1B-hf: InternViT was trained on .*prompt-tail"
    ):
        explainer._text_tower()


@torch.no_grad()
def test_the_published_siglip_has_the_shapes_that_are_read(monkeypatch, tmp_path):
    """The real config on torch's meta device: every parameter that the lift reads is there."""
    import open_clip

    from rediprune.query import text_tower

    config = open_clip.get_model_config(SO400M.split("/")[0])
    own = {key: value for key, value in config.items() if key != "custom_text"}
    with torch.device("meta"):
        names = open_clip.CustomTextCLIP(**own).state_dict()
    stored = {key: weight for key, weight in names.items() if text_tower._is_used(key)}
    clip, lift = text_tower._siglip(config, stored, "meta")
    tower = TextTower(clip, lambda texts: torch.ones(1, 64, dtype=torch.long), lift, SO400M)
    assert (tower.width, tower.shapes.joint_width, tower.shapes.layers) == (1152, 1152, 27)
    assert tower.shapes.lift_macs == 2 * 1152**2 + 2 * 1152 * 4304
    assert tower.keys(torch.zeros(1, 729, 1152)).shape == (1, 729, 1152)


def test_a_model_of_another_encoder_has_its_own_clause():
    assert "of this shape" in adapter_for(tiny.model()).why_no_text_tower
