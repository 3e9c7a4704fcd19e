"""Which query points at the answer: where the chosen tokens lie, against the scene's ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .arms import RANDOM, Arm
from .intervals import by_scene

if TYPE_CHECKING:
    from .cases import Case, Query


def pointing(found: list[Case], queries: Sequence[Query], ratio: float) -> dict:
    """Mean share of the k chosen tokens that lie on the answer, where the answer lies somewhere.

    Per query: `top_relevance`, the k most relevant tokens of all, and `kept`, the k that ReDiPrune keeps of
    every frame its share; `any` is the share of questions with at least one such token on the answer. Beside
    them `random`, tokens of the random arm; `chance`, what random tokens reach on average; `ceiling`, what
    the best choice of k would.
    """
    found = [c for c in found if c.question.patches]
    n_tokens, seeds, k = len(found[0].all), [c.seed for c in found], len(found[0].kept[RANDOM, ratio])

    def share(chosen: list[Tensor]) -> dict:
        on = np.array(
            [
                torch.isin(tokens, torch.tensor(c.question.patches)).float().mean().item()
                for c, tokens in zip(found, chosen, strict=True)
            ]
        )
        return {**by_scene(on, seeds), "any": float((on > 0).mean())}

    rows = []
    for query in queries:
        top = share([c.relevance[query].argsort(descending=True, stable=True)[:k] for c in found])
        kept = share([c.kept[Arm("rediprune", *query), ratio] for c in found])
        rows.append({"query": query[0], "pointing": query[1], "top_relevance": top, "kept": kept})
    held = np.array([len(c.question.patches) for c in found])
    return {
        "n": len(found),
        "k": k,
        "chance": float(held.mean()) / n_tokens,
        "random": share([c.kept[RANDOM, ratio] for c in found]),
        "ceiling": float(np.minimum(held, k).mean()) / k,
        "rows": rows,
    }
