"""What is taught: every kind in the end, packer that are never empty, drops that leave every shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support import tiny_world
from world.render.clip_plans import N_FRAMES, plan_clip
from world.render.scenes import MAX_SHAPES, N_PATCHES
from world.text.clip_questions import CLIP_KINDS
from world.text.scene_questions import KINDS
from world.training.curriculum import (
    clip_curriculum,
    drop_clip_tokens,
    drop_tokens,
    sample_clip_questions,
    sample_questions,
    scene_curriculum,
)
from world.training.language_model import MAX_TEXTS


@pytest.mark.parametrize("k", [10, 30, N_PATCHES])
def test_dropping_keeps_k_places_and_every_shape(tmp_path, k):
    owner = torch.from_numpy(tiny_world.make_scene_store(tmp_path, 4).owner[:].astype(np.int64))
    lost = 0
    for seed in range(20):
        for keep_each in (True, False):
            keep = drop_tokens(owner, k, np.random.default_rng(seed), keep_each)
            assert keep.shape == (4, k)
            assert (keep[:, 1:] > keep[:, :-1]).all()  # sorted, none twice
            for row, chosen in zip(owner, keep, strict=True):
                missing = {j for j in range(MAX_SHAPES) if (row == j).any()} - set(row[chosen].tolist())
                assert not (keep_each and missing)
                lost += bool(missing)
    assert bool(lost) == (k < N_PATCHES)  # without it shapes do get lost, so it matters


def test_the_curriculum_ends_with_every_kind_and_fits_the_page():
    stages = [scene_curriculum(p) for p in (0.0, 0.3, 0.5, 0.76, 1.0)]
    shares, counts, kinds = zip(*stages, strict=True)
    assert set(kinds[0]) < set(kinds[1]) < set(KINDS)
    assert set(kinds[2]) == set(kinds[3]) == set(KINDS)
    assert kinds[2].count("relation") > len(kinds[2]) / 2  # the drill
    assert shares[0] > 0.5 > shares[-1] > 0
    assert max(counts) + 1 <= MAX_TEXTS


def test_a_page_is_never_empty():
    """A scene of twins has nothing to offer for look-ups: it is described instead."""
    twins = tiny_world.make_sketch(("red", "circle", "7", 40, 40), ("red", "circle", "3", 180, 180))
    rng = np.random.default_rng(0)
    assert [q.kind for q in sample_questions(twins, rng, 0.0, 3, ("color", "digit"))] == ["describe"]
    assert sample_questions(tiny_world.render_once(1), rng, 1.0, 3, KINDS)[0].kind == "describe"
    assert "describe" not in {q.kind for q in sample_questions(tiny_world.render_once(1), rng, 0.0, 3, KINDS)}


def test_the_clips_curriculum_ends_with_every_kind_and_fits_the_page():
    stages = [clip_curriculum(p) for p in (0.0, 0.2, 0.4, 1.0)]
    shares, counts, kinds = zip(*stages, strict=True)
    assert (
        "frame" in kinds[0] and "frame" not in kinds[3]
    )  # a help on the way that nobody is asked in the end
    assert {"direction", "order"}.isdisjoint({*kinds[0], *kinds[1]})
    assert sum(kind in ("direction", "order") for kind in kinds[2]) > len(kinds[2]) / 2  # the drill
    assert set(kinds[3]) == set(CLIP_KINDS)
    assert shares[0] > 0.5 > shares[-1] > 0
    assert max(counts) + 1 <= MAX_TEXTS


def test_a_clip_that_has_nothing_to_offer_is_described():
    rng, plan = np.random.default_rng(0), next(p for p in map(plan_clip, range(99)) if not any_late(p))
    assert [q.kind for q in sample_clip_questions(plan, rng, 0.0, 3, ("order",))] == ["describe"]
    assert sample_clip_questions(plan, rng, 1.0, 3, CLIP_KINDS)[0].kind == "describe"


def any_late(plan) -> bool:
    return any(a.first_frame for a in plan.actors)


@pytest.mark.parametrize("k", [40, 160, N_PATCHES * N_FRAMES])
@pytest.mark.parametrize("even", [True, False])
def test_dropping_of_clips_keeps_every_shape_in_every_frame(k, even):
    plans = [plan_clip(seed) for seed in range(6)]
    owner = torch.from_numpy(np.stack([p.to_owner() for p in plans]))
    keep = drop_clip_tokens(owner, k, np.random.default_rng(1), keep_each=True, even=even)
    assert keep.shape == (6, k)
    assert (keep[:, 1:] > keep[:, :-1]).all()
    counts = torch.stack([(keep // N_PATCHES == t).sum(1) for t in range(N_FRAMES)], dim=1)
    assert (counts == k // N_FRAMES).all() == (even or k == N_PATCHES * N_FRAMES)
    for plan, kept in zip(plans, keep.tolist(), strict=True):
        for a in plan.actors:
            assert all(set(kept) & set(a.token_indices([t])) for t in range(N_FRAMES) if a.patches[t])
