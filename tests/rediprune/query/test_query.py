"""Check both queries: the published vector with exact weights, and CLIP's text tower without vision."""

from __future__ import annotations

import json
import math

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from rediprune import PruneConfig, Query, select
from rediprune.query.prompt_tail import fold, prompt_tail
from rediprune.query.text_tower import TextTower, text_tower_query
from rediprune.selection.greedy import relevance
from tests.support import reference, tiny_clip

# --- the published query


@pytest.mark.parametrize("width", [12, 6, 4, 1, 5, 7, 11, 13, 24, 31])
def test_fold_follows_the_published_rule_in_all_three_cases(width):
    vector = torch.randn(12, generator=torch.Generator().manual_seed(0))
    expected = reference.fold(vector.double().numpy(), width)
    np.testing.assert_allclose(fold(vector, width).numpy(), expected, atol=1e-6)


def test_fold_averages_adjacent_entries_not_distant_ones():
    assert fold(torch.tensor([1.0, 3.0, 10.0, 20.0]), 2).tolist() == [2, 15]
    assert fold(torch.tensor([1.0, 2.0, 3.0]), 2).tolist() == [1.5, 2.5]
    assert fold(torch.tensor([1.0, 2.0]), 5).tolist() == [1, 2, 1, 2, 1]


@pytest.mark.parametrize("length", [1, 2, 17, 128, 131])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_prompt_tail_equals_the_slow_reference(length, dtype):
    embeddings = torch.randn(length, 24, generator=torch.Generator().manual_seed(length)).to(dtype)
    query = prompt_tail(embeddings)
    expected = reference.prompt_tail(embeddings.double().numpy())
    np.testing.assert_allclose(query.vector.numpy(), expected, atol=1e-6)
    assert query.vector.dtype == torch.float32 and query.name == "prompt-tail" and query.keys is None


def test_prompt_tail_weights_are_the_exact_share_of_every_token():
    embeddings = torch.randn(30, 16, generator=torch.Generator().manual_seed(1))
    query = prompt_tail(embeddings, [f"t{i}" for i in range(30)])
    assert query.weights.sum().item() == pytest.approx(1, abs=1e-6) and (query.weights > 0).all()
    torch.testing.assert_close((query.weights[:, None] * embeddings).sum(0), query.vector)
    # Linear indeed: moving one embedding along a direction that keeps all cosines moves q by its weight.
    orthogonal = torch.eye(4)
    lengths = torch.tensor([1.0, 1.0, 5.0, 1.0])
    moved = prompt_tail(orthogonal * lengths[:, None]).vector - prompt_tail(orthogonal).vector
    torch.testing.assert_close(moved[2], 4 * prompt_tail(orthogonal).weights[2])


def test_later_tokens_of_the_prompt_count_more():
    weights = prompt_tail(torch.eye(9)).weights  # no two tokens alike: only the position speaks
    assert (weights.diff() > 0).all()


def test_only_the_last_128_tokens_count_and_are_named():
    embeddings = torch.randn(200, 8, generator=torch.Generator().manual_seed(2))
    query = prompt_tail(embeddings, [str(i) for i in range(200)])
    assert query.tokens == tuple(str(i) for i in range(72, 200)) and query.weights.shape == (128,)
    assert torch.equal(query.vector, prompt_tail(embeddings[72:]).vector)


@pytest.mark.parametrize(
    ("embeddings", "tokens", "says"),
    [
        (torch.ones(0, 8), (), "at least one token"),
        (torch.ones(8), (), r"shape \(8,\)"),
        (torch.full((2, 8), math.nan), (), "NaN or infinite"),
        (torch.ones(3, 8), ("a", "b"), "2 token texts for 3 prompt embeddings"),
    ],
)
def test_a_prompt_that_makes_no_query_is_refused(embeddings, tokens, says):
    with pytest.raises(ValueError, match=says):
        prompt_tail(embeddings, tokens)


# --- the text tower

TEXT = "What color is the star?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_clip.save(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def full(folder):
    return open_clip.create_model(f"local-dir:{folder}").eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tower(folder):
    return TextTower.load(f"local-dir:{folder}")


@pytest.fixture(scope="module")
def patches(full):
    """Return the input of the vision tower's last block, [T, N, C], as LLaVA reads it."""
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return full.visual.forward_intermediates(images, indices=[0], output_fmt="NLC")["image_intermediates"][0]


@pytest.mark.parametrize("text", [TEXT, "7", "naïve <script>alert(1)</script> 漢字", "word " * 2000])
def test_text_embedding_equals_the_full_model(tower, full, folder, text):
    ids = open_clip.get_tokenizer(f"local-dir:{folder}")([text])
    assert torch.equal(tower.encode(text), full.encode_text(ids)[0])


def test_keys_equal_the_full_models_tokens_in_the_joint_space(tower, full, patches):
    expected = full.visual.ln_post(patches) @ full.visual.proj
    assert torch.equal(tower.keys(patches), expected)
    assert tower.keys(patches.bfloat16()).dtype == torch.float32


def test_the_vision_tower_is_neither_built_nor_read(folder, monkeypatch):
    from safetensors import safe_open as real

    import rediprune.query.text_tower as module

    read = []

    class Watched:
        def __init__(self, *args):
            self.file = real(*args)

        def __enter__(self):
            self.open = self.file.__enter__()
            return self

        def __exit__(self, *args):
            return self.file.__exit__(*args)

        def keys(self):
            return self.open.keys()

        def get_tensor(self, name):
            read.append(name)
            return self.open.get_tensor(name)

    monkeypatch.setattr("safetensors.safe_open", Watched)
    tower = TextTower.load(folder)
    assert {name for name in read if name.startswith("visual.")} == set(module.LIFT)
    held = {*tower._clip.state_dict()}
    assert held and not any(name.startswith("visual") for name in held)
    assert all(p.device.type == "cpu" for p in (*tower._clip.parameters(), *tower._clip.buffers()))


def test_half_precision_weights_are_read_as_float32(folder, tmp_path, tower):
    half = tiny_clip.save(tmp_path)
    path = half / "open_clip_model.safetensors"
    save_file({k: v.half() for k, v in load_file(folder / path.name).items()}, path)
    text = TextTower.load(half).encode(TEXT)
    assert text.dtype == torch.float32
    torch.testing.assert_close(text, tower.encode(TEXT), atol=1e-2, rtol=1e-2)


def test_tokens_are_what_was_read_cut_to_the_context(tower):
    assert "".join(tower.tokens(TEXT)).split() == TEXT.lower().split()
    assert len(tower.tokens("word " * 2000)) == tiny_clip.CONTEXT - 2  # start and end take two places


@pytest.mark.parametrize("text", ["", "   \n\t ", "</s>"])
def test_a_question_without_tokens_is_refused(tower, patches, text):
    with pytest.raises(ValueError, match="question is empty"):
        text_tower_query(tower, text, patches)


def test_pointing_cosine_and_negated_are_opposite(tower, patches):
    plain = text_tower_query(tower, TEXT, patches)
    negated = text_tower_query(tower, TEXT, patches, "negated")
    assert (plain.name, plain.sign, negated.sign) == ("text-tower", 1, -1)
    assert plain.tokens == tower.tokens(TEXT) and plain.weights is None
    assert torch.equal(relevance(patches, negated), -relevance(patches, plain))
    expected = reference.relevance(plain.keys.double().numpy(), plain.vector.double().numpy())
    np.testing.assert_allclose(relevance(patches, plain).numpy(), expected, atol=1e-6)
    assert not torch.equal(
        select(patches, plain, PruneConfig(alpha=math.inf)).order,
        select(patches, negated, PruneConfig(alpha=math.inf)).order,
    )


def test_pointing_value_is_the_last_block_without_mixing(tower, full, patches):
    block = full.visual.transformer.resblocks[-1]
    c = tiny_clip.C

    def value_path(tokens):
        value = torch.nn.functional.linear(
            block.ln_1(tokens), block.attn.in_proj_weight[2 * c :], block.attn.in_proj_bias[2 * c :]
        )
        return block.attn.out_proj(value)

    query = text_tower_query(tower, TEXT, patches, "value", value_path)
    expected = full.visual.ln_post(value_path(patches)) @ full.visual.proj
    assert torch.equal(query.keys, expected) and query.sign == 1
    # Without mixing, a token's key depends on that token alone.
    alone = text_tower_query(tower, TEXT, patches[:, 3:4], "value", value_path)
    torch.testing.assert_close(alone.keys, query.keys[:, 3:4])


def test_what_cannot_point_is_refused(tower, patches):
    with pytest.raises(ValueError, match="needs the last block of the vision tower"):
        text_tower_query(tower, TEXT, patches, "value")
    with pytest.raises(ValueError, match="pointing='sideways' is unknown"):
        text_tower_query(tower, TEXT, patches, "sideways")
    with pytest.raises(ValueError, match=rf"width 8 but text tower local-dir:.* takes {tiny_clip.C}"):
        text_tower_query(tower, TEXT, patches[..., :8])


def test_a_query_of_other_tokens_is_refused(tower, patches):
    query = text_tower_query(tower, TEXT, patches)
    with pytest.raises(ValueError, match="build the query from these features"):
        select(patches[:, :5], query)
    assert isinstance(query, Query)


# --- what cannot be loaded


def test_a_folder_that_is_none_is_named(tmp_path):
    with pytest.raises(OSError, match=r"open_clip_config\.json does not exist"):
        TextTower.load(f"local-dir:{tmp_path}/nowhere")
    with pytest.raises(OSError, match="a local text tower needs"):
        TextTower.load(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"model_cfg": {"embed_dim": 4}}'])
def test_a_broken_config_is_named(tmp_path, text):
    tiny_clip.save(tmp_path)
    (tmp_path / "open_clip_config.json").write_text(text)
    with pytest.raises(ValueError, match="is no open_clip config"):
        TextTower.load(tmp_path)


def test_weights_that_do_not_fit_are_named(tmp_path):
    folder = tiny_clip.save(tmp_path)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["layers"] += 1
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="its weights do not fit its config"):
        TextTower.load(folder)
    path = folder / "open_clip_model.safetensors"
    save_file({k: v for k, v in load_file(path).items() if k != "visual.proj"}, path)
    with pytest.raises(ValueError, match=r"lacks visual\.proj"):
        TextTower.load(folder)


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("ViT-L-14-336-quickgelu/nobody", ValueError, "unknown to open_clip"),
        ("ViT-L-14-336-quickgelu", ValueError, "unknown to open_clip"),
        ("nothing-of-the-kind/openai", ValueError, "unknown to open_clip"),
        ("ViT-L-14-336/openai", ValueError, "try ViT-L-14-336-quickgelu/openai"),
        ("ViT-SO400M-14-SigLIP-384/webli", OSError, "could not be downloaded"),
        ("RN50-quickgelu/openai", ValueError, "no CLIP or SigLIP with a vision transformer"),
        ("coca_ViT-B-32/laion2b_s13b_b90k", ValueError, "no CLIP or SigLIP with a vision transformer"),
        ("ViT-L-14-336-quickgelu/openai", OSError, "could not be downloaded"),
    ],
)
def test_public_towers_that_cannot_be_had_get_one_sentence(name, error, says, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path)
    )  # as on a machine that has none
    with pytest.raises(error, match=says):
        TextTower.load(name)


def test_a_public_tower_is_the_published_architecture(tmp_path, monkeypatch, full):
    """Use the real name, config and tokenizer path, with small random weights in place of the download."""
    config = tiny_clip.config(vocab_size=49408, context_length=77)
    del config["text_cfg"]["hf_tokenizer_name"], config["text_cfg"]["pool_type"]
    weights = tmp_path / "open_clip_model.safetensors"
    model = open_clip.CLIP(**config).eval()
    save_file(model.state_dict(), weights)
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: {"quick_gelu": True, **config})
    monkeypatch.setattr(open_clip, "download_pretrained", lambda pretrained: str(weights))
    monkeypatch.setattr(open_clip, "get_tokenizer", lambda name: open_clip.SimpleTokenizer())
    tower = TextTower.load("ViT-L-14-336-quickgelu/openai")
    assert [token.strip() for token in tower.tokens("A photo of a star!")] == [
        "a",
        "photo",
        "of",
        "a",
        "star",
        "!",
    ]
    with torch.no_grad():
        expected = model.encode_text(open_clip.tokenize(["A photo of a star!"]))[0]
    assert torch.equal(tower.encode("A photo of a star!"), expected)
    with pytest.raises(ValueError, match="question is empty"):
        tower.encode("")
