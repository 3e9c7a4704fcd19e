"""Which query points at the answer: where the chosen tokens lie, against the scene's ground truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .arms import QUERIES, RANDOM, Arm
from .intervals import by_scene

if TYPE_CHECKING:
    from .evaluate import Case


def pointing(found: list[Case], k: int) -> dict:
    """Mean share of k chosen tokens that lie on the patches of the answer, where the answer lies somewhere.

    Per query: `top_relevance`, the k most relevant tokens, and `kept`, the k that ReDiPrune keeps; `any` is
    the share of questions with at least one such token on the answer. Beside them `random`, tokens of the
    random arm; `chance`, what random tokens reach on average; `ceiling`, what the best choice of k would.
    """
    found = [c for c in found if c.question.patches]
    n_tokens, seeds = found[0].seen.vision.n_tokens, [c.scene_seed for c in found]

    def share(chosen: list[Tensor]) -> dict:
        on = np.array(
            [
                torch.isin(tokens, torch.tensor(c.question.patches)).float().mean().item()
                for c, tokens in zip(found, chosen, strict=True)
            ]
        )
        return {**by_scene(on, seeds), "any": float((on > 0).mean())}

    rows = []
    for query in QUERIES:
        top = share([c.relevance[query].argsort(descending=True, stable=True)[:k] for c in found])
        kept = share([c.orders[Arm("rediprune", *query)][:k] for c in found])
        rows.append({"query": query[0], "pointing": query[1], "top_relevance": top, "kept": kept})
    held = np.array([len(c.question.patches) for c in found])
    return {
        "n": len(found),
        "k": k,
        "chance": float(held.mean()) / n_tokens,
        "random": share([c.orders[RANDOM][:k] for c in found]),
        "ceiling": float(np.minimum(held, k).mean()) / k,
        "rows": rows,
    }
