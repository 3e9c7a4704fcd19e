"""rediprune.json: what it says is used, and what it cannot mean is refused. Weights have a fingerprint."""

import copy
import json

import pytest
import torch

from rediprune.config import PruneConfig
from rediprune.explainer.model_card import Card, read_card, weights_fingerprint
from tests.support import tiny


def write(folder, content):
    (folder / "rediprune.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def test_a_card_gives_defaults_and_finds_the_text_tower_beside_the_model(tmp_path):
    folder = tmp_path / "tiny-llava"
    folder.mkdir()
    said = {
        "text_tower": "../tiny-clip",
        "default_query": "text-tower",
        "default_pointing": "value",
        "knows": "Rendered scenes.",
        "why_query": "It pointed best.",
    }
    card = read_card(write(folder, said))
    assert card.text_tower == f"local-dir:{(tmp_path / 'tiny-clip').resolve()}"
    assert card.defaults == PruneConfig(query="text-tower", pointing="value")
    assert (card.knows, card.why_query) == ("Rendered scenes.", "It pointed best.")


def test_no_card_is_an_empty_card(tmp_path):
    assert read_card(tmp_path) == read_card("llava-hf/llava-1.5-7b-hf") == Card()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "not readable as JSON"),
        ("[1]", "must be a JSON object"),
        ({"defualt_query": "text-tower"}, "keys among default_pointing"),
        ({"knows": 3}, "must be a JSON object of strings"),
        ({"default_query": "psychic"}, "query='psychic' is unknown"),
    ],
)
def test_a_senseless_card_is_refused_by_name(tmp_path, content, says):
    with pytest.raises(ValueError, match=says) as refused:
        read_card(write(tmp_path, content))
    assert "rediprune.json" in str(refused.value)


def test_the_same_weights_have_the_same_fingerprint():
    model = tiny.model()
    assert weights_fingerprint(model) == weights_fingerprint(copy.deepcopy(model))


def test_trained_weights_have_another_fingerprint():
    model = copy.deepcopy(tiny.model())
    with torch.no_grad():
        next(iter(model.lm_head.parameters())).add_(1e-3)
    assert weights_fingerprint(model) != weights_fingerprint(tiny.model())


def test_another_number_format_has_another_fingerprint():
    assert weights_fingerprint(copy.deepcopy(tiny.model()).bfloat16()) != weights_fingerprint(tiny.model())
