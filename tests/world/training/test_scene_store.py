"""The store of scenes: what was rendered is what is read, and an interrupted filling goes on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support import tiny_world
from world.evaluation import evaluate
from world.render.scenes import Shape, render_scene
from world.training import scene_store
from world.training.scene_store import FIRST_TRAINING_SEED, SceneStore


def without_shared_patches(shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """Give a patch that two shapes hold to the later one, because the store has one owner per patch."""
    later = [{p for other in shapes[j + 1 :] for p in other.patches} for j in range(len(shapes))]
    return tuple(
        replace(s, patches=tuple(p for p in s.patches if p not in taken))
        for s, taken in zip(shapes, later, strict=True)
    )


def test_a_scene_comes_back_as_it_was_rendered(tmp_path):
    filled = tiny_world.make_scene_store(tmp_path, 12)
    again = SceneStore(tmp_path, 12)  # from the files, as the next process finds them
    assert filled.ready == again.ready == 12
    for i in range(12):
        found, rendered = again.scene(i), render_scene(FIRST_TRAINING_SEED + i)
        assert found.seed == rendered.seed
        assert np.array_equal(found.pixels, rendered.pixels)
        assert found.shapes == without_shared_patches(rendered.shapes)
        assert np.array_equal(found.touched, rendered.touched)


def test_filling_goes_on_where_it_stopped(tmp_path, monkeypatch):
    seeds = []

    def failing(seed):
        seeds.append(seed - FIRST_TRAINING_SEED)
        if len(seeds) == 3:
            raise KeyboardInterrupt
        return tiny_world.render_once(seed)

    monkeypatch.setattr(scene_store, "render_scene", failing)
    with pytest.raises(KeyboardInterrupt):
        SceneStore(tmp_path, 4).fill()
    resumed = SceneStore(tmp_path, 4)
    assert resumed.ready == 2
    resumed.fill()
    assert resumed.ready == 4
    assert seeds == [0, 1, 2, 2, 3]


def test_a_folder_of_another_size_is_refused(tmp_path):
    SceneStore(tmp_path, 2)
    with pytest.raises(ValueError, match="or ask for its size"):
        SceneStore(tmp_path, 3)


def test_no_scene_is_both_trained_on_and_held_out():
    """10,000 evaluation questions, at five a scene at least, end far before the first training seed."""
    assert evaluate.FIRST_SEED + 10_000 // 5 < FIRST_TRAINING_SEED
