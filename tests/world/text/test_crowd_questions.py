"""Questions about crowded scenes have one right answer, found again here from their words alone."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from world.render.crowd import render_crowd
from world.render.pictures import N_PATCHES, NOTHING, SIZE, Picture, Thing
from world.render.things import THING_COLORS, THING_KINDS
from world.text import phrasing
from world.text.crowd_questions import CROWD_KINDS, make_crowd_question
from world.text.scene_questions import Question

SEEDS = range(120)
RELATION = "left of|right of|above|below|next to"
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SYNONYMS = {
    "color": "colour", "gray": "grey", "large": "big", "little": "small", "object": "thing",
    "objects": "things", "over": "above", "under": "below", "beside": "next to", "topmost": "highest",
    "uppermost": "highest", "largest": "biggest", "littlest": "smallest", "image": "picture",
    "to the left of": "left of", "to the right of": "right of", "bike": "bicycle", "bikes": "bicycles",
    "mug": "cup", "mugs": "cups", "present": "gift", "presents": "gifts", "lorry": "truck",
    "lorries": "trucks", "airplane": "plane", "airplanes": "planes", "aeroplane": "plane",
    "aeroplanes": "planes",
}  # fmt: skip
SINGULAR = {phrasing.pluralise(kind): kind for kind in THING_KINDS}


@pytest.fixture(scope="module")
def questions() -> list[tuple[Picture, Question]]:
    """Return pictures with a few questions of every kind."""
    found = []
    for seed in SEEDS:
        picture = render_crowd(seed)
        rng = np.random.default_rng(seed)
        for kind in CROWD_KINDS * 4:
            question = make_crowd_question(picture, kind, rng)
            if question is not None:
                found.append((picture, question))
    return found


def normalise(text: str) -> str:
    """Return the text in lower case, with one word for each meaning and without an end."""
    text = text.lower().rstrip("?.")
    for word in sorted(SYNONYMS, key=len, reverse=True):
        text = re.sub(rf"\b{word}\b", SYNONYMS[word], text)
    return text


def center(thing: Thing) -> tuple[float, float]:
    return (thing.box[0] + thing.box[2]) / 2, (thing.box[1] + thing.box[3]) / 2


def size(thing: Thing) -> int:
    return max(thing.box[2] - thing.box[0], thing.box[3] - thing.box[1])


def gap(one: Thing, other: Thing) -> float:
    across = max(one.box[0], other.box[0]) - min(one.box[2], other.box[2])
    down = max(one.box[1], other.box[1]) - min(one.box[3], other.box[3])
    return (max(across, 0) ** 2 + max(down, 0) ** 2) ** 0.5


def match(things, words: str) -> list[Thing]:
    """Return all things that a noun phrase names: "red cars", "car", "blue things"."""
    *adjectives, noun = words.split()
    noun = SINGULAR.get(noun, noun)
    colors = [word for word in adjectives if word in THING_COLORS]
    assert noun in (*THING_KINDS, "thing", "things"), words
    found = [t for t in things if noun.startswith("thing") or t.kind == noun]
    found = [t for t in found if not colors or t.color == colors[0]]
    sizes = [word for word in adjectives if word in ("big", "small")]
    assert len(colors) + len(sizes) == len(adjectives), words
    if sizes:
        assert len(found) == 2, words
        ranked = sorted(found, key=size)
        assert size(ranked[1]) > 1.4 * size(ranked[0])
        found = [ranked[1] if sizes == ["big"] else ranked[0]]
    return found


def the(things, words: str) -> Thing:
    """Return the one thing that a definite noun phrase names, also "the thing left of the car"."""
    found = re.fullmatch(rf"the thing ({RELATION}) (the .+)", words)
    if found:
        return beside(things, found[1], the(things, found[2]))
    named = match(things, words.removeprefix("the "))
    assert len(named) == 1, words
    return named[0]


def beside(things, relation: str, thing: Thing) -> Thing:
    """Return the nearest thing on a side of a thing, or the nearest of all; assert that it is clear."""
    others = [other for other in things if other is not thing]
    if relation != "next to":
        axis = 0 if relation in ("left of", "right of") else 1
        sign = 1 if relation in ("left of", "above") else -1
        across = 1 - axis
        others = [
            other
            for other in others
            if other.box[across] < thing.box[across + 2]
            and other.box[across + 2] > thing.box[across]
            and sign * (center(thing)[axis] - center(other)[axis]) > 0
        ]
    ranked = sorted(others, key=lambda other: gap(thing, other))
    assert len(ranked) == 1 or gap(thing, ranked[1]) > gap(thing, ranked[0]) + 8
    return ranked[0]


def holds(one: Thing, relation: str, other: Thing) -> bool:
    """Return whether a relation holds; assert that this is clear."""
    if relation == "next to":
        assert not 14 < gap(one, other) < 42
        return gap(one, other) <= 14
    axis = 0 if relation in ("left of", "right of") else 1
    difference = center(one)[axis] - center(other)[axis]
    assert abs(difference) >= 28
    return (difference < 0) == (relation in ("left of", "above"))


def first_of(group, most: str) -> Thing:
    key = {
        "leftmost": lambda t: t.box[0], "rightmost": lambda t: -t.box[2], "highest": lambda t: t.box[1],
        "lowest": lambda t: -t.box[3], "biggest": lambda t: -size(t), "smallest": size,
    }[most]  # fmt: skip
    return min(group, key=key)


def yes(truth: bool) -> str:
    return "yes" if truth else "no"


def solve(things, text: str) -> str:
    """Return the answer to a question, read from its words."""
    text = normalise(text)
    opening = r"^(what do you see|which thing is|what is) (right (?!of)|just |directly )?"
    text = re.sub(opening, "what is ", text)
    text = re.sub(r"\b(closest|nearest) to\b", "next to", text)
    found = re.fullmatch(rf"what is ({RELATION}) (the .+)", text)
    if found:
        return beside(things, found[1], the(things, found[2])).kind
    found = re.search(r"only (\w+) (?:that is not|have that is not) (\w+)", text)
    found = found or re.search(r"^all (\w+) but one are (\w+)", text)
    if found:
        odd = [t for t in match(things, found[1]) if t.color != found[2]]
        assert len(odd) == 1
        return odd[0].color
    found = re.search(rf"only (\w+) (?:that is )?({RELATION}) (the .+)", text)
    if found:
        other = the(things, found[3])
        there = [t for t in match(things, found[1]) if holds(t, found[2], other)]
        assert len(there) == 1
        return there[0].color
    found = re.search(r"only (\w+) thing$|only (?:one|thing) that is (\w+)$", text)
    if found:
        (only,) = match(things, f"{found[1] or found[2]} things")
        return only.kind
    found = re.search(r"the (\w+most|highest|lowest|biggest|smallest) (\w+) thing$", text)
    found = found or re.search(r"the (\w+most|highest|lowest|biggest|smallest) (\w+) one$", text)
    if found:
        return first_of(match(things, f"{found[2]} things"), found[1]).kind
    found = re.search(r"which (\w+) thing is the (\w+) one$|is (\w+) thing is the (\w+) one$", text)
    if found:
        return first_of(match(things, f"{found[1]} things"), found[2]).kind
    found = re.search(r"colour.* the (\w+most|highest|lowest|biggest|smallest) (\w+)(?: have)?$", text)
    if found:
        return first_of(match(things, found[2]), found[1]).color
    found = re.search(r"colour (?:is|of|does) (the .+?)(?: have)?$", text)
    if found:
        return the(things, found[1]).color
    found = re.search(
        r"(?:how many|count the) (.+?) (?:and|plus) (?:the )?(.+?)"
        r"(?: are there| can you see)?(?: together| in total)?$",
        text,
    )
    if found:
        return NUMBERS[len(match(things, found[1])) + len(match(things, found[2]))]
    found = re.search(
        r"^(?:how many|count the|what is number of|what is the number of) (.+?)"
        r"(?: are there| can you see| are in the picture| do you see)?$",
        text,
    )
    if found:
        return NUMBERS[len(match(things, found[1]))]
    found = re.search(r"number of (.+) the same as the number of (.+)$", text)
    found = found or re.search(r"as many (.+) as (.+)$", text)
    if found:
        return yes(len(match(things, found[1])) == len(match(things, found[2])))
    found = re.search(r"(more|fewer) (.+) than (.+)$", text)
    if found:
        difference = len(match(things, found[2])) - len(match(things, found[3]))
        return yes(difference > 0 if found[1] == "more" else difference < 0)
    found = re.search(rf"^(?:is|can you see|is it true that) (the .+?) (?:is )?({RELATION}) (the .+)$", text)
    if found:
        return yes(holds(the(things, found[1]), found[2], the(things, found[3])))
    found = re.search(
        r"^(?:is there|can you see|does the picture show|do you see) an? (.+?)(?: in the picture)?$", text
    )
    found = found or re.search(r"^are there any (.+)$", text)
    if found:
        return yes(bool(match(things, found[1])))
    found = re.search(r"(?:where|corner|part).*? (?:is|shows|see) (the .+?)(?: in)?$", text)
    if found:
        x, y = center(the(things, found[1]))
        assert min(abs(v - b) for v in (x, y) for b in (SIZE / 3, 2 * SIZE / 3)) > 8
        row = ("top", "", "bottom")[int(3 * y / SIZE)]
        column = ("left", "", "right")[int(3 * x / SIZE)]
        return f"{row} {column}".strip() or "middle"
    raise AssertionError(f"nobody can read {text!r}")


def test_answers_are_found_again_from_the_words(questions):
    for picture, question in questions:
        assert solve(picture.things, question.text) == question.answer, (picture.seed, question.text)


def test_every_kind_is_possible_in_nearly_every_picture(questions):
    counts = Counter(question.kind for _, question in questions)
    assert set(counts) == set(CROWD_KINDS)
    assert min(counts.values()) > 0.9 * 4 * len(SEEDS)


def test_answers_and_words_are_from_closed_lists(questions):
    for _, question in questions:
        assert question.answer in phrasing.ANSWERS
        words = phrasing.list_words(f"{question.text} {question.answer}")
        assert set(words) <= phrasing.WORLD_WORDS, question.text
        assert phrasing.unknown_words(question.text) == []


def test_equal_generators_ask_equal_questions():
    picture = render_crowd(3)
    for kind in CROWD_KINDS:
        one, other = (make_crowd_question(picture, kind, np.random.default_rng(5)) for _ in range(2))
        assert one == other


def test_yes_and_no_are_balanced(questions):
    for kind in ("relation", "existence", "compare"):
        answers = [question.answer for _, question in questions if question.kind == kind]
        assert 0.42 < np.mean([answer == "yes" for answer in answers]) < 0.58, kind


def test_no_answer_is_a_good_guess(questions):
    answers = defaultdict(Counter)
    for _, question in questions:
        answers[question.kind][question.answer] += 1
    limits = {
        "count": 0.2,
        "sum": 0.22,
        "position": 0.2,
        "what": 0.1,
        "color": 0.2,
        "extreme": 0.2,
        "only": 0.2,
    }
    for kind, limit in limits.items():
        assert answers[kind].most_common(1)[0][1] < limit * answers[kind].total(), kind
    assert set(answers["count"]) == set(NUMBERS)
    assert len(answers["position"]) == 9
    assert len(answers["what"]) > 30


def test_absent_things_are_mostly_hard_to_deny(questions):
    """Most questions answered with no name a colour and a kind that both occur."""
    hard = []
    for picture, question in questions:
        if question.kind == "existence" and question.answer == "no":
            text = normalise(question.text).split()
            colors = {thing.color for thing in picture.things}
            kinds = {thing.kind for thing in picture.things}
            hard.append(
                any(word in colors for word in text)
                and any(SINGULAR.get(word, word) in kinds for word in text)
            )
    assert np.mean(hard) > 0.5


def test_patches_are_those_of_the_things_in_question(questions):
    for picture, question in questions:
        every = {patch for thing in picture.things for patch in thing.patches}
        assert list(question.patches) == sorted(set(question.patches))
        assert set(question.patches) <= every <= set(range(N_PATCHES))
        absent = question.answer in ("no", "zero") and question.kind in ("existence", "count")
        assert bool(question.patches) != absent
        if question.kind == "count" and not absent:
            things = {int(index) for index in picture.owner[list(question.patches)]} - {NOTHING}
            assert len(things) >= NUMBERS.index(question.answer)


def test_several_things_are_needed_for_most_questions(questions):
    several = []
    for picture, question in questions:
        needed = [t for t in picture.things if t.patches and set(t.patches) <= set(question.patches)]
        several.append(len(needed) >= 2)
    assert np.mean(several) > 0.55


def test_two_of_a_name_are_told_apart_by_their_size_alone(questions):
    texts = [normalise(question.text) for _, question in questions]
    assert sum(" big " in text or " small " in text for text in texts) > 20
