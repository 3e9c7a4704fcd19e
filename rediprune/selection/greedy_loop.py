"""The loop of the greedy rule, pick after pick, for R rows (a frame under one weight) at once.

A step is a handful of operations on [R, N]. They are so small that calling them is what costs, and NumPy is
called in about a third of torch's time: so on a CPU the loop is NumPy's. On every other device it is torch's,
and there nothing in it waits for the device. Both do the same float32 operations in the same order: the same
picks, the same evidence to the last bit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Rows(NamedTuple):
    """What the loop reads; everything on one device.

    first [R, N]: scores of the first pick. bonus [R, N]: what is added to a token's distance from then on.
    alone [R] bool: rows in which the bonus alone decides. between [T * N, N]: distances of token i of frame t
    to its frame in row t * N + i. frame [R]: t * N of each row. waiting [R, N] bool and until [R, 1]: tokens
    that must not be picked before step `until`; None where all may.
    """

    first: Tensor
    bonus: Tensor
    alone: Tensor
    between: Tensor
    frame: Tensor
    waiting: Tensor | None = None
    until: Tensor | None = None


def walk(rows: Rows, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """The first `steps` picks of every row: order, distance and score, each [steps, R].

    Equal scores go to the lowest index. distance[0] is infinite: there was no earlier pick.
    """
    return (on_cpu if rows.first.device.type == "cpu" else on_device)(rows, steps)


def on_cpu(rows: Rows, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """`walk` in NumPy."""
    first, bonus, alone, between, frame, waiting, until = (
        x if x is None else x.detach().numpy() for x in rows
    )
    total, bonus = first.copy(), bonus.copy()
    nearest, row = np.full_like(total, math.inf), np.empty_like(total)
    order = np.empty((steps, len(total)), dtype=np.int64)
    distance, score = np.empty(order.shape, np.float32), np.empty(order.shape, np.float32)
    start = np.arange(0, total.size, total.shape[1])  # of each row in the flat arrays
    flat_total, flat_nearest, flat_bonus = total.reshape(-1), nearest.reshape(-1), bonus.reshape(-1)
    any_alone = alone.any()
    for step in range(steps):
        if waiting is not None:
            total[waiting & (step < until)] = -math.inf
        pick = total.argmax(axis=-1, out=order[step])  # the first of equal maxima
        at = pick + start
        # mode: "raise", the default, would copy everything once more, and no index is out of bounds
        flat_total.take(at, out=score[step], mode="clip")
        flat_nearest.take(at, out=distance[step], mode="clip")
        flat_bonus[at] = -math.inf
        between.take(pick + frame, axis=0, out=row, mode="clip")
        np.minimum(nearest, row, out=nearest)
        np.add(bonus, nearest, out=total)
        if any_alone:
            total[alone] = bonus[alone]
    return torch.from_numpy(order), torch.from_numpy(distance), torch.from_numpy(score)


def on_device(rows: Rows, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """`walk` in torch."""
    first, bonus, alone, between, frame, waiting, until = rows
    total, bonus, share = first.clone(), bonus.clone(), (~alone).float()[:, None]
    nearest, row = (torch.full_like(total, math.inf) for _ in range(2))
    order = torch.empty(steps, len(total), dtype=torch.int64, device=total.device)
    distance, score = (total.new_empty(order.shape) for _ in range(2))
    for step, (pick, best, away) in enumerate(zip(order, score, distance, strict=True)):
        if waiting is not None:
            total.masked_fill_(waiting & (step < until), -math.inf)
        torch.max(total, dim=-1, out=(best, pick))  # the first of equal maxima
        column = pick.unsqueeze(-1)
        torch.gather(nearest, -1, column, out=away.unsqueeze(-1))
        bonus.scatter_(-1, column, -math.inf)
        torch.index_select(between, 0, pick + frame, out=row)
        torch.minimum(nearest, row, out=nearest)
        torch.addcmul(bonus, nearest, share, out=total)
    return order, distance, score
