"""The tokenizer keeps the world's words whole and loses no other text; phrases name what they say."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from tests.support import tiny_world
from world.render.scenes import COLORS, DIGITS, SHAPES
from world.text.clip_questions import CLIP_TEMPLATES
from world.text.scene_questions import NUMBER_WORDS, RELATIONS, TEMPLATES
from world.text.tokenizer import fix_tokenizer_class, make_clip_tokenizer, sample_phrase

ANSWERS = (*COLORS, *SHAPES, *DIGITS, *NUMBER_WORDS, "yes", "no", "top", "bottom", "left", "right")
ANSWERS += ("up", "down", "start", "end", "still", "appears", "vanishes", "turns")
PLURALS = ("shapes", *(s + ("es" if s == "cross" else "s") for s in SHAPES))


def template_words(opening: bool) -> set[str]:
    """Return the words that open a question, or the words that stand inside one."""
    texts = [text for made in (TEMPLATES, CLIP_TEMPLATES) for forms in made.values() for text in forms]
    split = [re.sub(r"{\w+}", "", text.lower()).split() for text in texts]
    words = {words[0] for words in split} if opening else {w for words in split for w in words[1:]}
    return {re.sub("[^a-z]", "", word) for word in words} - {""}


def test_every_word_of_the_world_is_one_token():
    tokenizer = tiny_world.make_tokenizer()
    relations = {word for relation in RELATIONS for word in relation.split()}
    words = {*ANSWERS, *PLURALS, *relations, *template_words(opening=False)}
    split = [w for w in sorted(words) if len(tokenizer.encode(" " + w, add_special_tokens=False)) != 1]
    assert split == []
    for word in template_words(opening=True):  # it stands behind the image's new line, without a space
        assert tokenizer.decode(tokenizer.encode(f"\n{word}")[-1]) == word


@pytest.mark.parametrize(
    "text",
    [
        "Quantum physics, please?",
        "🦊 + 🐙 = ❤️",
        "图中有几个圆？",
        "<script>alert('x')</script>",
        "naïve façade, 12,345.67 €",
        "tabs\tand\nnew lines",
        "\u202egnirts\u0000 \ud7ff",
    ],
)
def test_any_text_survives_in_lower_case(text):
    tokenizer = tiny_world.make_tokenizer()
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids).removeprefix(" ") == text.lower()


def test_llm_and_clip_agree_on_words_and_differ_in_ends():
    llm, clip = tiny_world.make_tokenizer(), make_clip_tokenizer(tiny_world.train_tokenizer_once())
    text = "where is the red star?"
    inner = llm.encode(text, add_special_tokens=False)
    assert llm.encode(text) == [llm.bos_token_id, *inner]
    assert clip.encode(text) == [llm.bos_token_id, *inner, llm.eos_token_id]


def test_the_image_is_one_token_that_words_do_not_take():
    tokenizer = tiny_world.make_tokenizer()
    ids = tokenizer.encode("USER: <image>\nhow many?")
    image = tokenizer.convert_tokens_to_ids("<image>")
    assert ids.count(image) == 1
    assert image == len(tokenizer) - 1 == tiny_world.train_tokenizer_once().get_vocab_size()


def test_a_tokenizer_config_is_readable_by_transformers_4(tmp_path):
    tiny_world.make_tokenizer().save_pretrained(tmp_path)
    fix_tokenizer_class(tmp_path)
    said = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert said["tokenizer_class"] == "PreTrainedTokenizerFast"


def test_a_phrase_names_the_words_it_says():
    """Colours, shapes and digits of the text are those of the wanted triples, no more and no less."""
    single = {plural: shape for plural, shape in zip(PLURALS[1:], SHAPES, strict=True)}
    seen = set()
    for seed in range(600):
        text, wanted = sample_phrase(np.random.default_rng(seed))
        words = [single.get(w, w) for w in re.findall("[a-z]+|[0-9]", text.lower())]
        says = tuple(sorted(w for w in words if w in (*COLORS, *SHAPES, *DIGITS)))
        means = []
        for color, shape, digit in wanted:
            means += [list(COLORS)[color]] if color >= 0 else []
            means += [SHAPES[shape]] if shape >= 0 else []
            means += [DIGITS[digit - 1]] if digit > 0 else []
        assert says == tuple(sorted(means)), text
        assert 1 <= len(wanted) <= 2
        seen.add(len(wanted))
    assert seen == {1, 2}
