"""Weights that are missing, cut off, of another shape or no weights at all are refused by name."""

import json
import os
import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from rediprune.models import ModelError, load
from rediprune.models.checkpoints.weight_files import check_weight_files, refuse_incomplete
from tests.families import families, tiny_models
from tests.support import tiny

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return tiny.save(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def write(file, weights):
    save_file(weights, file, {"format": "pt"})


def change(folder, part, changed=None):
    """Leave the first weight whose name holds `part` out, or change it."""
    weights = load_file(folder / WEIGHTS)
    name = next(name for name in weights if part in name)
    if changed is None:
        del weights[name]
    else:
        weights[name] = changed(weights[name]).contiguous()
    write(folder / WEIGHTS, weights)


def split(folder):
    """Share the weights out between two files with an index; return the index."""
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names = sorted(weights)
    first = names[: len(names) // 2]
    write(folder / SHARDS[0], {name: weights[name] for name in first})
    write(folder / SHARDS[1], {name: weights[name] for name in names if name not in first})
    weight_map = {name: SHARDS[name not in first] for name in names}
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return weight_map


def pickle(folder, more=None):
    weights = load_file(folder / WEIGHTS) | (more or {})
    (folder / WEIGHTS).unlink()
    torch.save(weights, folder / "pytorch_model.bin")


def refusal(folder) -> str:
    with pytest.raises(ModelError) as error:
        load(folder)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert len(sentence) < 600
    return sentence


@pytest.mark.parametrize(
    "part", ["multi_modal_projector", "q_proj", "lm_head", "vision_tower", "embed_tokens", "post_layernorm"]
)
def test_a_weight_that_is_in_no_file_is_named_and_never_made_up(folder, part):
    change(folder, part)
    assert f"{part}" in (said := refusal(folder))
    assert "is in none of its files" in said


def test_a_config_of_more_layers_than_the_file_has_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] += 2
    (folder / "config.json").write_text(json.dumps(config))
    assert "layers.2" in (said := refusal(folder))
    assert "more like it" in said


@pytest.mark.parametrize("kind", ["gemma3", "qwen2_vl", "smolvlm", "paligemma", "lfm2_vl"])
def test_missing_weights_of_other_families_are_refused_too(folder, kind):
    model = tiny_models.build(kind, tiny_models.models()[kind])
    model.save_pretrained(folder)
    weights = load_file(folder / WEIGHTS)
    lost = next(name for name in sorted(weights) if "vision" in name or "visual" in name)
    write(folder / WEIGHTS, {name: weight for name, weight in weights.items() if name != lost})
    # The processor is LLaVA's, and is not asked before the weights are read.
    assert lost.rpartition(".")[2] in (said := refusal(folder))
    assert "is in none of its files" in said


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_a_checkpoint_that_is_whole_is_read(family, tmp_path):
    model = family.model(torch.float32)
    model.save_pretrained(tmp_path)
    family.processor().save_pretrained(tmp_path)
    loaded, _ = load(tmp_path)
    for (name, mine), theirs in zip(model.named_parameters(), loaded.parameters(), strict=True):
        assert torch.equal(mine, theirs), name


def test_the_head_that_makes_the_encoders_pooled_output_may_be_missing():
    refuse_incomplete("m", {"missing_keys": {"model.vision_tower.vision_model.head.probe"}})
    with pytest.raises(ModelError, match="lm_head"):
        refuse_incomplete(
            "m", {"missing_keys": {"model.vision_tower.vision_model.head.probe", "lm_head.weight"}}
        )


def test_shapes_that_differ_are_named(folder):
    change(folder, "q_proj", lambda weight: weight[:-1])
    assert "q_proj.weight has the shape [63, 64] in the file and [64, 64] by the config" in refusal(folder)


def test_weights_in_several_files_are_read(folder):
    split(folder)
    loaded, _ = load(folder)
    assert torch.equal(loaded.lm_head.weight, tiny.model().lm_head.weight)


def lose_shard(folder):
    split(folder)
    (folder / SHARDS[1]).unlink()


def lose_weight_of_shard(folder):
    split(folder)
    weights = load_file(folder / SHARDS[1])
    write(folder / SHARDS[1], dict(sorted(weights.items())[1:]))


def index(text):
    def damage(folder):
        split(folder)
        (folder / INDEX).write_text(text)

    return damage


def outside(folder):
    weight_map = split(folder)
    weight_map[min(weight_map)] = "../other.safetensors"
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))


def cut(folder):
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) // 2])


def text(file, content):
    def damage(folder):
        (folder / file).write_text(content)

    return damage


def pointer_for_pickle(folder):
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_text(POINTER)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lose_shard, f"lacks 1 of the 2 weight files that {INDEX} names, such as {SHARDS[1]}"),
        (lose_weight_of_shard, f"{SHARDS[1]} of .* lacks 1 of its "),
        (index("{"), f"{INDEX} of .* is damaged"),
        (index("[]"), f"{INDEX} of .* is damaged"),
        (index("{}"), f"{INDEX} of .* names no weight files"),
        (index('{"weight_map": {"a": 3}}'), f"{INDEX} of .* names no weight files"),
        (outside, "names a file outside of its folder: '../other.safetensors'"),
        (cut, f"{WEIGHTS} of .* is cut off after [0-9,]+ of at least [0-9,]+ bytes"),
        (text(WEIGHTS, ""), f"{WEIGHTS} of .* is damaged"),
        (text(WEIGHTS, "x" * 99), f"{WEIGHTS} of .* is damaged"),
        (text(WEIGHTS, "\x05\0\0\0\0\0\0\0[[[[["), f"{WEIGHTS} of .* is damaged"),
        (text(WEIGHTS, "\x02\0\0\0\0\0\0\0[]"), f"{WEIGHTS} of .* is damaged"),
        (text(WEIGHTS, "\x63\0\0\0\0\0\0\0{}"), f"{WEIGHTS} of .* is cut off"),
        (lambda folder: (folder / WEIGHTS).unlink(), "holds no weights"),
        *[
            (text(file, POINTER), f"{file} of .* is a Git LFS pointer")
            for file in (WEIGHTS, "config.json", "tokenizer.json", "generation_config.json")
        ],
        (pointer_for_pickle, "pytorch_model.bin of .* is a Git LFS pointer"),
        (text("generation_config.json", "{"), "generation_config.json of .* is damaged"),
        (text("generation_config.json", "[]"), "generation_config.json of .* is damaged"),
        (text("config.json", "[]"), "config.json of .* is damaged"),
    ],
)
def test_damaged_files_are_named(folder, damage, sentence):
    damage(folder)
    assert re.search(sentence, refusal(folder))


def test_nothing_is_read_where_all_is_there(saved):
    check_weight_files(saved, "m")


@pytest.mark.parametrize("old_format", [False, True])
def test_pickled_weights_are_read_as_weights(folder, old_format):
    weights = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    torch.save(weights, folder / "pytorch_model.bin", _use_new_zipfile_serialization=not old_format)
    loaded, _ = load(folder)
    assert torch.equal(loaded.lm_head.weight, tiny.model().lm_head.weight)


class Code:
    """Code in a pickle: it makes a folder when it is run."""

    def __init__(self, made):
        self.made = made

    def __reduce__(self):
        return os.mkdir, (str(self.made),)


def test_code_in_a_pickle_is_never_run(folder, tmp_path):
    pickle(folder, {"code": Code(tmp_path / "made")})
    assert "holds more than weights" in refusal(folder)
    assert not (tmp_path / "made").exists()


def test_a_config_without_an_encoder_is_refused_before_the_weights(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["vision_config"]
    (folder / "config.json").write_text(json.dumps(config))
    (folder / WEIGHTS).unlink()
    assert "describes no vision encoder (vision_config), so there is no projector" in refusal(folder)
