"""Score tokens by relevance and max-min diversity: the rule of ReDiPrune (arXiv 2603.24680), pure on tensors.

Per frame, with unit vectors x_i and a unit query q: relevance s_i = <x_i, q>, distance D_ij = 1 - <x_i, x_j>.
The first pick is argmax s_i; every next pick is the unpicked i with the largest

    score_i = min over picked j of D_ij + alpha * s_i.

Everything here is float32, whatever comes in, and knows no model. One setting of the process can coarsen
that: on CUDA, torch.set_float32_matmul_precision("high") rounds the products behind D to TF32 (about 1e-3),
and picks whose scores lie nearer than that may fall differently. Torch has it off by default; it is left as
found here, because other threads live under it too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import kept_count
from ..query.prompt_tail import fold
from ..trace import Query
from .greedy_loop import LoopInputs, greedy_loop

Grid = tuple[int, ...]  # (rows, cols) of a frame's tokens, and how many more follow that lie nowhere in it


class Picks(NamedTuple):
    """Hold what a method returns: a picking order per weight and frame, with the evidence of every pick.

    Attributes:
        order: [W, T, N] int64, token indices in the order of picking; shorter than N where it was ended.
        distance: like order, float32: each pick's distance to its nearest earlier pick; None if not measured.
        score: like order, float32: what each pick won by (see trace.Selection); None if not measured.
    """

    order: Tensor
    distance: Tensor | None
    score: Tensor | None


@torch.no_grad()
def greedy(
    features: Tensor,
    relevance: Tensor,
    alphas: Sequence[float],
    candidates: Tensor | None = None,
    between: Tensor | None = None,
    n_picks: int | None = None,
) -> Picks:
    """Pick greedily in every frame for every weight, all at once (paper, eq. 4).

    A running minimum holds every token's distance to its nearest pick, so a step costs O(W T N). Equal scores
    go to the lowest index. Exactly equal tokens score equally; nearly equal ones are told apart
    by float32 rounding, about 1e-7.

    Args:
        features: [T, N, C], finite. A token of zeros has no direction: distance 1 to every other.
        relevance: [T, N]; its maximum is the first pick.
        alphas: W weights in [0, inf]; inf ignores distances (but still reports them).
        candidates: [T, N] bool, at least one per frame: all of them are picked before any other token.
        between: [T, N, N], distances(features) where they are known already; the diagonal is never read.
        n_picks: stop after so many picks, 1..N: the same ones that the full order, the default, begins with.

    Returns:
        Picks of as many tokens; distance[..., 0] is NaN and score[..., 0] the relevance of the first pick.
    """
    T, N = relevance.shape
    W = len(alphas)
    device = relevance.device
    relevance = relevance.float()
    if between is None:
        between = distances(features)
    blocked = blocked_until = None
    if candidates is not None:  # the others wait until every candidate of their frame is picked
        blocked = (~candidates).repeat(W, 1)
        blocked_until = candidates.sum(-1, keepdim=True).repeat(W, 1)

    # One row for each weight and frame, [W * T, N]: all frames under the first weight, then the second, ...
    alpha = torch.tensor(alphas, dtype=torch.float32, device=device).view(W, 1, 1)
    relevance_only = alpha.isinf()
    inputs = LoopInputs(
        first_scores=relevance.repeat(W, 1),  # the first pick is by relevance alone
        weighted_relevance=(torch.where(relevance_only, 1.0, alpha) * relevance).view(W * T, N),
        relevance_only=relevance_only.expand(W, T, 1).reshape(W * T),
        distances=between.view(T * N, N),
        row_offset=torch.arange(T, device=device).mul_(N).repeat(W),
        blocked=blocked,
        blocked_until=blocked_until,
    )
    order, distance, score = greedy_loop(inputs, N if n_picks is None else n_picks)
    distance[0] = math.nan  # there was no earlier pick
    # The loop returns [picks, W * T]; Picks hold [W, T, picks].
    return Picks(*(evidence.T.reshape(W, T, -1) for evidence in (order, distance, score)))


def distances(features: Tensor) -> Tensor:
    """Measure cosine distances between the tokens of each frame, [T, N, C] -> [T, N, N] float32 in [0, 2]."""
    return unit_distances(unit(features))


def unit_distances(directions: Tensor) -> Tensor:
    """Measure the cosine distance between unit vectors (see `unit`), [T, N, C] -> [T, N, N] in [0, 2]."""
    n = directions.shape[-2]
    if n < 16:
        # A CPU's product of so few rows may round equal ones differently: then equal tokens would not tie.
        directions = F.pad(directions, (0, 0, 0, 16 - n))
    with torch.autocast(directions.device.type, enabled=False):
        product = directions @ directions.mT
    return product.neg_().add_(1).clamp_(0, 2)[..., :n, :n].contiguous()


@torch.no_grad()
def relevance(features: Tensor, query: Query, directions: Tensor | None = None) -> Tensor:
    """Measure the cosine between every visual token and the query, in the query's space and with its sign.

    Args:
        features: [T, N, C], what the projector would receive; used where the query brings no keys of its own.
        query: its vector is folded to the width of the tokens it is compared with (query.prompt_tail.fold).
        directions: unit(features), where they were checked and made already; not changed.

    Returns:
        [T, N] float32 in [-1, 1]; 0 for a token of zeros.

    Raises:
        ValueError: NaN, infinite or all-zero features or query; keys of another shape than the features.
    """
    if query.keys is None:
        keys, name = features, "features"
    else:
        keys, name = query.keys, "query keys"
        directions = None  # those of the features, which are not compared here
    if directions is None:
        check_tokens(keys, name)
    if keys.shape[:2] != features.shape[:2]:
        raise ValueError(
            f"query keys have shape {tuple(keys.shape)} but the features {tuple(features.shape)}: "
            "both need the same frames and tokens, so build the query from these features"
        )
    vector = query.vector.to(keys.device, torch.float32)
    if vector.dim() != 1 or vector.numel() == 0:
        raise ValueError(f"query has shape {tuple(vector.shape)}: it must be a single vector [C]")
    if query.keys is not None and len(vector) != keys.shape[-1]:
        raise ValueError(
            f"query has width {len(vector)} but its keys have {keys.shape[-1]}: they must share a space"
        )
    vector = fold(vector, keys.shape[-1])
    peak = vector.abs().max().item()
    if not math.isfinite(peak):
        raise ValueError("query holds NaN or infinite values, so no relevance can be measured against it")
    if peak == 0:
        raise ValueError("query is all zeros after folding: it points nowhere, so relevance is undefined")
    if directions is None:
        directions = unit(keys)
    query_direction = unit(vector)
    # [T, N]. A sum of products, not a matrix product: it rounds equal tokens equally, so they tie. Frame by
    # frame: the products of a whole clip would be fresh memory, which costs more than making them.
    cosine = torch.stack([(frame * query_direction).sum(-1) for frame in directions])
    return (query.sign * cosine.clamp_(-1, 1)).to(features.device)


def tau_candidates(relevance: Tensor, keep_ratio: float, tau: float) -> Tensor:
    """Apply the published filter for tau > 0: which tokens may be picked at all, [T, N] -> [T, N] bool.

    With K = kept_count(N, keep_ratio): for K < N // 2 the top min(N, max(3K, K + 1)) by relevance (the value
    of tau plays no part, as published); otherwise those with relevance >= tau, or the top K where fewer pass.
    """
    n = relevance.shape[-1]
    k = kept_count(n, keep_ratio)
    # The rank of every token by relevance, 0 for the highest: the inverse of the sorting permutation.
    rank = relevance.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1)
    if k < n // 2:
        return rank < min(n, max(3 * k, k + 1))
    passing = relevance >= tau
    return torch.where(passing.sum(-1, keepdim=True) < k, rank < k, passing)


def unit(x: Tensor) -> Tensor:
    """Scale to unit length along the last axis, in float32; a vector of zeros stays zero."""
    tiny = torch.finfo(torch.float32).tiny
    x = x.float()
    x = x / _peak(x, -1).clamp_min_(tiny)  # so that squares neither overflow nor vanish
    # In place: for a clip these are tens of megabytes, and fresh memory costs more than the arithmetic.
    return x.div_(x.norm(dim=-1, keepdim=True).clamp_min_(tiny))


def _peak(x: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    """Return the largest absolute value along `dim`, kept as 1; NaN where there is one. Never copies x."""
    return torch.maximum(x.amax(dim, keepdim=True), -x.amin(dim, keepdim=True))


def check_tokens(tokens: Tensor, name: str) -> None:
    """Refuse what no cosine can be taken of: not [T, N, C], empty, NaN, infinite, or a frame of zeros."""
    if not isinstance(tokens, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor [T, N, C], not {type(tokens).__name__}")
    if tokens.dim() != 3 or tokens.numel() == 0:
        raise ValueError(
            f"{name} have shape {tuple(tokens.shape)}: expected a non-empty [T, N, C] "
            "(frames, visual tokens per frame, width)"
        )
    peaks = _peak(tokens, (1, 2)).float().flatten().tolist()
    for t, peak in enumerate(peaks):
        if not math.isfinite(peak):
            raise ValueError(
                f"{name} of frame {t} hold NaN or infinite values: the vision encoder overflowed, "
                "so run it in float32 or bfloat16"
            )
        if peak == 0:
            raise ValueError(
                f"{name} of frame {t} are all zeros: there is nothing to tell its tokens apart by"
            )
