"""Questions about a scene, with their answers and the shapes that hold them.

Seven kinds: colour, shape, existence, count, position, relation, digit; and a short description of the whole
scene, which only training uses. Words are lower case in the model's tokenizer, so case does not matter.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..render.scenes import COLORS, IMAGE_SIZE, PATCH_SIZE, SHAPES, Scene, Shape

KINDS = ("color", "shape", "existence", "count", "position", "relation", "digit")
NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six")
MARGIN = PATCH_SIZE  # pixels: how clear a position or a relation must be before it is asked

TEMPLATES = {
    "color": (
        "What color is the {ref}?",
        "What is the color of the {ref}?",
        "Which color does the {ref} have?",
    ),
    "shape": ("What shape is {color}?", "Which shape is {color}?", "What shape is the {color} object?"),
    "existence": ("Is there {what}?", "Can you see {what}?", "Is {what} in the picture?"),
    "count": ("How many {what} are there?", "How many {what} can you see?"),
    "position": ("Where is the {ref}?", "In which corner is the {ref}?"),
    "relation": ("Is the {ref} {relation} the {other}?",),
    "digit": ("What digit is on the {ref}?", "Which number is on the {ref}?", "Read the digit on the {ref}."),
}
DESCRIBE = "Describe the picture."
RELATIONS = ("left of", "right of", "above", "below")


@dataclass(frozen=True)
class Question:
    """A question with its ground truth.

    Attributes:
        text, answer: as asked, and the expected words.
        kind: one of KINDS.
        patches: patch indices (raster order) of the shapes that hold the answer, sorted; empty where the
            answer is an absence ("is there a star?" "no").
    """

    text: str
    answer: str
    kind: str
    patches: tuple[int, ...]


def make_scene_question(scene: Scene, kind: str, rng: np.random.Generator) -> Question | None:
    """A question of that kind about the scene, or None where the scene has none to offer."""
    made = _ASKERS[kind](scene, rng)
    if made is None:
        return None
    words, answer, holders = made
    text = str(rng.choice(TEMPLATES[kind])).format(**words)
    patches = sorted({p for shape in holders for p in shape.patches})
    return Question(text, answer, kind, tuple(patches))


def add_article(name: str) -> str:
    """A red star, an orange star."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def pluralise(shape: str) -> str:
    """Stars, crosses."""
    return shape + ("es" if shape.endswith("s") else "s")


def describe_scene(scene: Scene) -> Question:
    """The whole scene in reading order, e.g. "red star 7, blue circle"."""
    answer = ", ".join(f"{s.name} {s.digit}".strip() for s in scene.shapes)
    return Question(DESCRIBE, answer, "describe", tuple(sorted({p for s in scene.shapes for p in s.patches})))


# Each asker returns the words of the template, the answer and the shapes that hold it, or nothing (None).


def _references(scene: Scene) -> list[tuple[str, Shape]]:
    """Every unambiguous way to name one shape: by its form alone, or by colour and form."""
    forms = Counter(s.shape for s in scene.shapes)
    names = Counter(s.name for s in scene.shapes)
    by_form = [(s.shape, s) for s in scene.shapes if forms[s.shape] == 1]
    by_name = [(s.name, s) for s in scene.shapes if names[s.name] == 1]
    return by_form + by_name


def _pick(items: list, rng: np.random.Generator):
    return items[int(rng.integers(len(items)))] if items else None


def _color(scene: Scene, rng: np.random.Generator):
    found = _pick([(ref, s) for ref, s in _references(scene) if ref == s.shape], rng)
    return found and ({"ref": found[0]}, found[1].color, [found[1]])


def _shape(scene: Scene, rng: np.random.Generator):
    colors = Counter(s.color for s in scene.shapes)
    found = _pick([s for s in scene.shapes if colors[s.color] == 1], rng)
    return found and ({"color": found.color}, found.shape, [found])


def _existence(scene: Scene, rng: np.random.Generator):
    present = rng.random() < 0.5
    by_form = rng.random() < 0.5
    there = sorted({s.shape if by_form else s.name for s in scene.shapes})
    every = list(SHAPES) if by_form else [f"{c} {f}" for c in COLORS for f in SHAPES]
    absent = [x for x in every if x not in there]
    if not by_form and not present and rng.random() < 0.7:
        # Hard negatives: both words occur in the scene, never on the same shape.
        colors, forms = {s.color for s in scene.shapes}, {s.shape for s in scene.shapes}
        absent = [x for x in absent if x.split()[0] in colors and x.split()[1] in forms] or absent
    what = _pick(there if present else absent, rng)
    holders = [s for s in scene.shapes if what in (s.shape, s.name)]
    return what and ({"what": add_article(what)}, "yes" if present else "no", holders)


def _count(scene: Scene, rng: np.random.Generator):
    style = rng.random()
    if style < 0.2:
        return {"what": "shapes"}, NUMBER_WORDS[len(scene.shapes)], list(scene.shapes)
    by_form = style < 0.6
    there = sorted({s.shape if by_form else s.color for s in scene.shapes})
    every = SHAPES if by_form else tuple(COLORS)
    # Mostly words that occur, so that "zero" is not the answer to guess.
    absent = [x for x in every if x not in there]
    what = _pick(absent if absent and rng.random() < 0.15 else there, rng)
    holders = [s for s in scene.shapes if what in (s.shape, s.color)]
    words = pluralise(what) if by_form else f"{what} shapes"
    return {"what": words}, NUMBER_WORDS[len(holders)], holders


def _position(scene: Scene, rng: np.random.Generator):
    clear = [
        (ref, s)
        for ref, s in _references(scene)
        if abs(s.x - IMAGE_SIZE / 2) >= MARGIN and abs(s.y - IMAGE_SIZE / 2) >= MARGIN
    ]
    found = _pick(clear, rng)
    if found is None:
        return None
    ref, s = found
    corner = f"{'top' if s.y < IMAGE_SIZE / 2 else 'bottom'} {'left' if s.x < IMAGE_SIZE / 2 else 'right'}"
    return {"ref": ref}, corner, [s]


def _relation(scene: Scene, rng: np.random.Generator):
    a, b = _pick(_references(scene), rng), _pick(_references(scene), rng)
    if a is None or a[1] is b[1]:
        return None
    relation = str(rng.choice(RELATIONS))
    dx, dy = a[1].x - b[1].x, a[1].y - b[1].y
    gap = {"left of": -dx, "right of": dx, "above": -dy, "below": dy}[relation]
    if abs(gap) < 2 * MARGIN:
        return None
    return {"ref": a[0], "relation": relation, "other": b[0]}, "yes" if gap > 0 else "no", [a[1], b[1]]


def _digit(scene: Scene, rng: np.random.Generator):
    found = _pick([(ref, s) for ref, s in _references(scene) if s.digit], rng)
    return found and ({"ref": found[0]}, found[1].digit, [found[1]])


_ASKERS = {
    "color": _color,
    "shape": _shape,
    "existence": _existence,
    "count": _count,
    "position": _position,
    "relation": _relation,
    "digit": _digit,
}
