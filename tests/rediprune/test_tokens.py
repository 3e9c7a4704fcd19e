"""Check that VisionTokens counts, indexes and takes tokens, with and without gaps."""

import pytest
import torch

from rediprune.tokens import Geometry, VisionTokens, concat_tokens, split_indices

SOURCE = torch.Generator().manual_seed(0)


def tokens(t: int, rows: int, cols: int, ragged: bool = False, whole: int = 0) -> VisionTokens:
    n = rows * cols + whole
    there = torch.rand(t, n, generator=SOURCE) < 0.6
    there[:, 0] = True
    place = Geometry(rows, cols, (0, 0, cols, rows), (cols, rows))
    return VisionTokens(torch.randn(t, n, 5, generator=SOURCE), (place,) * t, there if ragged else None)


@pytest.mark.parametrize("ragged", [False, True])
def test_counts_indices_and_features_belong_together(ragged):
    vision = tokens(3, 2, 4, ragged)
    t, n = vision.shape
    there = vision.valid if ragged else torch.ones(3, 8, dtype=torch.bool)
    assert (t, n) == (3, 8)
    assert vision.counts == tuple(there.sum(-1).tolist())
    assert vision.n_tokens == sum(vision.counts) == len(vision.all)
    assert torch.equal(vision.all, there.flatten().nonzero()[:, 0])
    assert torch.equal(vision.take(vision.all), vision.features[there])


def test_flat_indices_frame_by_frame():
    vision = tokens(4, 2, 4)
    frames = vision.per_frame(torch.tensor([0, 7, 9, 24, 31]))
    assert [frame.tolist() for frame in frames] == [[0, 7], [1], [], [0, 7]]


PARTS = {
    "one": lambda: [tokens(2, 2, 3)],
    "alike": lambda: [tokens(1, 2, 3), tokens(2, 2, 3)],
    "of different sizes": lambda: [tokens(1, 2, 3), tokens(2, 4, 4), tokens(1, 1, 2)],
    "with gaps": lambda: [tokens(2, 2, 3, ragged=True), tokens(1, 3, 3, ragged=True), tokens(1, 2, 2)],
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS.keys())
def test_parts_are_joined_token_for_token_and_parted_again(parts):
    parts = parts()
    together = concat_tokens(parts)
    assert together.shape[0] == sum(part.shape[0] for part in parts) == len(together.geometry)
    assert together.geometry == tuple(place for part in parts for place in part.geometry)
    assert together.n_tokens == sum(part.n_tokens for part in parts)
    assert torch.equal(together.take(together.all), torch.cat([part.take(part.all) for part in parts]))
    for few in (together.all, together.all[::3], together.all[:1], together.all[-1:], together.all[:0]):
        back = split_indices(few, parts)
        assert len(back) == len(parts)
        for part, mine in zip(parts, back, strict=True):
            assert torch.isin(mine, part.all).all()
        again = torch.cat([part.take(mine) for part, mine in zip(parts, back, strict=True)])
        assert torch.equal(again, together.take(few))


def test_parts_of_one_size_without_gaps_have_none_together():
    assert concat_tokens([tokens(1, 2, 3), tokens(2, 2, 3)]).valid is None
