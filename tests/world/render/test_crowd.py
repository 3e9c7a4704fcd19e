"""Crowded scenes show what their record says, patch by patch."""

from __future__ import annotations

import time
from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from world.render import crowd
from world.render.backdrops import paint_backdrop
from world.render.crowd import COMMON_SIZES, MAX_HIDDEN, MAX_THINGS, MIN_THINGS, SIZES, render_crowd
from world.render.pictures import GRID, MIN_COVER, N_PATCHES, NOTHING, PATCH, SIZE
from world.render.things import THING_COLORS, THING_KINDS, make_sprite

SEEDS = range(40)


@pytest.fixture(scope="module")
def pictures():
    return [render_crowd(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def layouts():
    """Return, for some seeds, the picture and where its things were placed."""
    recorded = []
    original = crowd._place_things

    def record(plans, rng):
        placed, front = original(plans, rng)
        recorded.append(placed)
        return placed, front

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crowd, "_place_things", record)
        drawn = [render_crowd(seed) for seed in range(8)]
    return list(zip(drawn, recorded, strict=True))


def paint_indices(placed) -> np.ndarray:
    """Return which thing each pixel shows, found by laying one thing over the other."""
    shown = np.full((SIZE, SIZE), NOTHING)
    for index, one in enumerate(placed):
        mask = make_sprite(one.plan.kind, one.plan.size, one.flipped, one.turn).mask
        for y, x in np.argwhere(mask):
            shown[one.top + y, one.left + x] = index
    return shown


def test_a_seed_is_a_picture(pictures):
    again = render_crowd(7)
    assert np.array_equal(again.pixels, pictures[7].pixels)
    assert again.things == pictures[7].things
    assert np.array_equal(again.owner, pictures[7].owner)
    assert not np.array_equal(pictures[8].pixels, pictures[7].pixels)
    assert (again.kind, again.seed) == ("crowd", 7)
    assert again.image.size == (SIZE, SIZE)
    assert set(again.glyphs) == {""}
    with pytest.raises(ValueError, match="seed=-1 is negative"):
        render_crowd(-1)


def test_eight_to_forty_things_of_known_kinds_and_colours(pictures):
    counts = [len(picture.things) for picture in pictures]
    assert min(counts) >= MIN_THINGS - 1
    assert max(counts) <= MAX_THINGS
    assert max(counts) - min(counts) > 20
    things = [thing for picture in pictures for thing in picture.things]
    assert {thing.kind for thing in things} == set(THING_KINDS)
    assert {thing.color for thing in things} == set(THING_COLORS)
    assert {thing.text for thing in things} == {""}


def test_most_things_are_small(pictures):
    boxes = np.array([thing.box for picture in pictures for thing in picture.things])
    sizes = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    assert sizes.min() >= SIZES[0]
    assert sizes.max() <= SIZES[1]
    assert sizes.max() / sizes.min() >= 3
    assert np.mean((sizes >= COMMON_SIZES[0]) & (sizes <= COMMON_SIZES[1])) > 0.6
    assert boxes.min() >= 0
    assert boxes.max() <= SIZE
    patches = [len(thing.patches) for picture in pictures for thing in picture.things]
    assert min(patches) >= 1
    assert np.mean([number <= 9 for number in patches]) > 0.8


def test_patches_and_owners_are_what_the_pixels_show(layouts):
    for picture, placed in layouts:
        shown = paint_indices(placed)
        owner = np.full(N_PATCHES, NOTHING)
        patches = [[] for _ in placed]
        for patch in range(N_PATCHES):
            row, column = divmod(patch, GRID)
            window = shown[row * PATCH : (row + 1) * PATCH, column * PATCH : (column + 1) * PATCH]
            counts = [int((window == index).sum()) for index in range(len(placed))]
            for index, count in enumerate(counts):
                if count >= MIN_COVER * PATCH * PATCH:
                    patches[index].append(patch)
            if max(counts) >= MIN_COVER * PATCH * PATCH:
                owner[patch] = int(np.argmax(counts))
        assert picture.owner.tolist() == owner.tolist()
        assert [list(thing.patches) for thing in picture.things] == patches


def test_little_of_a_thing_is_hidden(layouts):
    some_hidden = False
    for _, placed in layouts:
        shown = paint_indices(placed)
        for index, one in enumerate(placed):
            total = make_sprite(one.plan.kind, one.plan.size, one.flipped, one.turn).mask.sum()
            visible = (shown == index).sum()
            assert visible >= (1 - MAX_HIDDEN) * total
            some_hidden |= bool(visible < total)
    assert some_hidden


def test_patches_of_a_thing_carry_its_colour(pictures):
    hits = []
    for picture in pictures:
        by_patch = (
            picture.pixels.reshape(GRID, PATCH, GRID, PATCH, 3).swapaxes(1, 2).reshape(N_PATCHES, -1, 3)
        )
        for thing in picture.things:
            pixels = by_patch[list(thing.patches)].reshape(-1, 3).astype(float)
            # In full light, in the shade of the lower edge, and in the dark paint.
            shades = [np.array(THING_COLORS[thing.color]) * light for light in (1.05, 0.9, 0.68)]
            near = np.min([np.abs(pixels - shade).max(axis=1) for shade in shades], axis=0) < 32
            hits.append(near.mean() > 0.1)
    assert np.mean(hits) > 0.99


def test_near_duplicates_differ_in_one_attribute(pictures):
    found = Counter()
    for picture in pictures:
        kinds = set()
        for one, other in combinations(picture.things, 2):
            sizes = sorted(max(t.box[2] - t.box[0], t.box[3] - t.box[1]) for t in (one, other))
            if one.kind == other.kind and one.color != other.color:
                kinds.add("other color")
            elif one.kind != other.kind and one.color == other.color:
                kinds.add("other kind")
            elif one.kind == other.kind and sizes[1] >= 1.5 * sizes[0]:
                kinds.add("other size")
        found.update(kinds)
    assert found["other color"] > 0.8 * len(pictures)
    assert found["other kind"] > 0.8 * len(pictures)
    assert found["other size"] > 0.5 * len(pictures)


def test_backgrounds_are_muted_and_have_structure():
    for seed in range(30):
        canvas = paint_backdrop(np.random.default_rng(seed))
        assert canvas.shape == (SIZE, SIZE, 3)
        spread = canvas.max(axis=2) - canvas.min(axis=2)
        assert np.percentile(spread, 99) < 85
        rows = canvas.mean(axis=(1, 2))
        columns = canvas.mean(axis=(0, 2))
        assert max(np.ptp(rows), np.ptp(columns)) > 10
        assert canvas.min() > 20  # no unpainted corner


def test_a_picture_takes_milliseconds():
    for seed in range(100, 130):
        render_crowd(seed)
    start = time.process_time()
    for seed in range(100, 130):
        render_crowd(seed)
    assert (time.process_time() - start) / 30 < 0.08
