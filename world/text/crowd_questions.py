"""Write questions about crowded scenes, with their answers and the patches that are needed for them.

Most kinds are about several things at once: counting, adding, comparing, finding the odd one out or the first
of a row. Every question has exactly one right answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from ..render.pictures import SIZE, Picture, Thing
from ..render.things import THING_COLORS, THING_KINDS
from .phrasing import (
    CELLS,
    MOST_WORDS,
    NUMBER_WORDS,
    RELATION_WORDS,
    SIZE_WORDS,
    THING_WORDS,
    add_article,
    choose_synonym,
    phrase,
    pluralise,
)
from .scene_questions import Question

CROWD_KINDS = (
    "what", "color", "count", "sum", "position", "relation", "existence", "only", "compare", "extreme",
)  # fmt: skip
MAX_COUNT = 9
RELATIONS = ("left of", "right of", "above", "below")

CELL_MARGIN = 10  # pixels: nearer to the border between two parts, a thing's position is not asked about
FAR = 28  # pixels between centres: what lies less far to a side is not said to lie on it
BESIDE = 10  # pixels between boxes: things that are no further apart are next to each other
APART = 56  # pixels between boxes: things that are further apart are not next to each other
REACH = 100  # pixels between boxes: what lies further away is not said to be "directly left"
CLEARLY_NEARER = 14  # pixels by which the answer is nearer than any other thing
CLEARLY_FIRST = 10  # pixels by which the first of a row lies before the second
CLEARLY_OUTSIDE = 3  # pixels by which the edge of the first of a row lies before the edges of all others
CLEARLY_LARGER = 1.3  # ratio of the sizes of the largest and the second largest
BIG_AND_SMALL = 1.5  # ratio of two sizes, of which one is then called big and the other small


class _Content(NamedTuple):
    """Hold the text of a question, its answer and the things whose patches are needed for it."""

    text: str
    answer: str
    holders: Sequence[Thing]


class _Group(NamedTuple):
    """Hold some things that a plural names: "red cars", "cars", "red things"."""

    name: str
    things: tuple[Thing, ...]


def make_crowd_question(picture: Picture, kind: str, rng: np.random.Generator) -> Question | None:
    """Make a question of a kind about the picture, or return None if the picture allows none.

    Args:
        picture: of render_crowd.
        kind: one of CROWD_KINDS.
        rng: chooses among the possible questions and wordings.
    """
    content = _MAKERS[kind](picture.things, rng)
    if content is None:
        return None
    patches = tuple(sorted({patch for thing in content.holders for patch in thing.patches}))
    return Question(content.text, content.answer, kind, patches)


def find_center(thing: Thing) -> tuple[float, float]:
    """Return the centre (x, y) of a thing in pixels."""
    left, top, right, bottom = thing.box
    return (left + right) / 2, (top + bottom) / 2


def measure_size(thing: Thing) -> int:
    """Return the longer side of a thing in pixels."""
    left, top, right, bottom = thing.box
    return max(right - left, bottom - top)


def measure_gap(one: Thing, other: Thing) -> float:
    """Return the distance between the boxes of two things in pixels, 0 where they touch."""
    across = max(one.box[0] - other.box[2], other.box[0] - one.box[2], 0)
    down = max(one.box[1] - other.box[3], other.box[1] - one.box[3], 0)
    return float(np.hypot(across, down))


def list_references(things: Sequence[Thing]) -> list[tuple[str, Thing]]:
    """Return every name that fits exactly one thing, with it: "the car", "the red car", "the small car"."""
    groups: dict[str, list[Thing]] = {}
    for thing in things:
        groups.setdefault(thing.kind, []).append(thing)
        groups.setdefault(f"{thing.color} {thing.kind}", []).append(thing)
    references = []
    for name, group in groups.items():
        if len(group) == 1:
            references.append((f"the {name}", group[0]))
        elif len(group) == 2:
            small, big = sorted(group, key=measure_size)
            if measure_size(big) >= BIG_AND_SMALL * measure_size(small):
                references += [(f"the big {name}", big), (f"the small {name}", small)]
    return references


def find_neighbor(thing: Thing, relation: str, things: Sequence[Thing]) -> Thing | None:
    """Return the one thing that clearly lies directly on a side of a thing, or next to it.

    Returns:
        None if there is none, or if several could be meant.
    """
    others = [other for other in things if other is not thing]
    if relation == "next to":
        ranked = sorted((measure_gap(thing, other), index) for index, other in enumerate(others))
        limit = BESIDE
    else:
        offsets = [(_measure_side(thing, other, relation), index) for index, other in enumerate(others)]
        ranked = sorted((gap, index) for gap, index in offsets if gap is not None)
        limit = REACH
    if not ranked or ranked[0][0] > limit:
        return None
    if len(ranked) > 1 and ranked[1][0] < ranked[0][0] + CLEARLY_NEARER:
        return None
    nearest = others[ranked[0][1]]
    if relation != "next to" and not _is_level(thing, nearest, relation):
        return None
    return nearest


def _measure_side(thing: Thing, other: Thing, relation: str) -> float | None:
    """Return how far another thing lies from the edge of a thing on a side; None if it does not lie there.

    What overlaps the strip on that side at all counts: a doubtful neighbour makes the question doubtful.
    """
    axis = 0 if relation in ("left of", "right of") else 1
    across = 1 - axis
    if other.box[across] >= thing.box[across + 2] or other.box[across + 2] <= thing.box[across]:
        return None
    if relation in ("left of", "above"):
        ahead = find_center(other)[axis] < find_center(thing)[axis]
        gap = thing.box[axis] - other.box[axis + 2]
    else:
        ahead = find_center(other)[axis] > find_center(thing)[axis]
        gap = other.box[axis] - thing.box[axis + 2]
    return float(max(gap, 0)) if ahead else None


def _is_level(thing: Thing, other: Thing, relation: str) -> bool:
    """Return whether two things face each other by half of the shorter one's side, and barely overlap."""
    axis = 0 if relation in ("left of", "right of") else 1
    across = 1 - axis
    start = max(thing.box[across], other.box[across])
    end = min(thing.box[across + 2], other.box[across + 2])
    shorter = min(one.box[across + 2] - one.box[across] for one in (thing, other))
    overlap = min(thing.box[axis + 2], other.box[axis + 2]) - max(thing.box[axis], other.box[axis])
    return end - start >= 0.5 * shorter and overlap <= 6


def judge_relation(one: Thing, relation: str, other: Thing) -> bool | None:
    """Return whether one thing lies at a place relative to another; None if that is not clear."""
    if relation == "next to":
        gap = measure_gap(one, other)
        if gap <= BESIDE:
            return True
        return False if gap >= APART else None
    (x, y), (other_x, other_y) = find_center(one), find_center(other)
    ahead = {"left of": other_x - x, "right of": x - other_x, "above": other_y - y, "below": y - other_y}[
        relation
    ]
    return None if abs(ahead) < FAR else ahead > 0


def find_cell(thing: Thing) -> str | None:
    """Return which of the nine parts of the picture holds the centre of a thing; None near their borders."""
    x, y = find_center(thing)
    third = SIZE / 3
    if any(abs(place - border) < CELL_MARGIN for place in (x, y) for border in (third, 2 * third)):
        return None
    return CELLS[int(y // third)][int(x // third)]


def _pick(items: Sequence, rng: np.random.Generator):
    """Return a random item, None if there is none."""
    return items[int(rng.integers(len(items)))] if items else None


def _word_reference(reference: str, rng: np.random.Generator) -> str:
    """Replace "big" and "small" by one of their synonyms."""
    words = reference.split()
    return " ".join(choose_synonym(SIZE_WORDS[word], rng) if word in SIZE_WORDS else word for word in words)


def _list_groups(things: Sequence[Thing], rng: np.random.Generator) -> list[_Group]:
    """Return all that a plural can name: every kind, every colour, every colour and kind that occur."""
    word = choose_synonym(THING_WORDS, rng)
    groups: dict[str, list[Thing]] = {}
    for thing in things:
        for name in (
            pluralise(thing.kind),
            f"{thing.color} {word}",
            f"{thing.color} {pluralise(thing.kind)}",
        ):
            groups.setdefault(name, []).append(thing)
    return [_Group(name, tuple(group)) for name, group in groups.items()]


def _list_absent_names(things: Sequence[Thing]) -> list[tuple[str, str]]:
    """Return (colour, kind) pairs of which both occur in the picture, but not on one thing."""
    there = {(thing.color, thing.kind) for thing in things}
    colors = sorted({color for color, _ in there})
    kinds = sorted({kind for _, kind in there})
    return [(color, kind) for color in colors for kind in kinds if (color, kind) not in there]


def _choose_neighbor(things: Sequence[Thing], rng: np.random.Generator) -> _Neighbor | None:
    """Choose a thing with a name and a relation for which exactly one other thing is the answer."""
    references = list_references(things)
    # Above and below are as frequent as left and right.
    for relation in rng.permutation(["left of", "right of", "above", "below", "next to"]):
        for index in rng.permutation(len(references)):
            reference, thing = references[int(index)]
            neighbor = find_neighbor(thing, str(relation), things)
            if neighbor is not None and neighbor.kind != thing.kind:
                return _Neighbor(reference, str(relation), thing, neighbor)
    return None


class _Neighbor(NamedTuple):
    """Hold a thing with its name and the thing that lies at a place relative to it."""

    reference: str
    relation: str
    thing: Thing
    neighbor: Thing


def _ask_what(things: Sequence[Thing], rng: np.random.Generator) -> _Content | None:
    found = _choose_neighbor(things, rng)
    if found is None:
        return None
    text = phrase(f"what {found.relation}", rng, ref=_word_reference(found.reference, rng))
    return _Content(text, found.neighbor.kind, (found.thing, found.neighbor))


def _ask_color(things: Sequence[Thing], rng: np.random.Generator) -> _Content | None:
    if rng.random() < 0.4:
        found = _choose_neighbor(things, rng)
        if found is not None:
            relation = choose_synonym(RELATION_WORDS[found.relation], rng)
            place = f"the thing {relation} {_word_reference(found.reference, rng)}"
            return _Content(
                phrase("color", rng, ref=place), found.neighbor.color, (found.thing, found.neighbor)
            )
    plain = [found for found in list_references(things) if found[1].color not in found[0].split()]
    found = _pick(plain, rng)
    if found is None:
        return None
    reference, thing = found
    return _Content(phrase("color", rng, ref=_word_reference(reference, rng)), thing.color, (thing,))


def _ask_count(things: Sequence[Thing], rng: np.random.Generator) -> _Content | None:
    wanted = int(rng.integers(MAX_COUNT + 1))
    if wanted == 0:
        group = _choose_absent_group(things, rng)
    else:
        groups = [group for group in _list_groups(things, rng) if len(group.things) <= MAX_COUNT]
        # The nearest number that the picture allows, so that large numbers are not rare.
        nearest = min(abs(len(group.things) - wanted) for group in groups)
        group = _pick([group for group in groups if abs(len(group.things) - wanted) == nearest], rng)
    if group is None:
        return None
    return _Content(phrase("count", rng, group=group.name), NUMBER_WORDS[len(group.things)], group.things)


def _choose_absent_group(things: Sequence[Thing], rng: np.random.Generator) -> _Group | None:
    """Return a plural that names nothing in the picture: mostly of a kind and a colour that both occur."""
    pairs = _list_absent_names(things)
    kinds = sorted(set(THING_KINDS) - {thing.kind for thing in things})
    colors = sorted(set(THING_COLORS) - {thing.color for thing in things})
    chance = rng.random()
    if pairs and chance < 0.6:
        color, kind = _pick(pairs, rng)
        return _Group(f"{color} {pluralise(kind)}", ())
    if colors and chance < 0.75:
        return _Group(f"{_pick(colors, rng)} {choose_synonym(THING_WORDS, rng)}", ())
    return _Group(pluralise(_pick(kinds, rng)), ()) if kinds else None


def _ask_sum(things: Sequence[Thing], rng: np.random.Generator) -> _Content | None:
    pairs = []
    groups = _list_groups(things, rng)
    for one, other in permutations(groups, 2):
        total = len(one.things) + len(other.things)
        if total <= MAX_COUNT and _are_alike(one, other) and _are_disjoint(one, other):
            pairs.append((total, one, other))
    if not pairs:
        return None
    wanted = int(rng.integers(2, MAX_COUNT + 1))
    nearest = min(abs(total - wanted) for total, _, _ in pairs)
    total, one, other = _pick([pair for pair in pairs if abs(pair[0] - wanted) == nearest], rng)
    text = phrase("sum", rng, group=one.name, other=other.name)
    return _Content(text, NUMBER_WORDS[total], one.things + other.things)


def _are_alike(one: _Group, other: _Group) -> bool:
    """Return whether two names are made alike: two kinds, two colours, or a colour and a kind each."""
    first, second = one.name.split(), other.name.split()
    if len(first) != len(second):
        return False
    return len(first) == 1 or (first[1] in THING_WORDS) == (second[1] in THING_WORDS)


def _are_disjoint(one: _Group, other: _Group) -> bool:
    identities = {id(thing) for thing in one.things}
    return all(id(thing) not in identities for thing in other.things)


def _ask_position(things: Sequence[Thing], rng: np.random.Generator) -> _Content | None:
    places = [(reference, thing, find_cell(thing)) for reference, thing in list_references(things)]
    places = [place for place in places if place[2]]
    if not places:
        return None
    # Every part of the picture that holds something is equally likely.
    cell = _pick(sorted({place[2] for place in places}), rng)
    reference, thing, _ = _pick([place for place in places if place[2] == cell], rng)
    key = "corner" if " " in cell and rng.random() < 0.3 else "position"
    return _Content(phrase(key, rng, ref=_word_reference(reference, rng)), cell, (thing,))


def _ask_relation(things: Sequence[Thing], rng: np.random.Generator) -> _Content | None:
    wanted = bool(rng.random() < 0.5)
    relation = str(rng.choice([*RELATIONS, "next to"]))
    references = list_references(things)
    pairs = [
        (one, other)
        for one, other in permutations(references, 2)
        if one[1] is not other[1] and judge_relation(one[1], relation, other[1]) is wanted
    ]
    found = _pick(pairs, rng)
    if found is None:
        return None
    (reference, thing), (other_reference, other) = found
    text = phrase(
        "relation",
        rng,
        ref=_word_reference(reference, rng),
        relation=choose_synonym(RELATION_WORDS[relation], rng),
        other=_word_reference(other_reference, rng),
    )
    return _Content(text, "yes" if wanted else "no", (thing, other))


def _ask_existence(things: Sequence[Thing], rng: np.random.Generator) -> _Content | None:
    if rng.random() < 0.5:
        like = _pick(things, rng)
        by_kind = rng.random() < 0.3
        holders = [
            thing for thing in things if thing.kind == like.kind and (by_kind or thing.color == like.color)
        ]
        color = "" if by_kind else like.color
        return _Content(_phrase_existence(color, like.kind, rng), "yes", holders)
    pairs = _list_absent_names(things)
    kinds = sorted(set(THING_KINDS) - {thing.kind for thing in things})
    if pairs and (rng.random() < 0.7 or not kinds):
        color, kind = _pick(pairs, rng)
    elif kinds:
        color, kind = "", _pick(kinds, rng)
    else:
        return None
    return _Content(_phrase_existence(color, kind, rng), "no", ())


def _phrase_existence(color: str, kind: str, rng: np.random.Generator) -> str:
    name = f"{color} {kind}".strip()
    return phrase("existence", rng, one=add_article(name), group=f"{color} {pluralise(kind)}".strip())


def _ask_only(things: Sequence[Thing], rng: np.random.Generator) -> _Content | None:
    """Ask for the only thing of a colour, the odd one out of a kind, or the only one on a side of a thing."""
    makers = [_ask_only_color, _ask_odd_one_out, _ask_only_where]
    for index in rng.permutation(len(makers)):
        content = makers[int(index)](things, rng)
        if content is not None:
            return content
    return None


def _ask_only_color(things: Sequence[Thing], rng: np.random.Generator) -> _Content | None:
    counts = Counter(thing.color for thing in things)
    thing = _pick([thing for thing in things if counts[thing.color] == 1], rng)
    if thing is None:
        return None
    return _Content(phrase("only color", rng, color=thing.color), thing.kind, (thing,))


def _ask_odd_one_out(things: Sequence[Thing], rng: np.random.Generator) -> _Content | None:
    found = []
    for kind in sorted({thing.kind for thing in things}):
        group = [thing for thing in things if thing.kind == kind]
        colors = Counter(thing.color for thing in group)
        if len(colors) == 2 and len(group) >= 3:
            (common, _), (odd, number) = colors.most_common()
            if number == 1:
                found.append((kind, common, odd, group))
    choice = _pick(found, rng)
    if choice is None:
        return None
    kind, common, odd, group = choice
    text = phrase("only other", rng, kind=kind, group=pluralise(kind), color=common)
    return _Content(text, odd, group)


def _ask_only_where(things: Sequence[Thing], rng: np.random.Generator) -> _Content | None:
    references = list_references(things)
    kinds = Counter(thing.kind for thing in things)
    found = []
    for kind in sorted(kind for kind, number in kinds.items() if number >= 2):
        group = [thing for thing in things if thing.kind == kind]
        for reference, other in references:
            if other.kind == kind:
                continue
            for relation in RELATIONS:
                verdicts = [judge_relation(thing, relation, other) for thing in group]
                if None not in verdicts and sum(map(bool, verdicts)) == 1:
                    found.append((kind, relation, reference, other, group, verdicts.index(True)))
    choice = _pick(found, rng)
    if choice is None:
        return None
    kind, relation, reference, other, group, index = choice
    text = phrase(
        "only where",
        rng,
        kind=kind,
        relation=choose_synonym(RELATION_WORDS[relation], rng),
        other=_word_reference(reference, rng),
    )
    return _Content(text, group[index].color, [*group, other])


def _ask_compare(things: Sequence[Thing], rng: np.random.Generator) -> _Content | None:
    way = str(rng.choice(["more", "more", "fewer", "equal"]))
    wanted = bool(rng.random() < 0.5)
    pairs = []
    for one, other in permutations(_list_groups(things, rng), 2):
        if not (_are_alike(one, other) and _are_disjoint(one, other)):
            continue
        difference = len(one.things) - len(other.things)
        holds = {"more": difference > 0, "fewer": difference < 0, "equal": difference == 0}[way]
        # A group of one thing on both sides would be too easy.
        if holds is wanted and max(len(one.things), len(other.things)) >= 2:
            pairs.append((abs(difference), one, other))
    # Close calls are preferred.
    close = [pair for pair in pairs if pair[0] <= 2]
    found = _pick(close if close and rng.random() < 0.7 else pairs, rng)
    if found is None:
        return None
    _, one, other = found
    text = phrase(f"compare {way}", rng, group=one.name, other=other.name)
    return _Content(text, "yes" if wanted else "no", one.things + other.things)


def _ask_extreme(things: Sequence[Thing], rng: np.random.Generator) -> _Content | None:
    """Ask for the colour of the first of its kind, or the kind of the first of its colour."""
    by_kind = bool(rng.random() < 0.6)
    groups: dict[str, list[Thing]] = {}
    for thing in things:
        groups.setdefault(thing.kind if by_kind else thing.color, []).append(thing)
    names = [
        name
        for name, group in sorted(groups.items())
        if len({thing.color if by_kind else thing.kind for thing in group}) > 1
    ]
    for most in rng.permutation(list(MOST_WORDS)):
        firsts = [(name, find_extreme(groups[name], str(most))) for name in names]
        choice = _pick([(name, first) for name, first in firsts if first is not None], rng)
        if choice is None:
            continue
        name, first = choice
        word = choose_synonym(MOST_WORDS[str(most)], rng)
        if by_kind:
            return _Content(phrase("extreme kind", rng, most=word, kind=name), first.color, groups[name])
        return _Content(phrase("extreme color", rng, most=word, color=name), first.kind, groups[name])
    return None


def find_extreme(group: Sequence[Thing], most: str) -> Thing | None:
    """Return the thing that is clearly the first of a group, None if that is not clear.

    The largest has the longest side and the largest box; the highest has the highest centre and upper edge.

    Args:
        group: at least two things.
        most: a name of MOST_WORDS.
    """
    if most in ("biggest", "smallest"):
        sign = -1 if most == "biggest" else 1
        leading = _first_by_ratio(group, measure_size, sign)
        return leading if leading is _first_by_ratio(group, _measure_area, sign) else None
    axis = 0 if most in ("leftmost", "rightmost") else 1
    sign = 1 if most in ("leftmost", "highest") else -1
    edge = axis if sign == 1 else axis + 2
    ranked = sorted(group, key=lambda thing: sign * find_center(thing)[axis])
    ahead = sign * (find_center(ranked[1])[axis] - find_center(ranked[0])[axis])
    edge_ahead = min(sign * (thing.box[edge] - ranked[0].box[edge]) for thing in ranked[1:])
    return ranked[0] if ahead >= CLEARLY_FIRST and edge_ahead >= CLEARLY_OUTSIDE else None


def _first_by_ratio(group: Sequence[Thing], measure: Callable[[Thing], int], sign: int) -> Thing | None:
    """Return the thing of the smallest measure (sign 1) or the largest (-1), None if the second is close."""
    ranked = sorted(group, key=lambda thing: sign * measure(thing))
    first, second = measure(ranked[0]), measure(ranked[1])
    return ranked[0] if max(first, second) >= CLEARLY_LARGER * min(first, second) else None


def _measure_area(thing: Thing) -> int:
    """Return the area of the box of a thing in pixels."""
    left, top, right, bottom = thing.box
    return (right - left) * (bottom - top)


_MAKERS: dict[str, Callable[[Sequence[Thing], np.random.Generator], _Content | None]] = {
    "what": _ask_what,
    "color": _ask_color,
    "count": _ask_count,
    "sum": _ask_sum,
    "position": _ask_position,
    "relation": _ask_relation,
    "existence": _ask_existence,
    "only": _ask_only,
    "compare": _ask_compare,
    "extreme": _ask_extreme,
}
