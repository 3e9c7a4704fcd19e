"""Closing the gaps of M-RoPE positions: per axis, per run, nothing moved where nothing is gone."""

import torch

from rediprune.models.families.mrope import compact_mrope


def prompt(*parts: int | tuple[int, int, int], spacing: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """(positions [3, 1, L], visual [1, L]); a part is so many words, or the grid (times, rows, columns)."""
    positions, visual, at = [], [], 0
    for part in parts:
        if isinstance(part, int):
            positions.append((at + torch.arange(part)).expand(3, -1))
            visual += [False] * part
            at += part
        else:
            grid = torch.meshgrid(*map(torch.arange, part), indexing="ij")
            axes = torch.stack(grid).flatten(1)
            positions.append(at + axes * torch.tensor([spacing, 1, 1])[:, None])
            visual += [True] * axes.shape[1]
            at += max(part[1:])
    return torch.cat(positions, 1)[:, None], torch.tensor([visual])


def closed(positions, visual, *dropped: int) -> torch.Tensor:
    """[3, kept], after these tokens are taken out."""
    stays = torch.ones_like(visual)
    stays[0, list(dropped)] = False
    return compact_mrope(positions, stays, visual)[:, 0, stays[0]]


def test_a_whole_prompt_is_left_as_it_is():
    positions, visual = prompt(3, (1, 2, 4), 2, (5, 3, 2), 4, spacing=7)
    assert torch.equal(closed(positions, visual), positions[:, 0])


def test_rows_and_columns_that_are_gone_close_up_and_text_follows_the_longer_side():
    positions, visual = prompt(2, (1, 3, 4), 2)
    # left of 3 x 4: (0, 1), (0, 3), (2, 3)
    left = closed(positions, visual, *[2 + n for n in range(12) if n not in (1, 3, 11)])
    assert left.tolist() == [
        [0, 1, 2, 2, 2, 4, 5],
        [0, 1, 2, 2, 3, 4, 5],
        [0, 1, 2, 3, 3, 4, 5],
    ]


def test_moments_that_are_left_keep_their_spacing():
    positions, visual = prompt(1, (4, 1, 1), 1, spacing=6)
    left = closed(positions, visual, 2, 3)
    assert left.tolist() == [[0, 1, 7, 2], [0, 1, 1, 2], [0, 1, 1, 2]]


def test_a_run_of_which_nothing_is_left_takes_no_room():
    positions, visual = prompt(2, (1, 2, 2), 3, (1, 1, 2), 1)
    left = closed(positions, visual, 2, 3, 4, 5)
    assert left[1].tolist() == [0, 1, 2, 3, 4, 5, 5, 7]


def test_padding_on_either_side_counts_for_nothing():
    positions, visual = prompt(1, (1, 2, 2), 2)
    alone = closed(positions, visual, 2)
    pad = torch.zeros(3, 1, 2, dtype=torch.long), torch.zeros(1, 2, dtype=torch.bool)
    for before, gone in ((True, [0, 1, 4]), (False, [2, 7, 8])):
        parts = [(pad[i], x) if before else (x, pad[i]) for i, x in enumerate((positions, visual))]
        assert torch.equal(closed(*(torch.cat(part, -1) for part in parts), *gone), alone)


def test_the_axes_are_closed_each_on_its_own():
    positions, visual = prompt((1, 3, 3))
    left = closed(positions, visual, *[n for n in range(9) if n not in (2, 6)])  # two corners
    assert left.tolist() == [[0, 0], [0, 1], [1, 0]]
