"""Render crowded scenes of everyday things, with the ground truth of every patch.

Things are small, overlap a little, and come with near-duplicates: the same kind in another colour, another
kind in the same colour, and the same again in another size.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .backdrops import paint_backdrop
from .pictures import GRID, MIN_COVER, N_PATCHES, NOTHING, PATCH, SIZE, Picture, Thing
from .scenes import COLORS
from .things import THING_COLORS, THING_KINDS, make_sprite

MIN_THINGS = 8
MAX_THINGS = 40
SIZES = (20, 64)  # pixels of the longer side, the smallest and the largest; all sizes are even
COMMON_SIZES = (24, 44)  # most things lie in this range
MAX_HIDDEN = 0.3  # of any thing, at most
TURNS = (-10, -5, 0, 0, 5, 10)  # degrees
_TRIES = 40  # places tried for one thing before the picture counts as full
# Colours without a hue are chosen half as often: they stand out less.
_COLOR_POOL = (*COLORS, *THING_COLORS)
_SHADOW = 0.16  # how much darker the ground is under a thing

# Which patch a pixel belongs to, int64 [336 * 336].
_ROWS, _COLUMNS = np.divmod(np.arange(SIZE * SIZE), SIZE)
_PATCH_OF_PIXEL = _ROWS // PATCH * GRID + _COLUMNS // PATCH


class Plan(NamedTuple):
    """Hold what a thing shall be, before it has a place."""

    kind: str
    color: str
    size: int


class _Placed(NamedTuple):
    """Hold a thing at its place; `flipped` and `turn` are arguments of make_sprite."""

    plan: Plan
    flipped: bool
    turn: int
    left: int
    top: int


def render_crowd(seed: int) -> Picture:
    """Render the crowded scene of a seed, a whole number of at least 0; equal seeds give equal pixels.

    Raises:
        ValueError: the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed={seed} is negative; choose a whole number of at least 0")
    rng = np.random.default_rng(seed)
    canvas = paint_backdrop(rng)
    placed, front = _place_things(_plan_things(rng), rng)
    for one in placed:
        _paint_thing(canvas, one, rng)
    pixels = np.clip(canvas, 0, 255).astype(np.uint8)
    shares = visible_shares(front, len(placed))
    things = []
    for index, one in enumerate(placed):
        height, width = _sprite(one).mask.shape
        box = (one.left, one.top, one.left + width, one.top + height)
        share = shares[:, index]
        # A thin thing across the corner of four patches has none by that rule; the best of them shows it.
        patches = tuple(np.flatnonzero(share >= min(MIN_COVER, share.max())).tolist())
        things.append(Thing(one.plan.kind, one.plan.color, "", box, patches))
    best = shares.argmax(axis=1)
    owner = np.where(shares.max(axis=1) >= MIN_COVER, best, NOTHING).astype(np.int16)
    return Picture("crowd", seed, pixels, tuple(things), owner, ("",) * N_PATCHES)


def visible_shares(front: np.ndarray, count: int) -> np.ndarray:
    """Return how much of each patch each thing visibly covers.

    Args:
        front: int16 [336, 336], the index of the thing that each pixel shows, NOTHING for none.
        count: of the things.

    Returns:
        float64 [576, count] in [0, 1].
    """
    cells = _PATCH_OF_PIXEL * (count + 1) + front.reshape(-1) + 1
    counts = np.bincount(cells, minlength=N_PATCHES * (count + 1)).reshape(N_PATCHES, count + 1)
    return counts[:, 1:] / (PATCH * PATCH)


def _plan_things(rng: np.random.Generator) -> list[Plan]:
    """Choose what a picture shows: a few kinds and colours in number, near-duplicates, and single things."""
    count = int(rng.integers(MIN_THINGS, MAX_THINGS + 1))
    kinds = [str(kind) for kind in rng.permutation(THING_KINDS)]
    colors = [str(color) for color in rng.permutation(_COLOR_POOL)]
    plans: list[Plan] = []
    # Groups of one kind, mostly in two or three colours that recur all over the picture.
    common = colors[: int(rng.integers(2, 5))]
    for kind in kinds[: int(rng.integers(1, 4))]:
        for _ in range(int(rng.integers(2, 10))):
            color = common[int(rng.integers(len(common)))]
            plans.append(Plan(kind, color, _choose_size(rng)))
    plans = plans[: round(0.7 * count)]
    while len(plans) < count:
        chance = rng.random()
        like = plans[int(rng.integers(len(plans)))]
        kind = kinds[int(rng.integers(len(kinds)))]
        color = colors[int(rng.integers(len(colors)))]
        if chance < 0.25:
            plans.append(Plan(like.kind, color, like.size))
        elif chance < 0.5:
            plans.append(Plan(kind, like.color, like.size))
        elif chance < 0.62:
            plans.append(Plan(like.kind, like.color, _choose_other_size(like.size, rng)))
        else:
            plans.append(Plan(kind, color, _choose_size(rng)))
    # Large things find a place more easily first.
    order = sorted(rng.permutation(count).tolist(), key=lambda index: -(plans[index].size // 12))
    return [plans[index] for index in order]


def _choose_size(rng: np.random.Generator) -> int:
    low, high = SIZES if rng.random() < 0.25 else COMMON_SIZES
    return _draw_even(low, high, rng)


def _choose_other_size(size: int, rng: np.random.Generator) -> int:
    """Return a size that is clearly larger or smaller: by a factor of at least 1.6."""
    larger = (math.ceil(size * 1.6), SIZES[1])
    smaller = (SIZES[0], math.floor(size / 1.6))
    options = [(low, high) for low, high in (larger, smaller) if high - low >= 1]
    low, high = options[int(rng.integers(len(options)))]
    return _draw_even(low, high, rng)


def _draw_even(low: int, high: int, rng: np.random.Generator) -> int:
    """Return a random even number from `low` to `high`: fewer sizes, so that more sprites are at hand."""
    return 2 * int(rng.integers(math.ceil(low / 2), high // 2 + 1))


def _place_things(plans: list[Plan], rng: np.random.Generator) -> tuple[list[_Placed], np.ndarray]:
    """Find a place for each thing, later ones in front; what finds none is left out.

    Returns:
        The things, and int16 [336, 336] which of them each pixel shows.
    """
    front = np.full((SIZE, SIZE), NOTHING, dtype=np.int16)
    placed: list[_Placed] = []
    totals: list[int] = []
    shown: list[int] = []
    for plan in plans:
        may_overlap = rng.random() < 0.35
        flipped = bool(rng.random() < 0.5)
        turn = int(rng.choice(TURNS))
        mask = make_sprite(plan.kind, plan.size, flipped, turn).mask
        height, width = mask.shape
        total = int(mask.sum())
        for attempt in range(_TRIES):
            left = int(rng.integers(2, SIZE - width - 1))
            top = int(rng.integers(2, SIZE - height - 1))
            window = front[top : top + height, left : left + width]
            covered = window[mask]
            hidden = np.bincount(covered[covered != NOTHING], minlength=len(placed))
            below = np.flatnonzero(hidden)
            touches = len(below) > 0
            if any(placed[index].plan.color == plan.color for index in below):
                continue
            if touches and not may_overlap and attempt < _TRIES // 2:
                continue
            left_over = np.array(shown, dtype=np.int64) - hidden[: len(shown)]
            if touches and (left_over < (1 - MAX_HIDDEN) * np.array(totals)).any():
                continue
            candidate = front.copy() if touches else front
            candidate[top : top + height, left : left + width][mask] = len(placed)
            front = candidate
            shown = [int(value) for value in left_over]
            totals.append(total)
            shown.append(total)
            placed.append(_Placed(plan, flipped, turn, left, top))
            break
    return placed, front


def _sprite(one: _Placed):
    return make_sprite(one.plan.kind, one.plan.size, one.flipped, one.turn)


def _paint_thing(canvas: np.ndarray, one: _Placed, rng: np.random.Generator) -> None:
    """Paint a thing with a short shadow below it."""
    sprite = _sprite(one)
    height, width = sprite.mask.shape
    drop = max(1, one.plan.size // 20)
    ground = canvas[one.top + drop : one.top + drop + height, one.left + drop : one.left + drop + width]
    ground *= 1 - _SHADOW * sprite.alpha[: ground.shape[0], : ground.shape[1]]
    tint = np.array(THING_COLORS[one.plan.color]) + rng.normal(0, 5, 3)
    window = canvas[one.top : one.top + height, one.left : one.left + width]
    sprite.paint(window, np.clip(tint, 0, 255).astype(np.float32))
