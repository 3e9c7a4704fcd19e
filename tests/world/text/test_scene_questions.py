"""Every question has one right answer, it is the one that comes with it, and it lies where it is said to lie.

The answers are worked out again from the words of the question and the shapes, by rules written here.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import numpy as np
import pytest

from tests.support import tiny_world
from world import make_scene
from world.render.scenes import COLORS, SHAPES, Scene, Shape
from world.text.scene_questions import KINDS, MARGIN, TEMPLATES, Question, describe_scene, make_scene_question

SEEDS = range(300)
WORDS = {
    "color": [
        r"What color is the (.+)\?",
        r"What is the color of the (.+)\?",
        r"Which color does the (.+) have\?",
    ],
    "shape": [r"(?:What|Which) shape is (\w+)\?", r"What shape is the (\w+) object\?"],
    "existence": [r"Is there an? (.+)\?", r"Can you see an? (.+)\?", r"Is an? (.+) in the picture\?"],
    "count": [r"How many (.+) are there\?", r"How many (.+) can you see\?"],
    "position": [r"Where is the (.+)\?", r"In which corner is the (.+)\?"],
    "relation": [r"Is the (.+) (left of|right of|above|below) the (.+)\?"],
    "digit": [
        r"What digit is on the (.+)\?",
        r"Which number is on the (.+)\?",
        r"Read the digit on the (.+)\.",
    ],
}
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six")


@pytest.fixture(scope="module")
def asked() -> list[tuple[Scene, Question]]:
    found = []
    for seed in SEEDS:
        scene, rng = tiny_world.render_once(seed), np.random.default_rng(seed)
        found += [(scene, q) for kind in KINDS if (q := make_scene_question(scene, kind, rng))]
    return found


def named(scene: Scene, words: str) -> list[Shape]:
    """Find the shapes that a few words mean: "circle", "red circle", "circles", "red shapes", "shapes"."""
    found = list(scene.shapes)
    for word in words.split():
        single = {f + ("es" if f == "cross" else "s"): f for f in SHAPES}.get(word, word)
        if single in COLORS:
            found = [s for s in found if s.color == single]
        elif single in SHAPES:
            found = [s for s in found if s.shape == single]
        else:
            assert single == "shapes", f"{words!r} has a word that means nothing here"
    return found


def the(scene: Scene, words: str) -> Shape:
    """Find the only shape that the words mean."""
    (one,) = named(scene, words)
    return one


def solve(scene: Scene, kind: str, text: str) -> tuple[str, list[Shape]]:
    """Work out the answer and the shapes that hold it."""
    words = next(m.groups() for pattern in WORDS[kind] if (m := re.fullmatch(pattern, text)))
    if kind == "color":
        return the(scene, words[0]).color, [the(scene, words[0])]
    if kind == "shape":
        return the(scene, words[0]).shape, [the(scene, words[0])]
    if kind == "digit":
        return the(scene, words[0]).digit, [the(scene, words[0])]
    if kind == "existence":
        found = named(scene, words[0])
        return "yes" if found else "no", found
    if kind == "count":
        found = named(scene, words[0])
        return NUMBERS[len(found)], found
    if kind == "position":
        one = the(scene, words[0])
        assert min(abs(one.x - 112), abs(one.y - 112)) >= MARGIN, "too near to the middle to ask"
        return f"{'top' if one.y < 112 else 'bottom'} {'left' if one.x < 112 else 'right'}", [one]
    a, b = the(scene, words[0]), the(scene, words[2])
    assert a is not b
    apart = a.x - b.x if words[1] in ("left of", "right of") else a.y - b.y
    assert abs(apart) >= 2 * MARGIN, "too level to ask"
    return "yes" if (apart < 0) == (words[1] in ("left of", "above")) else "no", [a, b]


def test_every_answer_is_right_and_lies_on_its_patches(asked):
    for scene, q in asked:
        answer, holders = solve(scene, q.kind, q.text)
        assert q.answer == answer, (scene.seed, q)
        assert q.patches == tuple(sorted({p for s in holders for p in s.patches})), (scene.seed, q)
        assert bool(q.patches) == (answer not in ("no", "zero") or q.kind == "relation"), (scene.seed, q)


def test_every_kind_is_asked_in_all_its_wordings(asked):
    heard = defaultdict(set)
    for _, q in asked:
        heard[q.kind] |= {i for i, p in enumerate(WORDS[q.kind]) if re.fullmatch(p, q.text)}
    assert all(heard[kind] == set(range(len(WORDS[kind]))) for kind in KINDS)
    assert set(TEMPLATES) == set(KINDS)


def test_most_scenes_can_answer_every_kind(asked):
    counts = Counter(q.kind for _, q in asked)
    assert min(counts.values()) > 0.5 * len(SEEDS), counts


@pytest.mark.parametrize("kind", ["existence", "relation"])
def test_yes_and_no_are_in_balance(asked, kind):
    answers = Counter(q.answer for _, q in asked if q.kind == kind)
    assert set(answers) == {"yes", "no"}
    assert 0.4 < answers["yes"] / answers.total() < 0.6


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("existence", "relation")])
def test_no_answer_is_worth_guessing(asked, kind):
    answers = Counter(q.answer for _, q in asked if q.kind == kind)
    assert answers.most_common(1)[0][1] < 0.5 * answers.total(), answers
    assert len(answers) >= {"color": 8, "shape": 6, "count": 6, "position": 4, "digit": 10}[kind]


def test_a_hard_no_takes_its_words_from_the_scene(asked):
    """Looking for red alone, or for circles alone, does not answer "Is there a red circle?" correctly."""
    hard = total = 0
    for scene, q in asked:
        if q.kind == "existence" and q.answer == "no":
            (words,) = next(m.groups() for p in WORDS["existence"] if (m := re.fullmatch(p, q.text)))
            if " " in words:
                total += 1
                hard += all(named(scene, word) for word in words.split())
    assert hard > 0.5 * total > 0


def test_what_would_be_ambiguous_is_not_asked():
    """Two red circles cannot be told apart by words: only existence and counts are left."""
    twins = tiny_world.make_sketch(("red", "circle", "7", 40, 40), ("red", "circle", "3", 180, 180))
    for seed in range(50):
        rng = np.random.default_rng(seed)
        assert {kind for kind in KINDS if make_scene_question(twins, kind, rng)} == {"existence", "count"}


def test_nothing_is_asked_about_a_digit_that_is_not_there():
    plain = tiny_world.make_sketch(("red", "circle", "", 40, 40), ("blue", "star", "", 180, 180))
    assert all(make_scene_question(plain, "digit", np.random.default_rng(seed)) is None for seed in range(20))


def test_a_description_names_every_shape_in_reading_order():
    scene = tiny_world.make_sketch(("red", "star", "7", 40, 40), ("blue", "circle", "", 180, 180))
    said = describe_scene(scene)
    assert said.answer == "red star 7, blue circle"
    assert said.patches == tuple(sorted(p for s in scene.shapes for p in s.patches))


def test_a_scene_is_asked_each_kind_once_and_always_the_same():
    scene = make_scene(4)
    kinds = [q.kind for q in scene.questions]
    assert kinds == [kind for kind in KINDS if kind in kinds]
    assert scene.questions == make_scene(4).questions
    assert scene.image.tobytes() == scene.scene.image.tobytes()
