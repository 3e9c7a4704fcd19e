"""Which query points at the answer: where the chosen tokens lie, against the scene's ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rediprune.evaluation.bootstrap import cluster_bootstrap

from .arms import QUERIES

if TYPE_CHECKING:
    from .cases import EvalQuestion


def measure_pointing(
    asked: Sequence[EvalQuestion],
    n_tokens: int,
    relevance: Mapping[str, Sequence[Tensor]],
    kept: Mapping[str, Sequence[Tensor]],
    random: Sequence[Tensor],
) -> dict:
    """Mean share of the k chosen tokens that lie on the answer, where the answer lies somewhere.

    Args:
        asked: the questions.
        n_tokens: of each scene or clip.
        relevance: by query of arms.QUERIES, for every question that of every token.
        kept: by query, for every question the k flat indices that ReDiPrune keeps.
        random: for every question k random ones.

    Returns:
        Per query `top_relevance`, of the k most relevant tokens of all, and `kept`; `any` is the share of
        questions with at least one such token on the answer. Beside them `random`; `chance`, what random
        tokens reach on average; `ceiling`, what the best choice of k would.
    """
    where = [i for i, case in enumerate(asked) if case.question.patches]
    answers = [torch.tensor(asked[i].question.patches) for i in where]
    scenes, k = [asked[i].scene for i in where], len(random[0])

    def share(chosen: Sequence[Tensor]) -> dict:
        on = np.array(
            [torch.isin(chosen[i], on).float().mean().item() for i, on in zip(where, answers, strict=True)]
        )
        return {**cluster_bootstrap(on, scenes)._asdict(), "any": float((on > 0).mean())}

    def top(of_all: Sequence[Tensor]) -> list[Tensor]:
        return [one.flatten().argsort(descending=True, stable=True)[:k] for one in of_all]

    rows = [
        {"query": QUERIES[name][0], "pointing": QUERIES[name][1],
         "top_relevance": share(top(relevance[name])), "kept": share(kept[name])}
        for name in relevance
    ]  # fmt: skip
    held = np.array([len(on) for on in answers])
    return {
        "n": len(where),
        "k": k,
        "chance": float(held.mean()) / n_tokens,
        "random": share(random),
        "ceiling": float(np.minimum(held, k).mean()) / k,
        "rows": rows,
    }
