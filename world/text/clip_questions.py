"""Questions about a clip, with their answers and the tokens that hold them.

Three kinds need time: direction, order and change. Four are asked of stills too; here existence and count ask
about the first or the last frame. Training alone also asks for a description of the clip, and in which frame
a shape appears.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..render.clip_plans import N_FRAMES, Actor, ClipPlan
from ..render.scenes import COLORS, SHAPES
from .scene_questions import NUMBER_WORDS, TEMPLATES, Question, add_article

CLIP_KINDS = ("direction", "order", "change", "color", "shape", "existence", "count")
MOMENTS = {"at the start": 0, "at the end": N_FRAMES - 1}

CLIP_TEMPLATES = {
    "direction": (
        "Which way does the {ref} move?",
        "In which direction does the {ref} move?",
        "Which way is the {ref} moving?",
    ),
    "order": ("Which comes first, the {ref} or the {other}?", "Which comes last, the {ref} or the {other}?"),
    "last": ("Which shape appears last?", "What appears last?"),
    "change": ("What color is the {ref} {moment}?", "Which color does the {ref} have {moment}?"),
    "changes": ("Does the {ref} change its color?", "Does the color of the {ref} change?"),
    "color": TEMPLATES["color"],
    "shape": TEMPLATES["shape"],
    "existence": ("Is there {what} {moment}?", "Can you see {what} {moment}?"),
    "count": ("How many shapes are there {moment}?", "How many shapes can you see {moment}?"),
    "frame": ("In which frame does the {ref} appear?",),
}
DESCRIBE_CLIP = "Describe the clip."


def make_clip_question(plan: ClipPlan, kind: str, rng: np.random.Generator) -> Question | None:
    """A question of that kind about the clip, or None where the clip has none to offer.

    Its `patches` are visual tokens of the whole clip, t * N + n.
    """
    made = _ASKERS[kind](plan.actors, rng)
    if made is None:
        return None
    form, words, answer, tokens = made
    text = str(rng.choice(CLIP_TEMPLATES[form])) if isinstance(form, str) else form[0]
    return Question(text.format(**words), answer, kind, tuple(sorted(tokens)))


def describe_clip(plan: ClipPlan) -> Question:
    """Everything that happens, in reading order of where it begins: "red star left, blue cross appears"."""

    def begins(a: Actor) -> tuple[int, int, int]:
        x, y = a.track[a.first_frame]
        return (a.first_frame, y, x)

    def said(a: Actor) -> str:
        end = "appears" if not a.visible[0] else "vanishes" if not a.visible[-1] else a.direction or "still"
        turn = f" turns {a.colors[-1]}" if a.changes_color else ""
        return f"{a.colors[0]} {a.shape} {end}{turn}"

    answer = ", ".join(said(a) for a in sorted(plan.actors, key=begins))
    tokens = sorted(p for a in plan.actors for p in a.token_indices())
    return Question(DESCRIBE_CLIP, answer, "describe", tuple(tokens))


def _pick(items: Sequence, rng: np.random.Generator):
    return items[int(rng.integers(len(items)))] if items else None


def _reference(a: Actor, rng: np.random.Generator) -> str:
    """Its form, which is its own in the clip; sometimes with its colour, where that stays."""
    return a.shape if a.changes_color or rng.random() < 0.5 else f"{a.colors[0]} {a.shape}"


# Each asker returns the template's name (or the one text allowed), its words, the answer and the tokens that
# hold it, or nothing (None).


def _direction(actors: tuple[Actor, ...], rng: np.random.Generator):
    a = _pick([a for a in actors if a.direction], rng)
    return a and ("direction", {"ref": _reference(a, rng)}, a.direction, a.token_indices())


def _order(actors: tuple[Actor, ...], rng: np.random.Generator):
    late = sorted((a for a in actors if a.first_frame > 0), key=lambda a: a.first_frame)
    if not late:
        return None
    if rng.random() < 0.3:
        return "last", {}, late[-1].shape, late[-1].token_indices()
    pair = [_pick(late, rng)]
    pair.append(_pick([a for a in actors if a.first_frame != pair[0].first_frame], rng))
    a, b = (pair[i] for i in rng.permutation(2))
    which = int(rng.integers(2))  # asks for the first or for the last
    answer = (min, max)[which](a, b, key=lambda x: x.first_frame)
    text = (CLIP_TEMPLATES["order"][which],)
    return text, {"ref": a.shape, "other": b.shape}, answer.shape, a.token_indices() + b.token_indices()


def _change(actors: tuple[Actor, ...], rng: np.random.Generator):
    changing, calm = [a for a in actors if a.changes_color], [a for a in actors if not a.changes_color]
    if rng.random() < 0.4:
        # As many yes as no: two clips in five have nothing to say yes to.
        yes = bool(changing) and rng.random() < 0.85
        a = _pick(changing if yes else calm, rng)
        return a and ("changes", {"ref": a.shape}, "yes" if yes else "no", a.token_indices())
    if not changing:
        return None
    a, moment = _pick(changing, rng), _pick(list(MOMENTS), rng)
    color = a.colors[MOMENTS[moment]]
    frames = [t for t in range(N_FRAMES) if a.colors[t] == color]
    return "change", {"ref": a.shape, "moment": moment}, color, a.token_indices(frames)


def _color(actors: tuple[Actor, ...], rng: np.random.Generator):
    a = _pick([a for a in actors if not a.changes_color], rng)
    return a and ("color", {"ref": a.shape}, a.colors[0], a.token_indices())


def _shape(actors: tuple[Actor, ...], rng: np.random.Generator):
    owners = Counter(c for a in actors for c in set(a.colors))
    a = _pick([a for a in actors if not a.changes_color and owners[a.colors[0]] == 1], rng)
    return a and ("shape", {"color": a.colors[0]}, a.shape, a.token_indices())


def _existence(actors: tuple[Actor, ...], rng: np.random.Generator):
    moment = _pick(list(MOMENTS), rng)
    t = MOMENTS[moment]
    by_form = rng.random() < 0.5

    def name(a: Actor, u: int) -> str:
        return a.shape if by_form else f"{a.colors[u]} {a.shape}"

    there = {name(a, t): a for a in actors if a.visible[t]}
    every = list(SHAPES) if by_form else [f"{c} {f}" for c in COLORS for f in SHAPES]
    if rng.random() < 0.5:
        what = _pick(list(there), rng)
        return (
            "existence",
            {"what": add_article(what), "moment": moment},
            "yes",
            there[what].token_indices([t]),
        )
    # Hard negatives where there are any: what is there at another time.
    shown = {name(a, u) for a in actors for u in range(N_FRAMES) if a.visible[u]}
    hard = sorted(shown - set(there))
    what = _pick(hard if hard and rng.random() < 0.7 else [x for x in every if x not in there], rng)
    return "existence", {"what": add_article(what), "moment": moment}, "no", []


def _count(actors: tuple[Actor, ...], rng: np.random.Generator):
    moment = _pick(list(MOMENTS), rng)
    t = MOMENTS[moment]
    there = [a for a in actors if a.visible[t]]
    return (
        "count",
        {"moment": moment},
        NUMBER_WORDS[len(there)],
        [p for a in there for p in a.token_indices([t])],
    )


def _frame(actors: tuple[Actor, ...], rng: np.random.Generator):
    late = [a for a in actors if a.first_frame > 0]
    a = _pick(late if late and rng.random() < 0.8 else list(actors), rng)
    return "frame", {"ref": a.shape}, str(a.first_frame + 1), a.token_indices()


_ASKERS = {
    "direction": _direction,
    "order": _order,
    "change": _change,
    "color": _color,
    "shape": _shape,
    "existence": _existence,
    "count": _count,
    "frame": _frame,
}
