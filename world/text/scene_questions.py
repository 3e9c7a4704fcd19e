"""Write questions about a scene, with their answers and the patches that hold the answers.

There are seven kinds: colour, shape, existence, count, position, relation and digit. A short description
of the whole scene is used in training only. The model's tokenizer lower-cases all text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..render.scenes import COLORS, IMAGE_SIZE, PATCH_SIZE, SHAPES, Scene, Shape

KINDS = ("color", "shape", "existence", "count", "position", "relation", "digit")
NUMBER_WORDS = ("zero", "one", "two", "three", "four", "five", "six")
MARGIN = PATCH_SIZE  # pixels: a position or a relation less clear than this is not asked about

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
        text: the question.
        answer: the expected words.
        kind: one of KINDS, or "describe"; for clips one of CLIP_KINDS, "frame" or "describe".
        patches: sorted indices, in raster order, of the patches that hold the answer; for clips t * N + n.
            Empty if the answer is an absence ("is there a star?" "no").
    """

    text: str
    answer: str
    kind: str
    patches: tuple[int, ...]


def make_scene_question(scene: Scene, kind: str, rng: np.random.Generator) -> Question | None:
    """Make a question of a kind about the scene, or return None if the scene allows none.

    Args:
        scene: what to ask about.
        kind: one of KINDS.
        rng: chooses among the possible questions and wordings.
    """
    content = _CONTENT_MAKERS[kind](scene, rng)
    if content is None:
        return None
    words, answer, holders = content
    text = str(rng.choice(TEMPLATES[kind])).format(**words)
    return Question(text, answer, kind, _collect_patches(holders))


def add_article(name: str) -> str:
    """Return the name with its indefinite article: "a red star", "an orange star"."""
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def pluralise(shape: str) -> str:
    """Return the plural of a shape: "stars", "crosses"."""
    return shape + ("es" if shape.endswith("s") else "s")


def describe_scene(scene: Scene) -> Question:
    """Describe the whole scene in reading order, for example "red star 7, blue circle"."""
    answer = ", ".join(f"{shape.name} {shape.digit}".strip() for shape in scene.shapes)
    return Question(DESCRIBE, answer, "describe", _collect_patches(scene.shapes))


def _collect_patches(shapes: Sequence[Shape]) -> tuple[int, ...]:
    return tuple(sorted({patch for shape in shapes for patch in shape.patches}))


# Every content maker returns the words of the template, the answer and the shapes that hold it; None if the
# scene allows no question of its kind.
Content = tuple[dict[str, str], str, list[Shape]]


def _list_references(scene: Scene) -> list[tuple[str, Shape]]:
    """Return every unambiguous name of one shape with the shape: "star" or "red star"."""
    forms = Counter(s.shape for s in scene.shapes)
    names = Counter(s.name for s in scene.shapes)
    by_form = [(s.shape, s) for s in scene.shapes if forms[s.shape] == 1]
    by_name = [(s.name, s) for s in scene.shapes if names[s.name] == 1]
    return by_form + by_name


def _pick_random(items: list, rng: np.random.Generator):
    """Return a random item; None, without using the generator, if there is none."""
    return items[int(rng.integers(len(items)))] if items else None


def _ask_color(scene: Scene, rng: np.random.Generator) -> Content | None:
    found = _pick_random([(ref, s) for ref, s in _list_references(scene) if ref == s.shape], rng)
    return found and ({"ref": found[0]}, found[1].color, [found[1]])


def _ask_shape(scene: Scene, rng: np.random.Generator) -> Content | None:
    colors = Counter(s.color for s in scene.shapes)
    found = _pick_random([s for s in scene.shapes if colors[s.color] == 1], rng)
    return found and ({"color": found.color}, found.shape, [found])


def _ask_existence(scene: Scene, rng: np.random.Generator) -> Content | None:
    present = rng.random() < 0.5
    by_form = rng.random() < 0.5
    there = sorted({s.shape if by_form else s.name for s in scene.shapes})
    every = list(SHAPES) if by_form else [f"{c} {f}" for c in COLORS for f in SHAPES]
    absent = [x for x in every if x not in there]
    if not by_form and not present and rng.random() < 0.7:
        # Hard negatives: both words occur in the scene, never on the same shape.
        colors = {s.color for s in scene.shapes}
        forms = {s.shape for s in scene.shapes}
        absent = [x for x in absent if x.split()[0] in colors and x.split()[1] in forms] or absent
    what = _pick_random(there if present else absent, rng)
    holders = [s for s in scene.shapes if what in (s.shape, s.name)]
    return what and ({"what": add_article(what)}, "yes" if present else "no", holders)


def _ask_count(scene: Scene, rng: np.random.Generator) -> Content | None:
    style = rng.random()
    if style < 0.2:
        return {"what": "shapes"}, NUMBER_WORDS[len(scene.shapes)], list(scene.shapes)
    by_form = style < 0.6
    there = sorted({s.shape if by_form else s.color for s in scene.shapes})
    every = SHAPES if by_form else tuple(COLORS)
    # Mostly words that occur in the scene, so that "zero" is not a good guess.
    absent = [x for x in every if x not in there]
    what = _pick_random(absent if absent and rng.random() < 0.15 else there, rng)
    holders = [s for s in scene.shapes if what in (s.shape, s.color)]
    words = pluralise(what) if by_form else f"{what} shapes"
    return {"what": words}, NUMBER_WORDS[len(holders)], holders


def _ask_position(scene: Scene, rng: np.random.Generator) -> Content | None:
    clear = [
        (ref, s)
        for ref, s in _list_references(scene)
        if abs(s.x - IMAGE_SIZE / 2) >= MARGIN and abs(s.y - IMAGE_SIZE / 2) >= MARGIN
    ]
    found = _pick_random(clear, rng)
    if found is None:
        return None
    ref, s = found
    vertical = "top" if s.y < IMAGE_SIZE / 2 else "bottom"
    horizontal = "left" if s.x < IMAGE_SIZE / 2 else "right"
    return {"ref": ref}, f"{vertical} {horizontal}", [s]


def _ask_relation(scene: Scene, rng: np.random.Generator) -> Content | None:
    a = _pick_random(_list_references(scene), rng)
    b = _pick_random(_list_references(scene), rng)
    if a is None or a[1] is b[1]:
        return None
    relation = str(rng.choice(RELATIONS))
    dx = a[1].x - b[1].x
    dy = a[1].y - b[1].y
    gap = {"left of": -dx, "right of": dx, "above": -dy, "below": dy}[relation]
    if abs(gap) < 2 * MARGIN:
        return None
    return {"ref": a[0], "relation": relation, "other": b[0]}, "yes" if gap > 0 else "no", [a[1], b[1]]


def _ask_digit(scene: Scene, rng: np.random.Generator) -> Content | None:
    found = _pick_random([(ref, s) for ref, s in _list_references(scene) if s.digit], rng)
    return found and ({"ref": found[0]}, found[1].digit, [found[1]])


_CONTENT_MAKERS = {
    "color": _ask_color,
    "shape": _ask_shape,
    "existence": _ask_existence,
    "count": _ask_count,
    "position": _ask_position,
    "relation": _ask_relation,
    "digit": _ask_digit,
}
