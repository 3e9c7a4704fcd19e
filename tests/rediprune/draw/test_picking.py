"""Check that draw.picking grows the set in the method's order and counts it in every picture."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from PIL import Image

from rediprune import PruneConfig, draw, kept_count
from rediprune.draw import palette
from rediprune.tokens import Geometry, VisionTokens
from rediprune.trace import Selection

module = import_module("rediprune.draw.picking")  # draw.picking is the function
PICTURE = Image.fromarray(np.random.default_rng(0).integers(60, 200, (96, 96, 3), dtype=np.uint8))
MARK = np.array(palette.rgb(palette.NEXT_PICK.dark))


def run(t=1, rows=4, cols=4, budget="frame", ratio=0.5, present=None, whole=0):
    """Return (vision, selection) of T frames with a shuffled order in every group."""
    place = Geometry(rows, cols, (0.0, 0.0, 96.0, 96.0), (96, 96), whole)
    n = place.cells + whole
    groups, size = (1, t * n) if budget == "shared" else (t, n)
    pick = torch.Generator().manual_seed(0)
    order = torch.stack([torch.randperm(size, generator=pick) for _ in range(groups)])
    if present:  # absent tokens come last
        order = torch.stack(
            [torch.cat([row[row < c], row[row >= c]]) for row, c in zip(order, present, strict=True)]
        )
    config = PruneConfig(keep_ratio=ratio, budget=budget)
    vision = VisionTokens(torch.zeros(t, n, 2), (place,) * t)
    return vision, Selection(order, None, None, None, (0.5,), config, present)


@pytest.fixture
def told(monkeypatch):
    """Record the words of each moment: [(captions, text), ...], in the order of drawing."""
    made, real = [], module.sheet

    def sheet(rows, cell, lines):
        made.append(([caption for row in rows for _, caption in row], ", ".join(lines)))
        return real(rows, cell, lines)

    monkeypatch.setattr(module, "sheet", sheet)
    return made


def marked(picture, cell, box):
    """Return whether a line of the mark's colour runs inside this box (of 96 pixels) of a still's picture."""
    left, top, _, bottom = (round(edge * cell / 96) + 16 for edge in box)
    inside = np.asarray(picture, int)[top + 2 : bottom - 2, left + 1]
    return bool((np.abs(inside - MARK).max(-1) < 8).all())


@pytest.mark.parametrize("ratio", [0.02, 0.3, 1.0])
@pytest.mark.parametrize("side", [4, 16])
def test_the_film_is_as_long_whatever_k_is_and_ends_on_the_whole_set(ratio, side, told):
    vision, selection = run(rows=side, cols=side, ratio=ratio)
    k = kept_count(side * side, ratio)
    film = draw.picking([PICTURE], vision, selection, side=256)
    assert len(film) / draw.PICKING_FPS == 7.5
    assert len({picture.size for picture in film}) == 1
    counts = [int(line.split()[0]) for _, line in told]
    assert counts[0] == 0 and counts[-1] == k and counts == sorted(counts)
    assert set(counts) == set(range(k + 1)) or k >= module.GROWING
    assert all(
        f"of {k} picks, to keep {100 * ratio:.3g}% of {side * side} tokens" in line for _, line in told
    )
    at_rest = np.asarray(film[-1])[16 : 16 + 256, 16 : 16 + 256]
    assert np.array_equal(at_rest, np.asarray(draw.film([PICTURE], vision, selection.kept(), 256)[0]))


def test_each_moment_shows_the_first_picks_and_marks_the_newest_alone():
    vision, selection = run()
    film = draw.picking([PICTURE], vision, selection, side=288)
    boxes = vision.geometry[0].token_boxes()
    moments = list({id(picture): picture for picture in film}.values())
    order = selection.order[0].tolist()
    assert len(moments) == 8 + 2  # nothing, eight picks, the set at rest
    for count, moment in enumerate(moments[:-1]):
        found = [i for i in range(16) if marked(moment, 288, boxes[i].tolist())]
        assert found == order[max(0, count - 1) : count]
    for i in range(16):  # the middle of a patch is as it was where it is kept, and grey elsewhere
        x, y = (int(edge * 3) + 16 + 36 for edge in boxes[i, :2].tolist())
        grey = np.ptp(np.asarray(moments[4], int)[y - 4 : y + 4, x - 4 : x + 4], axis=-1).max() == 0
        assert grey == (i not in order[:4])


@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_a_clip_stands_side_by_side_and_every_frame_counts_its_own(budget, told):
    vision, selection = run(t=6, budget=budget, ratio=0.25)
    film = draw.picking([PICTURE] * 6, vision, selection, side=400)
    assert film[0].width <= 400
    captions, line = told[-1]
    assert captions == [str(len(mine)) for mine in vision.per_frame(selection.kept())]
    assert line.startswith("24 of 24 picks")
    for captions, line in told:
        assert sum(map(int, captions)) == int(line.split()[0])
        if budget == "frame":
            assert len(set(captions)) == 1


def test_uneven_groups_stop_when_their_share_is_spent_and_absent_tokens_are_never_shown(told):
    vision, selection = run(t=2, ratio=0.5, present=(16, 4))
    draw.picking([PICTURE], vision, selection, side=300)
    assert told[-1][0] == ["8", "2"]
    assert [captions[1] for captions, _ in told][:4] == ["0", "1", "2", "2"]


def test_a_token_of_the_whole_frame_is_marked_around_it():
    vision, selection = run(whole=1, ratio=1.0)
    at = selection.order[0].tolist().index(16) + 1
    film = list({id(p): p for p in draw.picking([PICTURE], vision, selection, side=288)}.values())
    assert marked(film[at], 288, (0, 0, 96, 96)) and not marked(film[at + 1], 288, (0, 0, 96, 96))


@pytest.mark.parametrize(("k", "moments"), [(1, [1]), (2, [1, 2]), (16, [1, 2, 3, 5, 9, 16])])
def test_the_sheet_tells_it_in_at_most_six_moments(k, moments, told):
    vision, selection = run(ratio=k / 16)
    sheet = draw.picking_sheet([PICTURE], vision, selection, side=256)
    assert [int(line.split()[0]) for _, line in told] == moments
    one = draw.picking([PICTURE], vision, selection, side=256)[0]
    across = min(3, len(moments))
    assert sheet.size == (across * one.width, -(-len(moments) // across) * one.height)


def test_many_frames_stay_within_the_width_and_what_cannot_be_drawn_is_refused():
    vision, selection = run(t=32, ratio=0.1)
    assert draw.picking([PICTURE] * 32, vision, selection, side=480)[0].width <= 480
    several = Selection(selection.order[None], None, None, None, (0.5,), selection.config)
    with pytest.raises(ValueError, match="choose one with at"):
        draw.picking([PICTURE] * 32, vision, several)
    with pytest.raises(ValueError, match="needs 256 pixels"):
        draw.picking([PICTURE] * 32, vision, selection, side=100)


def test_an_order_that_ended_at_k_is_drawn_as_the_full_one():
    """Use an order as a prune block reports it, with two frames, so that the offset of the second matters."""
    vision, whole = run(t=2, ratio=0.25)
    few = replace(whole, order=whole.order[:, :4], cut_from=16)
    ours, full = (draw.picking_sheet([PICTURE] * 2, vision, one, side=256) for one in (few, whole))
    assert ours.tobytes() == full.tobytes()
