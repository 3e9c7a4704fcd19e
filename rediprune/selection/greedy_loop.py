"""Run the greedy rule pick by pick, for R rows at once; a row is one frame under one relevance weight.

One step is a handful of operations on [R, N]. They are so small that the calls themselves cost most, and a
call of NumPy costs about a third of a call of torch. So on a CPU the loop runs in NumPy, and on every other
device in torch, where nothing in it waits for the device. Both do the same float32 operations in the same
order: they return the same picks and the same evidence, to the last bit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class LoopInputs(NamedTuple):
    """Hold what the loop reads, all on one device.

    Attributes:
        first_scores: [R, N] float32, the scores that decide the first pick.
        weighted_relevance: [R, N] float32, alpha * relevance, added to a token's distance from then on.
        relevance_only: [R] bool, rows with alpha = inf, where distance is ignored.
        distances: [T * N, N] float32; row t * N + i holds the distances of token i of frame t to its frame.
        row_offset: [R] int64, t * N for the frame t of each row.
        blocked: [R, N] bool, tokens that may not be picked before step `blocked_until`; None where all may.
        blocked_until: [R, 1] int64, a step; None where `blocked` is.
    """

    first_scores: Tensor
    weighted_relevance: Tensor
    relevance_only: Tensor
    distances: Tensor
    row_offset: Tensor
    blocked: Tensor | None = None
    blocked_until: Tensor | None = None


def greedy_loop(inputs: LoopInputs, n_picks: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pick `n_picks` tokens in every row; equal scores go to the lowest index.

    Returns:
        (order, distance, score), each [n_picks, R]. distance[0] is infinite: there was no earlier pick.
    """
    if inputs.first_scores.device.type == "cpu":
        return run_numpy(inputs, n_picks)
    return run_torch(inputs, n_picks)


def run_numpy(inputs: LoopInputs, n_picks: int) -> tuple[Tensor, Tensor, Tensor]:
    """Run the loop in NumPy, on CPU tensors; arguments and result as in `greedy_loop`."""
    arrays = (tensor if tensor is None else tensor.detach().numpy() for tensor in inputs)
    first, weighted, relevance_only, distances, row_offset, blocked, blocked_until = arrays
    n_rows, n_tokens = first.shape

    # State of the loop, [R, N] each: the scores of this step; what relevance adds, -inf once a token is
    # picked; the distance of every token to its nearest pick so far. `gathered` is room for one step's rows.
    total = first.copy()
    bonus = weighted.copy()
    nearest = np.full_like(total, math.inf)
    gathered = np.empty_like(total)

    # The result, [n_picks, R], written step by step.
    order = np.empty((n_picks, n_rows), dtype=np.int64)
    distance = np.empty(order.shape, np.float32)
    score = np.empty(order.shape, np.float32)

    # Flat views, because `take` with one index per row is quicker than indexing with two arrays.
    row_start = np.arange(0, total.size, n_tokens)
    flat_total = total.reshape(-1)
    flat_nearest = nearest.reshape(-1)
    flat_bonus = bonus.reshape(-1)
    any_relevance_only = relevance_only.any()

    for step in range(n_picks):
        if blocked is not None:
            total[blocked & (step < blocked_until)] = -math.inf
        pick = total.argmax(axis=-1, out=order[step])  # the first of equal maxima

        # Note the evidence of these picks. With mode "raise", the default, `take` would copy everything once
        # more; no index is out of bounds.
        position = pick + row_start
        flat_total.take(position, out=score[step], mode="clip")
        flat_nearest.take(position, out=distance[step], mode="clip")

        # Take the picks out, bring every token's nearest distance up to date, and score the next step.
        flat_bonus[position] = -math.inf
        distances.take(pick + row_offset, axis=0, out=gathered, mode="clip")
        np.minimum(nearest, gathered, out=nearest)
        np.add(bonus, nearest, out=total)
        if any_relevance_only:
            total[relevance_only] = bonus[relevance_only]
    return torch.from_numpy(order), torch.from_numpy(distance), torch.from_numpy(score)


def run_torch(inputs: LoopInputs, n_picks: int) -> tuple[Tensor, Tensor, Tensor]:
    """Run the loop in torch, on any device; arguments and result as in `greedy_loop`."""
    first, weighted, relevance_only, distances, row_offset, blocked, blocked_until = inputs

    # State of the loop, [R, N] each, as in `run_numpy`. `use_distance` [R, 1] is 0 where relevance alone
    # decides and 1 elsewhere: a product in place of a branch, so that no step waits for the device.
    total = first.clone()
    bonus = weighted.clone()
    nearest = torch.full_like(total, math.inf)
    gathered = torch.full_like(total, math.inf)
    use_distance = (~relevance_only).float()[:, None]

    # The result, [n_picks, R], written in place step by step.
    order = torch.empty(n_picks, len(total), dtype=torch.int64, device=total.device)
    distance = total.new_empty(order.shape)
    score = total.new_empty(order.shape)

    for step in range(n_picks):
        if blocked is not None:
            total.masked_fill_(blocked & (step < blocked_until), -math.inf)
        pick = order[step]
        torch.max(total, dim=-1, out=(score[step], pick))  # the first of equal maxima
        column = pick.unsqueeze(-1)
        torch.gather(nearest, -1, column, out=distance[step].unsqueeze(-1))
        bonus.scatter_(-1, column, -math.inf)
        torch.index_select(distances, 0, pick + row_offset, out=gathered)
        torch.minimum(nearest, gathered, out=nearest)
        torch.addcmul(bonus, nearest, use_distance, out=total)
    return order, distance, score
