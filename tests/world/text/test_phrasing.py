"""Questions are worded freely, within a closed list of words."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from world.render.things import THING_COLORS, THING_KINDS
from world.text.phrasing import (
    TEMPLATES,
    WORLD_WORDS,
    add_article,
    list_words,
    phrase,
    pluralise,
    spell_american,
    unknown_words,
    with_typo,
)


def count_edits(one: str, other: str) -> int:
    """Return the number of letters left out, added, replaced or swapped with a neighbour."""
    table = np.zeros((len(one) + 1, len(other) + 1), dtype=int)
    table[:, 0] = range(len(one) + 1)
    table[0] = range(len(other) + 1)
    for i, first in enumerate(one, 1):
        for j, second in enumerate(other, 1):
            table[i, j] = min(
                table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (first != second)
            )
            if i > 1 and j > 1 and first == other[j - 2] and one[i - 2] == second:
                table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    return int(table[-1, -1])


@pytest.mark.parametrize(
    ("kind", "plural"),
    [
        ("car", "cars"), ("fish", "fish"), ("mouse", "mice"), ("leaf", "leaves"), ("bus", "buses"),
        ("butterfly", "butterflies"), ("snowman", "snowmen"), ("key", "keys"), ("cactus", "cacti"),
    ],
)  # fmt: skip
def test_plurals(kind, plural):
    assert pluralise(kind) == plural


def test_articles():
    assert add_article("orange car") == "an orange car"
    assert add_article("umbrella") == "an umbrella"
    assert add_article("red apple") == "a red apple"


def test_both_spellings():
    text = "What colour is the grey car in the centre? The colours are discoloured."
    assert spell_american(text) == "What color is the gray car in the center? The colors are discoloured."
    rng = np.random.default_rng(0)
    spellings = Counter("colour" in phrase("color", rng, ref="the car") for _ in range(200))
    assert 60 < spellings[True] < 140


def test_every_question_has_several_wordings():
    rng = np.random.default_rng(0)
    fields = {
        word for group in TEMPLATES.values() for text in group for word in re.findall(r"\{(\w+)\}", text)
    }
    for key, templates in TEMPLATES.items():
        assert len(templates) >= 2
        texts = {phrase(key, rng, **dict.fromkeys(fields, "cats")) for _ in range(100)}
        assert len(texts) >= len(templates)


def test_other_names_keep_their_article():
    rng = np.random.default_rng(0)
    texts = {phrase("existence", rng, one="a plane", group="planes") for _ in range(300)}
    words = {word for text in texts for word in list_words(text)}
    assert {"airplane", "aeroplane", "aeroplanes", "plane", "planes"} <= words
    assert not any(re.search(r"\ba a", text) for text in texts)
    assert words <= WORLD_WORDS


def test_all_things_and_colours_are_known():
    for word in (*THING_KINDS, *map(pluralise, THING_KINDS), *THING_COLORS, "color", "gray"):
        assert word in WORLD_WORDS
        assert unknown_words(f"Where is the {word}?") == []


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("What colour is the dog?", []),
        ("Is there a zebra next to the house?", ["zebra"]),
        ("How many ELEPHANTS and giraffes do you see?", ["elephants", "giraffes"]),
        ("What colour is the umbrela?", []),
        ("Waht color is teh trukc?", []),
        ("Is there a horse behind the goat?", ["horse", "behind", "goat"]),
        ("Is the boot a rat or a cap?", ["boot", "rat", "cap"]),
        ("Where's the teal bird, please?", ["teal"]),
        ("zebra zebra", ["zebra"]),
        ("", []),
        ("?! 12", []),
    ],
)
def test_unknown_words_are_named(text, unknown):
    assert unknown_words(text) == unknown


def test_typos_change_one_or_two_words_and_stay_readable():
    rng = np.random.default_rng(0)
    text = "What colour is the small umbrella next to the yellow house?"
    numbers = Counter()
    for _ in range(300):
        changed = with_typo(text, rng)
        pairs = list(zip(list_words(text), list_words(changed), strict=True))
        different = [(old, new) for old, new in pairs if old != new]
        numbers[len(different)] += 1
        for old, new in different:
            assert count_edits(old, new) == 1
            assert new not in WORLD_WORDS
            # No other word of the world is as near.
            assert [word for word in WORLD_WORDS if count_edits(word, new) == 1] == [old]
        assert unknown_words(changed) == []
    assert set(numbers) == {1, 2}
    assert numbers[1] > numbers[2]


def test_short_words_take_no_typo():
    assert with_typo("Is it a cat?", np.random.default_rng(0)) == "Is it a cat?"
    assert with_typo("", np.random.default_rng(0)) == ""


def test_equal_generators_make_equal_typos():
    text = "How many yellow butterflies are there?"
    assert with_typo(text, np.random.default_rng(4)) == with_typo(text, np.random.default_rng(4))


def test_a_larger_world_knows_more_words():
    world = WORLD_WORDS | {"receipt"}
    assert unknown_words("What is on the receipt?") == ["receipt"]
    assert unknown_words("What is on the receipt?", world) == []
    assert unknown_words("What is on the reciept?", world) == []
    texts = {with_typo("Is it a receipt?", np.random.default_rng(seed), world) for seed in range(20)}
    assert len(texts) > 5
    assert with_typo("Is it a receipt?", np.random.default_rng(0)) == "Is it a receipt?"
