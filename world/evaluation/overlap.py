"""Compare which tokens different arms keep, and how strongly a query tells tokens apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from rediprune.evaluation.bootstrap import cluster_bootstrap


def shared_tokens(
    kept: Mapping[str, Sequence[Tensor]], reference: str, scenes: Sequence[int]
) -> dict[str, dict]:
    """Measure for each arm the share of the reference's kept tokens that the arm keeps too.

    Args:
        kept: for each arm and each question the flat indices int64 [K] of the kept tokens.
        reference: an arm of `kept`.
        scenes: the scene of each question; intervals resample whole scenes.

    Returns:
        For each arm {"mean": ..., "interval": (low, high)}, shares in [0, 1].
    """
    shares = {}
    for arm, kept_by_arm in kept.items():
        per_question = [
            torch.isin(kept_by_reference, own).float().mean().item()
            for kept_by_reference, own in zip(kept[reference], kept_by_arm, strict=True)
        ]
        shares[arm] = cluster_bootstrap(np.array(per_question), scenes)._asdict()
    return shares


def relevance_spread(relevance: Sequence[Tensor], scenes: Sequence[int]) -> dict:
    """Measure the standard deviation of relevance over the tokens of one scene or clip.

    Args:
        relevance: for each question the relevance [T, N] of every token, a cosine in [-1, 1].
        scenes: the scene of each question; the interval resamples whole scenes.

    Returns:
        {"mean": ..., "interval": (low, high)} over the questions.
    """
    deviations = np.array([scores.std().item() for scores in relevance])
    return cluster_bootstrap(deviations, scenes)._asdict()
