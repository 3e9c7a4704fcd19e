"""Rendered clips show what their plan says."""

from __future__ import annotations

import numpy as np
import pytest

from world import make_clip, render_clip
from world.render.clip_plans import N_FRAMES, plan_clip
from world.render.scenes import COLORS, GRID_SIZE, IMAGE_SIZE, MIN_COVER, PATCH_SIZE, mean_per_patch
from world.text.clip_questions import CLIP_KINDS

SEEDS = range(12)


@pytest.fixture(scope="module")
def clips():
    return [render_clip(seed) for seed in SEEDS]


def test_a_seed_is_a_clip(clips):
    assert np.array_equal(render_clip(3).frames, clips[3].frames)
    assert clips[3].plan.actors == plan_clip(3).actors
    assert len({c.frames.tobytes() for c in clips}) == len(clips)


def test_frames_of_the_model_s_size(clips):
    assert clips[0].frames.shape == (N_FRAMES, IMAGE_SIZE, IMAGE_SIZE, 3)
    assert [(image.mode, image.size) for image in clips[0].images] == [
        ("RGB", (IMAGE_SIZE, IMAGE_SIZE))
    ] * N_FRAMES


def test_every_shape_is_where_and_what_it_says_in_every_frame(clips):
    for clip in clips:
        for a in clip.plan.actors:
            for t in np.flatnonzero(a.visible):
                x, y = a.track[t]
                middle = clip.frames[t, y - 2 : y + 3, x - 2 : x + 3].mean((0, 1))
                nearest = min(COLORS, key=lambda c: np.abs(middle - COLORS[c]).sum())
                assert nearest == a.colors[t], (clip.seed, t, a)


def test_patches_are_those_that_change_when_a_shape_comes_or_goes(clips):
    """Measured on pixels: between two frames only what an actor left or entered differs beyond the grain."""
    checked = 0
    for clip in clips:
        for t in range(1, N_FRAMES):
            changed = np.abs(clip.frames[t].astype(int) - clip.frames[t - 1]).max(-1) > 60
            share = mean_per_patch(changed.astype(np.float32))
            moved = {
                p
                for a in clip.plan.actors
                for u in (t - 1, t)
                for p in a.patches[u]
                if a.patches[t] != a.patches[t - 1] or a.colors[t] != a.colors[t - 1]
            }
            clear = set(np.flatnonzero(share > MIN_COVER + 0.1).tolist())
            assert clear <= moved, (clip.seed, t, {divmod(p, GRID_SIZE) for p in clear - moved})
            checked += bool(clear)
    assert checked > len(clips)
    assert PATCH_SIZE * GRID_SIZE == IMAGE_SIZE


def test_nothing_moves_behind_the_shapes(clips):
    """Between frames the background differs by its grain alone."""
    for clip in clips:
        still = ~clip.plan.touched.any(0).reshape(GRID_SIZE, GRID_SIZE).repeat(PATCH_SIZE, 0).repeat(
            PATCH_SIZE, 1
        )
        means = clip.frames[:, still].astype(float).mean((1, 2))
        assert np.ptp(means) < 0.5


def test_a_clip_is_asked_each_kind_once_and_always_the_same():
    asked = make_clip(4)
    kinds = [q.kind for q in asked.questions]
    assert kinds == [kind for kind in CLIP_KINDS if kind in kinds]
    assert asked.questions == make_clip(4).questions
    assert len(asked.images) == N_FRAMES
