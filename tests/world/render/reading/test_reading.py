"""A seed is a picture, every character stands in its patch, and what is said of a patch can be seen there."""

from __future__ import annotations

import string
import time

import numpy as np
import pytest
from PIL import Image

from world.render.pictures import GRID, N_PATCHES, NOTHING, PATCH, SIZE
from world.render.reading import READING_RENDERERS
from world.render.reading.lettering import FONTS, draw_glyph
from world.render.reading.sheet import JITTER, Lettering, Sheet

SEEDS = range(60)
MAX_MILLISECONDS = 15
UNWRITTEN = {"title", "bar", "car", "clock", "mark"}  # kinds without a character a patch


@pytest.fixture(scope="module", params=READING_RENDERERS)
def pictures(request):
    return [READING_RENDERERS[request.param](seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def templates():
    """Return every character in every font and at every jitter, centred to norm 1, and its name."""
    names = []
    rows = []
    for character in string.ascii_lowercase + string.digits:
        for font in FONTS:
            for seen in {character, character.upper()}:
                padded = np.pad(np.asarray(draw_glyph(seen, font), dtype=np.float32), JITTER)
                for dy in range(2 * JITTER + 1):
                    for dx in range(2 * JITTER + 1):
                        window = padded[dy : dy + PATCH, dx : dx + PATCH].reshape(-1)
                        rows.append(window - window.mean())
                        names.append(character)
    rows = np.stack(rows)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), np.array(names)


def cut_patches(picture) -> np.ndarray:
    """Return the grey pixels of each patch, [576, 196]."""
    grey = picture.pixels.astype(np.float32).mean(axis=2)
    return grey.reshape(GRID, PATCH, GRID, PATCH).transpose(0, 2, 1, 3).reshape(N_PATCHES, -1)


@pytest.mark.parametrize("kind", READING_RENDERERS)
def test_equal_seeds_give_equal_pictures(kind):
    render = READING_RENDERERS[kind]
    first, again, other = render(7), render(7), render(8)
    assert (first.pixels == again.pixels).all() and (first.owner == again.owner).all()
    assert first.things == again.things and first.glyphs == again.glyphs
    assert (first.pixels != other.pixels).any()
    with pytest.raises(ValueError, match="seed=-1 is negative"):
        render(-1)


def test_the_record_has_the_form_of_a_picture(pictures):
    for picture in pictures:
        assert picture.pixels.shape == (SIZE, SIZE, 3) and picture.pixels.dtype == np.uint8
        assert picture.owner.shape == (N_PATCHES,) and picture.owner.dtype == np.int16
        assert len(picture.glyphs) == N_PATCHES
        assert READING_RENDERERS[picture.kind](picture.seed).things == picture.things
        for thing in picture.things:
            left, top, right, bottom = thing.box
            assert -JITTER <= left < right <= SIZE + JITTER and -JITTER <= top < bottom <= SIZE + JITTER
            assert thing.text == thing.text.lower()


def test_every_thing_shows_in_some_patch_within_its_box(pictures):
    for picture in pictures:
        for thing in picture.things:
            # One of value 1 is the lowest bar; it may be lower than a fifth of a patch.
            assert thing.patches or (thing.kind == "bar" and thing.box[3] - thing.box[1] < PATCH)
            assert list(thing.patches) == sorted(set(thing.patches))
            left, top, right, bottom = thing.box
            for patch in thing.patches:
                row, column = divmod(patch, GRID)
                assert left - PATCH < column * PATCH < right and top - PATCH < row * PATCH < bottom


def test_the_owner_of_a_patch_is_a_thing_that_shows_there(pictures):
    for picture in pictures:
        for patch, owner in enumerate(picture.owner.tolist()):
            showing = [number for number, thing in enumerate(picture.things) if patch in thing.patches]
            assert owner in showing if showing else owner == NOTHING


def test_a_text_is_read_back_from_its_patches(pictures):
    for picture in pictures:
        read = set()
        for thing in picture.things:
            written = "".join(picture.glyphs[patch] for patch in thing.patches)
            expected = "" if thing.kind in UNWRITTEN else thing.text.replace(" ", "")
            if thing.kind == "car":
                continue  # its plate is a thing of its own
            assert written == expected, thing
            read |= {patch for patch in thing.patches if picture.glyphs[patch]}
        assert read == {patch for patch, character in enumerate(picture.glyphs) if character}


def test_neighbouring_texts_never_run_together(pictures):
    for picture in pictures:
        words = {word for thing in picture.things for word in thing.text.split()}
        for row in range(GRID):
            characters = "".join(one or " " for one in picture.glyphs[row * GRID : (row + 1) * GRID])
            assert set(characters.split()) <= words


def test_each_glyph_looks_like_its_character(pictures, templates):
    rows, names = templates
    right = []
    for picture in pictures[:20]:
        holders = [patch for patch, character in enumerate(picture.glyphs) if character]
        ink = cut_patches(picture)[holders]
        assert (ink.max(axis=1) - ink.min(axis=1) > 60).all()
        ink -= ink.mean(axis=1, keepdims=True)
        ink /= np.linalg.norm(ink, axis=1, keepdims=True)
        best = np.abs(ink @ rows.T).argmax(axis=1)
        right += [names[match] == picture.glyphs[patch] for match, patch in zip(best, holders, strict=True)]
    assert np.mean(right) > 0.98


def test_text_fills_most_of_its_patch():
    for font in FONTS:
        for character in string.ascii_letters + string.digits:
            ink = np.asarray(draw_glyph(character, font), dtype=np.float32) / 255
            rows = np.flatnonzero(ink.max(axis=1) > 0.3)
            columns = np.flatnonzero(ink.max(axis=0) > 0.3)
            assert columns[0] >= 0 and columns[-1] - columns[0] + 1 <= 13
            assert rows[-1] - rows[0] + 1 >= (7 if character.islower() else 10), (font, character)
            assert ink.mean() > 0.04


def test_titles_and_colors_vary(pictures):
    assert len({picture.pixels.mean().round(1) for picture in pictures}) > len(pictures) / 2
    assert len({thing.text for picture in pictures for thing in picture.things}) > 15


@pytest.mark.parametrize("kind", READING_RENDERERS)
def test_a_picture_takes_little_time(kind):
    render = READING_RENDERERS[kind]
    for seed in range(20):
        render(seed)  # fills the caches of fonts and shapes
    start = time.process_time()
    for seed in range(100, 140):
        render(seed)
    assert (time.process_time() - start) / 40 * 1000 < MAX_MILLISECONDS


def test_the_share_of_a_figure_counts_only_what_is_not_hidden():
    rng = np.random.default_rng(0)
    sheet = Sheet(Image.new("RGB", (SIZE, SIZE)), rng)
    sheet.add("car", "red", "", (0, 0, 2 * PATCH, PATCH))
    sheet.add("plate", "", "", (0, 0, PATCH, PATCH))
    picture = sheet.finish("sign", 0, rng)
    assert [thing.patches for thing in picture.things] == [(1,), (0,)]
    assert picture.owner[:3].tolist() == [1, 0, NOTHING]


def test_text_never_leaves_the_picture_nor_covers_text():
    sheet = Sheet(Image.new("RGB", (SIZE, SIZE)), np.random.default_rng(0))
    style = Lettering("mono", (255, 255, 255))
    sheet.letter("tea", 0, 0, style)
    with pytest.raises(ValueError, match="covers another text"):
        sheet.letter("a", 2, 0, style)
    with pytest.raises(ValueError, match="does not fit"):
        sheet.letter("tea", GRID - 2, 0, style)
