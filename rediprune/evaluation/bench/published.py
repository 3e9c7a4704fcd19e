"""The published selection as it is described, to measure against: frame by frame, every step from scratch.

Written here from the paper's description (arXiv 2603.24680), not copied from any code. At each step the
distances to ALL earlier picks are reduced again, which costs O(N K^2) per frame; nothing is done more slowly
than that asks for. It is no part of the library's own way.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def select(features: Tensor, query: Tensor, alpha: float, k: int) -> Tensor:
    """[T, N, C] and [C] -> the first k picks of every frame, [T, k] int64."""
    q = F.normalize(query.float(), dim=-1)
    found = []
    for frame in features:
        x = F.normalize(frame.float(), dim=-1)
        found.append(pick(1 - x @ x.T, x @ q, alpha, k))
    return torch.stack(found)


@torch.no_grad()
def pick(between: Tensor, relevance: Tensor, alpha: float, k: int) -> Tensor:
    """The loop alone: distances [N, N] and relevance [N] of one frame -> its first k picks, [k]."""
    picked = torch.empty(k, dtype=torch.int64, device=relevance.device)
    picked[0] = relevance.argmax()
    for step in range(1, k):
        earlier = picked[:step]
        score = between[earlier].amin(dim=0) + alpha * relevance
        score[earlier] = -math.inf
        picked[step] = score.argmax()
    return picked
