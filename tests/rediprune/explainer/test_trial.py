"""A model whose parts do not belong together is refused when it is opened, not at the first question."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from rediprune import Explainer
from rediprune.__main__ import main
from rediprune.explainer.model_holder import ModelHolder
from rediprune.explainer.trial import try_model
from rediprune.models import ModelError
from tests.families import families
from tests.support import tiny

FAMILIES = {family.name: family for family in families()}
# Whose processors make the same of a picture, up to the names of special tokens, which the tiny ones share.
ALIKE = [
    {"LLaVA-1.5", "VipLLaVA"},
    {"LLaVA-NeXT", "LLaVA-NeXT-Video"},
    {"Qwen2.5-VL", "Qwen3-VL"},
    {"Video-LLaVA"},
    {"InternVL"},
    {"LLaVA-OneVision"},
]


@pytest.fixture
def folder(tmp_path):
    return tiny.save(tmp_path / "tiny")


def change(folder, part=None, **changes):
    config = json.loads((folder / "config.json").read_text())
    (config[part] if part else config).update(changes)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("mine", FAMILIES)
def test_a_model_with_its_own_processor_passes_and_with_anothers_does_not(mine):
    model = FAMILIES[mine].model(torch.float32)
    try_model(Explainer(model, FAMILIES[mine].processor(), mine), local=True)
    tried = 0
    for other, family in FAMILIES.items():
        # Video-LLaVA also takes the pictures of LLaVA-1.5, which are made alike.
        if any({mine, other} <= group for group in ALIKE) or mine == "Video-LLaVA":
            continue
        with pytest.raises(ModelError, match=rf"^the processor .*{mine}.*[^\n]*$"):
            try_model(Explainer(model, family.processor(), mine), local=True)
        tried += 1
    assert tried >= 7 or mine == "Video-LLaVA"


@pytest.mark.parametrize(
    "changes",
    [
        {"image_token_index": 99999, "image_token_id": 99999},
        {"image_token_index": 3, "image_token_id": 3},
        {"vision_feature_layer": -99},
        {"vision_feature_select_strategy": "full"},
    ],
    ids=str,
)
def test_a_config_that_does_not_fit_is_refused_at_every_entry(folder, changes, capsys):
    change(folder, **changes)
    with pytest.raises(ModelError, match=r"is another model's, or damaged: [^\n]*$"):
        Explainer.from_pretrained(folder)
    holder = ModelHolder(None)
    with pytest.raises(ModelError, match=r"is another model's, or damaged"):
        holder.open(folder)
    assert main(["check", str(folder)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("rediprune: the processor or the config of tiny is another model's")


@pytest.mark.parametrize("part", ["q_proj", "multi_modal_projector.linear_2.weight"])
def test_numbers_that_are_not_finite_are_refused_by_name(folder, part):
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if part in name)
    weights[name][...] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=f"not finite, such as .*{part}"):
        Explainer.from_pretrained(folder)


def test_an_encoder_that_overflows_is_refused(folder, monkeypatch):
    explainer = Explainer.from_pretrained(folder)
    norm = explainer.model.model.vision_tower.encoder.layers[0].layer_norm1
    norm.register_forward_hook(lambda *_: torch.full_like(_[2], float("inf")))
    with pytest.raises(ModelError, match=r"not finite in torch\.float32"):
        try_model(explainer, local=True)


def test_the_old_model_stays_where_the_new_one_is_refused_before_its_weights(folder, tmp_path):
    holder = ModelHolder(Explainer.from_pretrained(folder))
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="is damaged"):
        holder.open(broken)
    assert holder.name == "tiny"
