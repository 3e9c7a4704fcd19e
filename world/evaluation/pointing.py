"""Measure how many of the chosen tokens lie on the answer, against the ground truth of the scenes."""

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
    questions: Sequence[EvalQuestion],
    n_tokens: int,
    relevance: Mapping[str, Sequence[Tensor]],
    kept: Mapping[str, Sequence[Tensor]],
    random: Sequence[Tensor],
) -> dict:
    """Measure the mean share of k chosen tokens that lie on the patches holding the answer.

    Questions whose answer lies nowhere ("is there a star?" "no") are left out.

    Args:
        questions: Q questions.
        n_tokens: visual tokens of one scene or clip.
        relevance: for each query of arms.QUERIES and each question the relevance [T, N] of every token.
        kept: for each query and each question the flat indices [k] that ReDiPrune keeps.
        random: for each question the flat indices [k] of random tokens.

    Returns:
        "n", the number of questions, and "k"; "rows", one per query, with "top_relevance" (the k most
        relevant tokens) and "kept"; "random"; "chance", what random tokens reach on average; "ceiling", what
        the best choice of k tokens would reach. Each share has its "mean", its "interval", and "any", the
        share of questions with at least one chosen token on the answer. All lie in [0, 1].
    """
    located = [i for i, question in enumerate(questions) if question.question.patches]
    answers = [torch.tensor(questions[i].question.patches) for i in located]
    scenes = [questions[i].scene for i in located]
    k = len(random[0])

    def measure_share(chosen: Sequence[Tensor]) -> dict:
        per_question = np.array(
            [
                torch.isin(chosen[i], answer).float().mean().item()
                for i, answer in zip(located, answers, strict=True)
            ]
        )
        return {**cluster_bootstrap(per_question, scenes)._asdict(), "any": float((per_question > 0).mean())}

    def take_most_relevant(scores_of_questions: Sequence[Tensor]) -> list[Tensor]:
        return [scores.flatten().argsort(descending=True, stable=True)[:k] for scores in scores_of_questions]

    rows = [
        {
            "query": QUERIES[name][0],
            "pointing": QUERIES[name][1],
            "top_relevance": measure_share(take_most_relevant(relevance[name])),
            "kept": measure_share(kept[name]),
        }
        for name in relevance
    ]
    answer_sizes = np.array([len(answer) for answer in answers])
    return {
        "n": len(located),
        "k": k,
        "chance": float(answer_sizes.mean()) / n_tokens,
        "random": measure_share(random),
        "ceiling": float(np.minimum(answer_sizes, k).mean()) / k,
        "rows": rows,
    }
