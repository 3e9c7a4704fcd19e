"""words: tokens of every kind of tokenizer become the words that a reader sees."""

import pytest

from app.story import charts
from app.story.words import LINE_BREAK, split_into_words
from rediprune import Explainer
from rediprune.query.question import split_text


@pytest.mark.parametrize(
    ("tokens", "read"),
    [
        (("what", " color", "?"), ["what", "color", "?"]),
        (("is", " the", " ", "z", "e", "b", "r", "a", "?"), ["is", "the", "zebra", "?"]),
        (("a ", "zeb", "ra ", "! "), ["a", "zebra", "!"]),  # CLIP's: the space stands behind
        ((" gr", "", "ö", "", "ße"), ["größe"]),
        ((" do", "n", "'", "t"), ["don't"]),
        (
            (" ", "\n", "which", " one", "<|im_end|>", "\n"),
            [LINE_BREAK, "which", "one", "<|im_end|>", LINE_BREAK],
        ),
        (("two words", "."), ["two words", "."]),
        ((" ", ""), [LINE_BREAK]),
        ((), []),
    ],
)
def test_words_are_whole_none_is_empty_and_every_token_is_in_one(tokens, read):
    found = split_into_words(tokens)
    assert [word.text for word in found] == read
    assert [i for word in found for i in range(word.start, word.stop)] == list(range(len(tokens)))


def test_a_word_of_several_tokens_says_so_and_white_space_is_not_counted():
    assert charts.build_word_chips(split_into_words((" the", " ", "z", "e")))["words"] == [
        "the",
        "ze (2 tokens)",
    ]


def test_the_built_in_models_unknown_words_are_whole():
    explainer = Explainer.from_pretrained()
    tokenizer = explainer.processor.tokenizer
    text = "is the zebra extraordinarily größe 東京?"
    tokens = split_text(tokenizer.decode, tokenizer(text, add_special_tokens=False)["input_ids"])
    assert [word.text for word in split_into_words(tokens)] == [
        "is",
        "the",
        "zebra",
        "extraordinarily",
        "größe",
        "東京",
        "?",
    ]
