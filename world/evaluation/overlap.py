"""Do two arms that answer alike keep the same tokens, and how much does a query tell tokens apart?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from rediprune.evaluation.bootstrap import cluster_bootstrap


def shared_tokens(
    kept: Mapping[str, Sequence[Tensor]], reference: str, scenes: Sequence[int]
) -> dict[str, dict]:
    """Per arm: of the tokens that the reference keeps of a question, the share that the arm keeps too.

    Args:
        kept: by arm, for every question its flat token indices; the reference is one of them.
        scenes: what each question is about.
    """
    said = {}
    for arm, mine in kept.items():
        share = [
            torch.isin(its, own).float().mean().item() for its, own in zip(kept[reference], mine, strict=True)
        ]
        said[arm] = cluster_bootstrap(np.array(share), scenes)._asdict()
    return said


def relevance_spread(relevance: Sequence[Tensor], scenes: Sequence[int]) -> dict:
    """Standard deviation of relevance over the tokens of a picture or clip, mean over the questions."""
    return cluster_bootstrap(np.array([one.std().item() for one in relevance]), scenes)._asdict()
