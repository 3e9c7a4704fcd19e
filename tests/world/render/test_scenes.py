"""Rendered scenes: the same for a seed, and their ground truth is what the pixels show."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import tiny_world
from world import make_scene
from world.render import scenes
from world.render.drawing import shape_mask
from world.render.scenes import (
    GRID_SIZE,
    IMAGE_SIZE,
    MAX_SHAPES,
    MIN_COVER,
    MIN_SHAPES,
    MIN_TOUCH,
    N_PATCHES,
    PATCH_SIZE,
    SHAPES,
)

SEEDS = range(60)


@pytest.fixture
def coverage(monkeypatch):
    """render(seed) -> scene, and what each shape covers, float [224, 224], read off a black canvas."""
    drawn: list[np.ndarray] = []
    paste = scenes.paste_shape

    def spy(canvas, mask, color, x, y, light):
        black = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
        paste(black, mask, np.array([255.0] * 3), x, y, light=0.0)
        drawn.append(black[..., 0] / 255)
        return paste(canvas, mask, color, x, y, light)

    def render(seed: int):
        drawn.clear()
        return scenes.render_scene(seed), list(drawn)

    monkeypatch.setattr(scenes, "paste_shape", spy)
    return render


def shares(covered: np.ndarray) -> list[float]:
    """Share of each patch that is covered, patch by patch in raster order."""
    corners = [(row * PATCH_SIZE, col * PATCH_SIZE) for row in range(GRID_SIZE) for col in range(GRID_SIZE)]
    return [float(covered[y : y + PATCH_SIZE, x : x + PATCH_SIZE].mean()) for y, x in corners]


def test_a_seed_is_a_scene():
    first, again = scenes.render_scene(5), scenes.render_scene(5)
    assert np.array_equal(first.pixels, again.pixels)
    assert first.shapes == again.shapes
    assert np.array_equal(first.touched, again.touched)


def test_other_seeds_are_other_scenes():
    found = [tiny_world.render_once(seed) for seed in SEEDS]
    assert len({scene.pixels.tobytes() for scene in found}) == len(found)
    assert len({scene.shapes for scene in found}) == len(found)


def test_an_image_of_the_model_s_size():
    image = tiny_world.render_once(0).image
    assert (image.mode, image.size) == ("RGB", (IMAGE_SIZE, IMAGE_SIZE))


def test_patches_are_those_that_the_shape_covers(coverage):
    for seed in SEEDS[:20]:
        scene, drawn = coverage(seed)
        expected = [tuple(p for p, share in enumerate(shares(one)) if share >= MIN_COVER) for one in drawn]
        assert sorted(s.patches for s in scene.shapes) == sorted(expected)
        touched = np.any([np.array(shares(one)) > MIN_TOUCH for one in drawn], axis=0)
        assert np.array_equal(scene.touched, touched)


def test_every_shape_is_where_it_says_and_looks_like_its_colour(coverage):
    for seed in SEEDS[:20]:
        scene, _ = coverage(seed)
        for s in scene.shapes:
            assert s.y // PATCH_SIZE * GRID_SIZE + s.x // PATCH_SIZE in s.patches
            if not s.digit:
                middle = scene.pixels[s.y - 2 : s.y + 3, s.x - 2 : s.x + 3].mean((0, 1))
                nearest = min(scenes.COLORS, key=lambda c: np.abs(middle - scenes.COLORS[c]).sum())
                assert nearest == s.color, (seed, s)


def test_shapes_do_not_touch(coverage):
    for seed in SEEDS:
        _, drawn = coverage(seed)
        assert (np.sum([one > 0 for one in drawn], axis=0) <= 1).all(), seed


def test_a_digit_lies_on_the_patches_of_its_shape(monkeypatch):
    ink: list[tuple[np.ndarray, int, int]] = []
    write = scenes.write_digit

    def spy(canvas, digit, x, y, dark):
        black = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
        write(black, digit, x, y, dark=False)
        ink.append((black[..., 0], x, y))
        write(canvas, digit, x, y, dark=dark)

    monkeypatch.setattr(scenes, "write_digit", spy)
    for seed in SEEDS[:20]:
        ink.clear()
        scene = scenes.render_scene(seed)
        digits = {(s.x, s.y): s for s in scene.shapes if s.digit}
        assert len(ink) == len(digits)
        for pixels, x, y in ink:
            mean_per_patch = np.array(shares(pixels))
            assert mean_per_patch[list(digits[x, y].patches)].sum() > 0.9 * mean_per_patch.sum()


def test_three_to_six_shapes_in_reading_order():
    counts = set()
    for seed in SEEDS:
        shapes = tiny_world.render_once(seed).shapes
        counts.add(len(shapes))
        places = [s.y // PATCH_SIZE * GRID_SIZE + s.x // PATCH_SIZE for s in shapes]
        assert places == sorted(places)
    assert counts == set(range(MIN_SHAPES, MAX_SHAPES + 1))


@pytest.mark.parametrize("shape", SHAPES)
def test_outlines_are_anti_aliased_and_fit_their_mask(shape):
    mask = shape_mask(shape, 20, 6)
    assert mask.shape == (44, 44)
    assert mask.min() == 0 and mask.max() == 1
    assert ((mask > 0) & (mask < 1)).sum() > 20
    assert mask[[0, -1]].max() == mask[:, [0, -1]].max() == 0


def test_an_unknown_shape_is_refused_by_name():
    with pytest.raises(ValueError, match="'hexagon'"):
        shape_mask("hexagon", 20, 0)


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="seed=-1 is negative"):
        make_scene(-1)


def test_patch_count():
    assert N_PATCHES == 196
