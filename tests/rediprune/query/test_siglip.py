"""A SigLIP's text tower: text as open_clip embeds it, and tokens as its own head maps a picture of one."""

import json

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

from rediprune.costs.estimate import text_tower_flops
from rediprune.query.text_tower import TextTower, text_tower_query
from tests.support import tiny_siglip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_siglip.save(tmp_path_factory.mktemp("siglip"))


@pytest.fixture(scope="module")
def tower(folder):
    return TextTower.load(folder)


@pytest.fixture(scope="module")
def full():
    return tiny_siglip.model()


def states(full, pictures):
    """The encoder's states behind its last block, [T, N, C], before the last LayerNorm."""
    trunk = full.visual.trunk
    found = []
    handle = trunk.norm.register_forward_hook(lambda module, given, made: found.append(given[0]))
    expected = full.encode_image(pictures)
    handle.remove()
    return found[0], expected


@torch.no_grad()
def test_a_token_lies_where_the_head_maps_a_picture_of_this_token_alone(tower, full):
    tokens, expected = states(full, torch.randn(5, 3, tiny_siglip.SIDE, tiny_siglip.SIDE))
    assert tokens.shape == (5, 1, tiny_siglip.C)
    torch.testing.assert_close(tower.keys(tokens)[:, 0], expected, atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_tokens_do_not_change_each_other(tower):
    tokens = torch.randn(2, 700, tiny_siglip.C)  # more than go through the head at a time
    keys = tower.keys(tokens)
    assert keys.shape == (2, 700, tiny_siglip.C)
    torch.testing.assert_close(tower.keys(tokens[1:, 650:651]), keys[1:, 650:651], atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_a_text_is_embedded_as_open_clip_does(tower, full, folder):
    words = open_clip.get_tokenizer(f"local-dir:{folder}")
    expected = full.encode_text(words(["what color is the star?"]))[0]
    torch.testing.assert_close(tower.encode("what color is the star?"), expected, atol=1e-6, rtol=1e-5)
    assert "".join(tower.tokens("what color is the star?")).split() == ["what", "color", "is", "the", "star?"]


def test_a_text_of_the_whole_context_is_read_to_its_end(tower):
    long = " ".join(["star"] * 40)
    assert 1 <= len(tower.tokens(long)) <= tiny_siglip.CONTEXT
    assert tower.encode(long).shape == (tiny_siglip.C,)


def test_an_empty_question_is_refused(tower):
    with pytest.raises(ValueError, match="question is empty"):
        tower.encode("")


def test_a_query_is_made_as_with_clip(tower):
    features = torch.randn(1, 4, tiny_siglip.C)
    query = text_tower_query(tower, "a star", features, "negated")
    assert query.sign == -1 and query.keys.shape == (1, 4, tiny_siglip.C)


def test_its_head_costs_more_than_a_projection(tower):
    c = tiny_siglip.C
    assert tower.shapes.lift_macs == c * c + c * c + 2 * c * 4 * c
    plain = text_tower_flops(tower.shapes, 0, c)
    assert text_tower_flops(tower.shapes, 10, c) - plain == 2 * 10 * tower.shapes.lift_macs


def test_weights_that_are_missing_or_do_not_fit_are_named(tmp_path):
    folder = tiny_siglip.save(tmp_path)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["layers"] += 1
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="its weights do not fit its config"):
        TextTower.load(folder)
    path = folder / "open_clip_model.safetensors"
    kept = {k: v for k, v in load_file(path).items() if k != "visual.trunk.attn_pool.kv.weight"}
    save_file(kept, path)
    with pytest.raises(ValueError, match=r"lacks visual\.trunk\.attn_pool\.kv\.weight"):
        TextTower.load(folder)
