"""What happens in a clip is what its plan says, frame by frame, and nothing touches."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from world.render.clip_plans import DIRECTIONS, MIN_FRAMES_APART, MIN_STEPS, N_FRAMES, plan_clip
from world.render.scenes import COLORS, GRID_SIZE, IMAGE_SIZE, N_PATCHES, PATCH_SIZE, SHAPES

SEEDS = range(200)


@pytest.fixture(scope="module")
def plans():
    return [plan_clip(seed) for seed in SEEDS]


def test_a_seed_is_a_plan(plans):
    assert plan_clip(7).actors == plans[7].actors
    assert len({p.actors for p in plans}) == len(plans)
    with pytest.raises(ValueError, match="seed=-1 is negative"):
        plan_clip(-1)


def test_two_to_four_shapes_of_different_forms_of_which_one_or_two_move(plans):
    counts = set()
    for plan in plans:
        forms = [a.shape for a in plan.actors]
        assert len(set(forms)) == len(forms)
        counts.add((len(forms), sum(bool(a.direction) for a in plan.actors)))
    assert {n for n, _ in counts} == {2, 3, 4}
    assert {moving for _, moving in counts} == {1, 2}


def test_a_shape_moves_clearly_in_its_direction_and_by_whole_patches(plans):
    for plan in plans:
        for a in plan.actors:
            steps = np.diff(a.track, axis=0)
            way = np.array(DIRECTIONS.get(a.direction, (0, 0))) * PATCH_SIZE
            assert all((s == way).all() or not s.any() for s in steps)
            moved = int(np.any(steps, axis=1).sum())
            assert moved >= MIN_STEPS if a.direction else moved == 0


def test_patches_follow_the_shape_and_end_with_it(plans):
    for plan in plans:
        for a in plan.actors:
            for t in range(N_FRAMES):
                assert bool(a.patches[t]) == a.visible[t]
                if a.visible[t]:
                    x, y = a.track[t]
                    assert y // PATCH_SIZE * GRID_SIZE + x // PATCH_SIZE in a.patches[t]
                    assert all(a.radius <= v <= IMAGE_SIZE - a.radius for v in (x, y))
            stretch = np.flatnonzero(a.visible)
            assert (np.diff(stretch) == 1).all() and len(stretch) > 1


def test_shapes_never_touch(plans):
    for plan in plans:
        for a, b in combinations(plan.actors, 2):
            for p, q in zip(a.track, b.track, strict=True):
                assert math.dist(p, q) > a.radius + b.radius


def test_events_happen_and_can_be_told_apart(plans):
    late = [[a.first_frame for a in p.actors if a.first_frame] for p in plans]
    assert all(abs(s - t) >= MIN_FRAMES_APART for firsts in late for s, t in combinations(firsts, 2))
    assert 0.4 < np.mean([bool(firsts) for firsts in late]) < 0.9
    assert 0.05 < np.mean([any(not a.visible[-1] for a in p.actors) for p in plans]) < 0.6
    changing = [[a for a in p.actors if a.changes_color] for p in plans]
    assert {len(c) for c in changing} == {0, 1}
    for a in (a for c in changing for a in c):
        assert all(a.visible)
        assert a.colors[0] != a.colors[-1] and len(set(a.colors)) == 2


def test_rows_are_those_of_a_bank_of_scenes(plans):
    for plan in plans[:40]:
        attributes, owner = plan.to_attributes(), plan.to_owner()
        assert owner.shape == (N_FRAMES, N_PATCHES)
        for j, a in enumerate(plan.actors):
            for t in range(N_FRAMES):
                said = attributes[t, j].tolist()
                if a.visible[t]:
                    color, form, digit, x, y, radius = said
                    assert (list(COLORS)[color], SHAPES[form], digit) == (a.colors[t], a.shape, 0)
                    assert ((x, y), radius) == (a.track[t], a.radius)
                else:
                    assert set(said) == {-1}
                assert np.flatnonzero(owner[t] == j).tolist() == list(a.patches[t])
        assert (attributes[:, len(plan.actors) :] == -1).all()


def test_tokens_of_a_clip_have_one_index(plans):
    a = plans[0].actors[0]
    assert a.token_indices([2]) == [2 * N_PATCHES + p for p in a.patches[2]]
    assert a.token_indices() == [i for t in range(N_FRAMES) for i in a.token_indices([t])]
