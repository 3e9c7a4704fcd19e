"""Check that kept patches are untouched, dropped ones dimmed, colours ordered, and bad input refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops, ImageFont

from rediprune import PruneConfig, draw
from rediprune.draw import palette
from rediprune.tokens import Geometry, VisionTokens
from rediprune.trace import Answer, Query, Selection, Trace

SIZE = (96, 64)


@pytest.fixture
def image():
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.fixture
def geometry():
    """Return a 4 x 4 grid over the middle square of a 96 x 64 picture, as after a centre crop."""
    return Geometry(rows=4, cols=4, box=(16.0, 0.0, 80.0, 64.0), image_size=SIZE)


def test_the_inside_of_a_kept_patch_is_the_original_and_a_dropped_one_is_darker_grey(image, geometry):
    out = np.asarray(draw.mark_kept(image, geometry, [5]))
    original = np.asarray(image)
    # Token 5 is row 1, column 1: pixels x 32..47, y 16..31.
    assert (out[17:31, 33:47] == original[17:31, 33:47]).all()
    dropped = out[40:60, 20:30]
    assert (dropped[..., 0] == dropped[..., 1]).all()
    assert dropped.mean() < (1 - palette.DIM + 0.05) * original[40:60, 20:30].mean()


def test_the_original_stays_recognisable_under_every_overlay(image, geometry):
    grey = np.asarray(image.convert("L"), dtype=float)[:, 16:80].ravel()
    nothing_kept = np.asarray(draw.mark_kept(image, geometry, []).convert("L"), dtype=float)[:, 16:80].ravel()
    flat_heat = np.asarray(draw.heatmap(image, geometry, np.zeros(16)).convert("L"), dtype=float)[
        :, 16:80
    ].ravel()
    assert np.corrcoef(grey, nothing_kept)[0, 1] > 0.95
    assert np.corrcoef(grey, flat_heat)[0, 1] > 0.95


def test_pixels_the_model_never_saw_are_dimmed_even_when_all_tokens_are_kept(image, geometry):
    out = np.asarray(draw.mark_kept(image, geometry, torch.arange(16)))
    assert (out[:, :14, 0] == out[:, :14, 1]).all()
    assert (out[2:-2, 20:76] == np.asarray(image)[2:-2, 20:76]).all()


def test_the_highest_value_is_the_brightest_patch(geometry):
    flat = Image.new("RGB", SIZE, (128, 128, 128))
    values = torch.linspace(-0.2, 0.1, 16)
    out = np.asarray(draw.heatmap(flat, geometry, values).convert("L"), dtype=float)
    patches = out[:, 16:80].reshape(4, 16, 4, 16).mean((1, 3)).ravel()
    assert (np.diff(patches) > 0).all()


def test_the_ramp_is_ordered_by_lightness_so_that_it_reads_without_colour():
    colours = palette.ramp(np.linspace(0, 1, 50)).astype(float)
    lightness = colours @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > 0).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda i, g: draw.mark_kept(i, g, [16]), "outside 0..15"),
        (lambda i, g: draw.heatmap(i, g, [0.0] * 15), "15 values"),
        (lambda i, g: draw.heatmap(i, g, [float("nan")] * 16), "no value at all"),
        (lambda i, g: draw.heatmap(i, g, [float("inf")] * 16), "not finite"),
        (lambda i, g: draw.mark_kept(i.resize((8, 8)), g, [0]), "its geometry was made for"),
    ],
)
def test_bad_input_gets_a_sentence(image, geometry, call, words):
    with pytest.raises(ValueError, match=words):
        call(image, geometry)


def test_a_kept_token_of_the_whole_frame_is_a_line_around_it_and_brightens_no_patch(image, geometry):
    geometry = replace(geometry, n_global=1)
    without, given = (np.asarray(draw.mark_kept(image, geometry, indices)) for indices in ([5], [5, 16]))
    changed = (without != given).any(-1)
    assert changed[:, :16].sum() == changed[:, 80:].sum() == 0  # the model did not see the sides
    assert changed[0, 16:80].all() and changed[:, 16].all()
    assert not changed[3:-3, 19:77].any()
    values = [*np.linspace(-0.2, 0.1, 16), 9.0]  # its relevance is no part of the scale
    heat = draw.heatmap(image, geometry, values)
    assert np.array_equal(
        np.asarray(heat), np.asarray(draw.heatmap(image, replace(geometry, n_global=0), values[:16]))
    )
    with pytest.raises(
        ValueError, match=r"outside 0\.\.16, the 16 tokens of a 4 x 4 grid and 1 of the whole frame"
    ):
        draw.mark_kept(image, geometry, [17])


def test_the_caption_tells_of_a_token_of_the_whole_frame(image, geometry, monkeypatch):
    said = []
    monkeypatch.setattr(
        draw.figure, "sheet", lambda rows, cell, lines: said.extend([c for _, c in rows[0]] + lines)
    )
    trace = run(replace(geometry, n_global=1))
    relevance = torch.tensor([[*torch.linspace(-0.2, 0.1, 16), 0.9]])
    trace = replace(
        trace,
        vision=VisionTokens(torch.zeros(1, 17, 4), trace.vision.geometry),
        selection=replace(trace.selection, relevance=relevance),
        kept=torch.tensor([3, 16]),
    )
    draw.overlay(trace, image)
    assert said[0].startswith("Kept 2 of 17 tokens")
    assert "One of them stands for the whole frame" in said[0]
    assert "-0.20 to 0.10" in said[1]
    assert said[1].endswith("Relevance of the whole frame: 0.90")
    draw.overlay(replace(trace, kept=torch.tensor([3])), image)
    assert "whole frame" not in said[5]


def test_a_one_pixel_picture_can_be_drawn():
    tiny = Geometry(rows=4, cols=4, box=(0.0, 0.0, 1.0, 1.0), image_size=(1, 1))
    assert draw.mark_kept(Image.new("RGB", (1, 1)), tiny, [3]).size == (1, 1)


def run(geometry, question="why", said="because") -> Trace:
    config = PruneConfig(keep_ratio=0.25)
    selection = Selection(torch.arange(16)[None], torch.rand(1, 16), None, None, (0.5,), config)
    answer = Answer(said, (1,), 16, 5, 0.1, 0.1)
    return Trace(
        question=question,
        config=config,
        vision=VisionTokens(torch.zeros(1, 16, 4), (geometry,)),
        query=Query("prompt-tail", torch.zeros(4)),
        selection=selection,
        kept=selection.kept(),
        full=answer,
        pruned=answer,
        savings=None,
        agreement=None,
    )


def ink_box(sheet: Image.Image) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of everything that is not background."""
    return ImageChops.difference(sheet, Image.new("RGB", sheet.size, palette.PAPER)).getbbox()


def test_the_figure_of_a_run_holds_both_pictures_and_survives_any_text(image, geometry):
    trace = run(geometry, "why \n" * 2000, "\u2603<b>\n" * 300)
    both = draw.overlay(trace, image)
    alone = draw.overlay(replace(trace, selection=replace(trace.selection, relevance=None)), image)
    assert both.width - alone.width == draw.BOX + 16
    assert draw.overlay(run(geometry, "w" * 100_000), image).height < both.height < 800


@pytest.mark.parametrize("size", [(100, 400), (1000, 20), (3, 1), (448, 448)])
def test_a_picture_of_any_shape_fits_its_box_and_its_text_fits_the_sheet(size):
    image = Image.new("RGB", size, "red")
    trace = run(Geometry(rows=4, cols=4, box=(0.0, 0.0, *map(float, size)), image_size=size))
    sheet = draw.overlay(trace, image)
    assert sheet.width == 2 * draw.BOX + 3 * 16
    assert sheet.height <= draw.BOX + 200
    left, top, right, bottom = ink_box(sheet)
    assert (left, top) == (16, 16)
    assert right <= sheet.width - 16 and bottom <= sheet.height - 16
    across, down = (max(1, round(side * draw.BOX / max(size))) for side in size)
    shown = np.asarray(sheet.crop((16, 16, 16 + draw.BOX, 16 + down)))
    painted = (shown != 255).any(-1).any(0)
    assert painted[:across].all() and not painted[across:].any()


def test_text_is_wrapped_at_spaces_and_loses_nothing_until_it_is_cut():
    font = ImageFont.load_default(size=15)
    text = "a caption that has rather more words than one line of it can hold"
    rows = draw.sheet.wrap_text(text, font, 200)
    assert len(rows) == 3 and " ".join(rows) == text
    assert draw.sheet.wrap_text("short", font, 200) == ["short"]
    cut = draw.sheet.wrap_text("x" * 500, font, 200)
    assert len(cut) == 3 and cut[-1].endswith("x…")
    assert all(font.getlength(row) <= 200 for row in rows + cut)
