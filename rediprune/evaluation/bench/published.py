"""Select tokens frame by frame as the published description says, every step from scratch.

Written from the description in arXiv 2603.24680, not copied from any code. At each step the distances to ALL
earlier picks are reduced again, which costs O(N K^2) per frame; nothing is slower than that asks for. The
library itself does not use this module.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def select(features: Tensor, query: Tensor, alpha: float, k: int) -> Tensor:
    """Pick the first k tokens of every frame: [T, N, C] and [C] -> [T, k] int64."""
    q = F.normalize(query.float(), dim=-1)
    found = []
    for frame in features:
        x = F.normalize(frame.float(), dim=-1)
        found.append(pick(1 - x @ x.T, x @ q, alpha, k))
    return torch.stack(found)


@torch.no_grad()
def pick(between: Tensor, relevance: Tensor, alpha: float, k: int) -> Tensor:
    """Run the loop for one frame: distances [N, N] and relevance [N] -> its first k picks, [k] int64."""
    picked = torch.empty(k, dtype=torch.int64, device=relevance.device)
    picked[0] = relevance.argmax()
    for step in range(1, k):
        earlier = picked[:step]
        # Distance to the nearest earlier pick plus weighted relevance, [N]; no token is picked twice.
        score = between[earlier].amin(dim=0) + alpha * relevance
        score[earlier] = -math.inf
        picked[step] = score.argmax()
    return picked
