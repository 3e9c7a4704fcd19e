"""Write questions about a clip, with their answers and the visual tokens that hold the answers.

Three kinds need time: direction, order and change. Four kinds exist for stills too; for clips, existence
and count ask about the first or the last frame. Training alone also asks for a description of the clip and
for the frame in which a shape appears.
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
    """Make a question of a kind about the clip, or return None if the clip allows none.

    Args:
        plan: what happens in the clip.
        kind: one of CLIP_KINDS, or "frame".
        rng: chooses among the possible questions and wordings.

    Returns:
        The question; its `patches` are visual tokens of the whole clip, t * N + n.
    """
    content = _CONTENT_MAKERS[kind](plan.actors, rng)
    if content is None:
        return None
    template, words, answer, tokens = content
    if template in CLIP_TEMPLATES:
        text = str(rng.choice(CLIP_TEMPLATES[template]))
    else:
        text = template
    return Question(text.format(**words), answer, kind, tuple(sorted(tokens)))


def describe_clip(plan: ClipPlan) -> Question:
    """Describe everything that happens: "red star left, blue cross appears".

    The order is that of the first frames, and within a frame the reading order.
    """

    def get_order(actor: Actor) -> tuple[int, int, int]:
        x, y = actor.track[actor.first_frame]
        return (actor.first_frame, y, x)

    def describe_actor(actor: Actor) -> str:
        if not actor.visible[0]:
            event = "appears"
        elif not actor.visible[-1]:
            event = "vanishes"
        else:
            event = actor.direction or "still"
        text = f"{actor.colors[0]} {actor.shape} {event}"
        if actor.changes_color:
            text += f" turns {actor.colors[-1]}"
        return text

    answer = ", ".join(describe_actor(actor) for actor in sorted(plan.actors, key=get_order))
    tokens = sorted(token for actor in plan.actors for token in actor.token_indices())
    return Question(DESCRIBE_CLIP, answer, "describe", tuple(tokens))


def _pick_random(items: Sequence, rng: np.random.Generator):
    """Return a random item; None, without using the generator, if there is none."""
    return items[int(rng.integers(len(items)))] if items else None


def _make_reference(a: Actor, rng: np.random.Generator) -> str:
    """Name an actor by its form, which is unique in the clip, or by a colour that stays and its form."""
    return a.shape if a.changes_color or rng.random() < 0.5 else f"{a.colors[0]} {a.shape}"


# Every content maker returns the name of the template, or the only text allowed; the words of the template;
# the answer; and the tokens that hold it. It returns None if the clip allows no question of its kind.
Actors = tuple[Actor, ...]
Content = tuple[str, dict[str, str], str, list[int]]


def _ask_direction(actors: Actors, rng: np.random.Generator) -> Content | None:
    a = _pick_random([a for a in actors if a.direction], rng)
    return a and ("direction", {"ref": _make_reference(a, rng)}, a.direction, a.token_indices())


def _ask_order(actors: Actors, rng: np.random.Generator) -> Content | None:
    late = sorted((a for a in actors if a.first_frame > 0), key=lambda a: a.first_frame)
    if not late:
        return None
    if rng.random() < 0.3:
        return "last", {}, late[-1].shape, late[-1].token_indices()
    pair = [_pick_random(late, rng)]
    pair.append(_pick_random([a for a in actors if a.first_frame != pair[0].first_frame], rng))
    a, b = (pair[i] for i in rng.permutation(2))
    which = int(rng.integers(2))  # 0 asks for the first, 1 for the last
    answer = (min, max)[which](a, b, key=lambda x: x.first_frame)
    return (
        CLIP_TEMPLATES["order"][which],
        {"ref": a.shape, "other": b.shape},
        answer.shape,
        a.token_indices() + b.token_indices(),
    )


def _ask_change(actors: Actors, rng: np.random.Generator) -> Content | None:
    changing = [a for a in actors if a.changes_color]
    constant = [a for a in actors if not a.changes_color]
    if rng.random() < 0.4:
        # About as many "yes" as "no": in two of five clips no colour changes.
        yes = bool(changing) and rng.random() < 0.85
        a = _pick_random(changing if yes else constant, rng)
        return a and ("changes", {"ref": a.shape}, "yes" if yes else "no", a.token_indices())
    if not changing:
        return None
    a = _pick_random(changing, rng)
    moment = _pick_random(list(MOMENTS), rng)
    color = a.colors[MOMENTS[moment]]
    frames = [t for t in range(N_FRAMES) if a.colors[t] == color]
    return "change", {"ref": a.shape, "moment": moment}, color, a.token_indices(frames)


def _ask_color(actors: Actors, rng: np.random.Generator) -> Content | None:
    a = _pick_random([a for a in actors if not a.changes_color], rng)
    return a and ("color", {"ref": a.shape}, a.colors[0], a.token_indices())


def _ask_shape(actors: Actors, rng: np.random.Generator) -> Content | None:
    owners = Counter(c for a in actors for c in set(a.colors))
    a = _pick_random([a for a in actors if not a.changes_color and owners[a.colors[0]] == 1], rng)
    return a and ("shape", {"color": a.colors[0]}, a.shape, a.token_indices())


def _ask_existence(actors: Actors, rng: np.random.Generator) -> Content | None:
    moment = _pick_random(list(MOMENTS), rng)
    t = MOMENTS[moment]
    by_form = rng.random() < 0.5

    def name(a: Actor, u: int) -> str:
        return a.shape if by_form else f"{a.colors[u]} {a.shape}"

    there = {name(a, t): a for a in actors if a.visible[t]}
    every = list(SHAPES) if by_form else [f"{c} {f}" for c in COLORS for f in SHAPES]
    if rng.random() < 0.5:
        what = _pick_random(list(there), rng)
        return (
            "existence",
            {"what": add_article(what), "moment": moment},
            "yes",
            there[what].token_indices([t]),
        )
    # Hard negatives, if there are any: what is visible at another time.
    shown = {name(a, u) for a in actors for u in range(N_FRAMES) if a.visible[u]}
    hard = sorted(shown - set(there))
    what = _pick_random(hard if hard and rng.random() < 0.7 else [x for x in every if x not in there], rng)
    return "existence", {"what": add_article(what), "moment": moment}, "no", []


def _ask_count(actors: Actors, rng: np.random.Generator) -> Content | None:
    moment = _pick_random(list(MOMENTS), rng)
    t = MOMENTS[moment]
    there = [a for a in actors if a.visible[t]]
    return (
        "count",
        {"moment": moment},
        NUMBER_WORDS[len(there)],
        [p for a in there for p in a.token_indices([t])],
    )


def _ask_frame(actors: Actors, rng: np.random.Generator) -> Content | None:
    late = [a for a in actors if a.first_frame > 0]
    a = _pick_random(late if late and rng.random() < 0.8 else list(actors), rng)
    return "frame", {"ref": a.shape}, str(a.first_frame + 1), a.token_indices()


_CONTENT_MAKERS = {
    "direction": _ask_direction,
    "order": _ask_order,
    "change": _ask_change,
    "color": _ask_color,
    "shape": _ask_shape,
    "existence": _ask_existence,
    "count": _ask_count,
    "frame": _ask_frame,
}
