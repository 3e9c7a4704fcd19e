"""Compute the numbers that the story tells, each from the records of the run. No Gradio."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rediprune.config import PruneConfig
from rediprune.explainer.ask import PreparedQuestion
from rediprune.explainer.encode import Encoding
from rediprune.explainer.protocol import ExplainerLike
from rediprune.query.prompt_tail import SHARPNESS
from rediprune.selection.greedy import unit
from rediprune.tokens import VisionTokens
from rediprune.trace import Selection

FIRST = 5  # picks that are explained one by one


@dataclass(frozen=True)
class Pick:
    """Hold one pick and its runner-up; None if the method measures no such number.

    Attributes:
        token, rival: flat indices (t * N + n).
        relevance, distance, score: as in trace.Selection.
        rival_score: the highest score of a token that could have been picked in its place.
    """

    token: int
    relevance: float | None
    distance: float | None
    score: float | None
    rival: int | None = None
    rival_score: float | None = None


@dataclass(frozen=True)
class Against:
    """Hold the relevance of the tokens to a vector that replaces the query.

    Attributes:
        relevance: [T, N], NaN where no token is present.
        same: how many of the kept tokens the method would keep with this vector; None if it uses no query or
            cannot select again.
    """

    relevance: Tensor
    same: int | None

    @property
    def values(self) -> Tensor:
        """Return the relevance of the tokens that are present, [n_tokens]."""
        return self.relevance[~self.relevance.isnan()]


def find_question_span(tokens: tuple[str, ...], question: str) -> tuple[int, int] | None:
    """Return which tokens of the query hold the question, [from, to); None if its text is not in them."""
    bare = ["".join(token.split()).casefold() for token in tokens]
    wanted = "".join(question.split()).casefold()
    start = "".join(bare).find(wanted)
    if start < 0 or not wanted:
        return None
    ends = [0]
    for token in bare:
        ends.append(ends[-1] + len(token))
    stop = start + len(wanted)
    inside = [i for i, token in enumerate(bare) if token and ends[i + 1] > start and ends[i] < stop]
    return inside[0], inside[-1] + 1


def recency_weights(length: int) -> Tensor:
    """Return how much each place of the published query counts before mixing, [L], summing to 1."""
    return torch.softmax(SHARPNESS * torch.linspace(0, 1, length), dim=0)


def list_first_picks(vision: VisionTokens, selection: Selection, count: int = FIRST) -> list[Pick]:
    """Return the first picks of the first group: the first frame, or all frames if they share a budget."""
    count = min(count, selection.counts[0])
    order = selection.order[0, :count].tolist()
    relevance = None if selection.relevance is None else selection.relevance.flatten()
    rivals = [(None, None)] * count
    if selection.config.method == "rediprune" and selection.nested:
        rivals = _rivals(vision, selection, order)

    def at(evidence: Tensor | None, i: int) -> float | None:
        value = math.nan if evidence is None else float(evidence[i])
        return None if math.isnan(value) else value

    distance, score = (None if x is None else x[0] for x in (selection.distance, selection.score))
    return [
        Pick(token, at(relevance, token), at(distance, i), at(score, i), *rivals[i])
        for i, token in enumerate(order)
    ]


def _rivals(vision: VisionTokens, selection: Selection, order: list[int]) -> list[tuple]:
    """Return for each pick the token and score of the best one that was left."""
    size, alpha = selection.order.shape[-1], selection.config.alpha
    tokens = unit(vision.features.flatten(0, 1)[:size]).cpu()
    relevance = selection.relevance.flatten()[:size]
    free = torch.ones(size, dtype=torch.bool)
    if vision.valid is not None:
        free &= vision.valid.flatten()[:size]
    nearest, total, found = torch.full((size,), math.inf), relevance, []
    for pick in order:
        free[pick] = False
        best = total.masked_fill(~free, -math.inf).max(dim=0)
        found.append((int(best.indices), float(best.values)) if free.any() else (None, None))
        nearest = torch.minimum(nearest, (1 - tokens @ tokens[pick]).clamp(0, 2))
        total = relevance if math.isinf(alpha) else nearest + alpha * relevance
    return found


def measure_against(
    explainer: ExplainerLike, look: Encoding, asked: PreparedQuestion, config: PruneConfig
) -> dict[str, Against]:
    """Measure relevance against the query, the query with its sign reversed, and a random vector (seed 0)."""
    query = asked.query
    chance = torch.randn(query.vector.shape, generator=torch.Generator().manual_seed(0))
    vectors = {
        "query": query,
        "turned": replace(query, sign=-query.sign),
        "random": replace(query, vector=chance.to(query.vector)),
    }
    rechosen = config.asks_query and explainer.can_measure(config.method)
    measured = config if rechosen else replace(config, method="relevance")
    found, mine = {}, None
    for name, vector in vectors.items():
        chosen = explainer.select(look, replace(asked, query=vector), measured)
        kept = chosen.kept()
        mine = kept if mine is None else mine
        same = int(torch.isin(kept, mine).sum()) if rechosen else None
        found[name] = Against(chosen.relevance, same)
    return found


def mean_distance_to_kept(vision: VisionTokens, kept: Tensor, budget: str) -> float:
    """Return the mean cosine distance (0 to 2) of all tokens to the nearest kept one of their budget."""
    frames, n = vision.shape
    tokens, mine = unit(vision.features.flatten(0, 1)).cpu(), vision.all
    size = frames * n if budget == "shared" else n
    total = 0.0
    for start in range(0, frames * n, size):
        those, few = (x[(x >= start) & (x < start + size)] for x in (mine, kept))
        total += float((1 - tokens[those] @ tokens[few].T).clamp(0, 2).amin(dim=1).sum())
    return total / len(mine)
