"""Everyday things come in many kinds that can be told apart, each in one main colour."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from world.render.things import THING_COLORS, THING_KINDS, make_sprite

GROUND = 170
SIDE = 40
MIN_DIFFERENCE = 30  # mean difference per channel where either of two things is
MAX_OVERLAP = 0.9  # intersection over union of two outlines


def paint(kind: str, color: str, *, size: int = SIDE, flipped: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Paint a thing in the middle of a grey square; return the pixels and where the thing is."""
    sprite = make_sprite(kind, size, flipped)
    height, width = sprite.mask.shape
    top = (size - height) // 2
    left = (size - width) // 2
    canvas = np.full((size, size, 3), GROUND, dtype=np.float32)
    mask = np.zeros((size, size), dtype=bool)
    sprite.paint(
        canvas[top : top + height, left : left + width], np.array(THING_COLORS[color], dtype=np.float32)
    )
    mask[top : top + height, left : left + width] = sprite.mask
    return canvas, mask


def to_lab(rgb: tuple[int, int, int]) -> np.ndarray:
    """Return a colour in CIE Lab, where distances are about as large as they look."""
    share = np.array(rgb) / 255
    linear = np.where(share > 0.04045, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    scaled = matrix @ linear / np.array([0.9505, 1, 1.089])
    root = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def test_there_are_at_least_thirty_kinds():
    assert len(THING_KINDS) >= 30
    assert list(THING_KINDS) == sorted(set(THING_KINDS))
    assert all(kind.isalpha() and kind.islower() for kind in (*THING_KINDS, *THING_COLORS))


def test_kinds_can_be_told_apart_at_forty_pixels_in_one_colour():
    pictures = {
        (kind, flipped): paint(kind, "red", flipped=flipped)
        for kind in THING_KINDS
        for flipped in (False, True)
    }
    for one, other in combinations(THING_KINDS, 2):
        pixels, mask = pictures[one, False]
        for flipped in (False, True):
            other_pixels, other_mask = pictures[other, flipped]
            either = mask | other_mask
            difference = np.abs(pixels - other_pixels).mean() / either.mean()
            overlap = (mask & other_mask).sum() / either.sum()
            assert difference > MIN_DIFFERENCE, (one, other)
            assert overlap < MAX_OVERLAP, (one, other)


def test_colors_look_different():
    for one, other in combinations(THING_COLORS, 2):
        assert np.linalg.norm(to_lab(THING_COLORS[one]) - to_lab(THING_COLORS[other])) > 25, (one, other)


@pytest.mark.parametrize("size", [20, 40, 64])
@pytest.mark.parametrize("kind", THING_KINDS)
def test_the_own_colour_is_the_main_colour(kind, size):
    sprite = make_sprite(kind, size)
    assert max(sprite.mask.shape) == size
    assert sprite.mask.mean() > 0.25
    own = sprite.weight[..., 0][sprite.mask]
    assert own.mean() > 0.4
    # No fixed colour takes more room than the own colour in light and shade.
    assert (own > 0.4).mean() > 0.5


@pytest.mark.parametrize("kind", THING_KINDS)
def test_a_sprite_holds_no_more_than_it_covers(kind):
    sprite = make_sprite(kind, 36, True, 10)
    assert sprite.alpha.min() >= 0
    assert sprite.alpha.max() <= 1
    assert (sprite.weight <= sprite.alpha).all()
    assert (sprite.fixed <= 255 * sprite.alpha + 1e-3).all()


def test_turned_and_mirrored_things_are_the_same_thing():
    straight = make_sprite("car", 40)
    assert np.array_equal(make_sprite("car", 40, flipped=True).mask, straight.mask[:, ::-1])
    turned = make_sprite("car", 40, turn=10)
    assert max(turned.mask.shape) == 40
    assert turned.mask.shape != straight.mask.shape
    assert np.array_equal(make_sprite("car", 40, flipped=True, turn=10).weight, turned.weight[:, ::-1])


def test_an_unknown_kind_is_named():
    with pytest.raises(ValueError, match="unknown kind 'dragon': there is no drawing of it"):
        make_sprite("dragon", 40)
