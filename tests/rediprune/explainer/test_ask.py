"""A question about what was seen becomes the processor's own prompt, and the query that is asked for."""

import pytest
import torch

from rediprune import PruneConfig
from rediprune.explainer.ask import prepare_question
from rediprune.explainer.encode import as_media_input, encode
from rediprune.models import adapter_for
from rediprune.query.prompt_tail import prompt_tail
from rediprune.query.text_tower import TextTower
from tests.support import tiny

FRAMES = [tiny.image(seed, (120, 90)) for seed in range(3)]
QUESTION = "what color is the star"


@pytest.fixture(scope="module")
def adapter():
    return adapter_for(tiny.model())


def ask(adapter, media, config=None, tower=None, question=QUESTION):
    look = encode(adapter, tiny.processor(), as_media_input(media), "key")
    return look, prepare_question(
        adapter, tiny.processor(), look, question, config or PruneConfig(), lambda: tower
    )


@pytest.mark.parametrize("media", [FRAMES[0], FRAMES[:1], FRAMES], ids=["still", "a clip of one", "clip"])
def test_the_prompt_is_the_processors_own_though_the_pixels_are_gone(adapter, media):
    look, asked = ask(adapter, media)
    theirs = tiny.inputs((QUESTION, media if isinstance(media, list) else [media]))
    assert torch.equal(asked.inputs["input_ids"], theirs["input_ids"])
    assert not any(name.startswith("pixel_values") for name in asked.inputs)
    assert asked.n_text == theirs["input_ids"].shape[1] - look.n_visual


def test_the_prompt_tail_query_is_made_of_the_text_behind_the_last_frame(adapter):
    _, asked = ask(adapter, FRAMES)
    ids = tiny.tokenizer()(f"{QUESTION} ASSISTANT:", add_special_tokens=False, return_tensors="pt")[
        "input_ids"
    ][0]
    with torch.no_grad():
        expected = prompt_tail(adapter.model.get_input_embeddings()(ids))
    assert torch.equal(asked.query.vector, expected.vector)
    assert "".join(asked.query.tokens) == f"{QUESTION} assistant :"


@pytest.mark.parametrize("pointing", ["cosine", "negated", "value"])
def test_the_text_tower_meets_the_tokens_of_every_frame(adapter, tmp_path, pointing):
    tower = TextTower.load(f"local-dir:{tiny.save_clip(tmp_path)}")
    look, asked = ask(adapter, FRAMES, PruneConfig(query="text-tower", pointing=pointing), tower)
    assert asked.query.keys.shape == (3, tiny.N, tiny.JOINT)
    assert asked.pointing == pointing and asked.query_flops > 0
    alone, one = ask(adapter, FRAMES[1], PruneConfig(query="text-tower", pointing=pointing), tower)
    torch.testing.assert_close(asked.query.keys[1], one.query.keys[0])
    torch.testing.assert_close(asked.query.vector, one.query.vector)
    assert (look.n_visual, alone.n_visual) == (3 * tiny.N, tiny.N)


def test_a_prompt_longer_than_the_model_was_made_for_is_said_so():
    model = tiny.model()
    model.config.get_text_config().max_position_embeddings = 100
    _, asked = ask(adapter_for(model), FRAMES)
    (note,) = asked.notes
    assert f"{asked.n_text + 3 * tiny.N} tokens, more than the 100" in note
