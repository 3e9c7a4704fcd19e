"""Choose what the encoder's class token attends to: [CLS] attention, FasterVLM (arXiv 2412.01818).

VisionZip (arXiv 2412.04467) keeps the same tokens as its dominant ones; what it makes of the others, merging
them into contextual tokens, is no choice among tokens and not done here. The question plays no part.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ...config import PruneConfig
from ..greedy import Grid, Picks
from . import relevance


def pick(
    tokens: Tensor,
    scores: Tensor | None,
    alphas: Sequence[float],
    config: PruneConfig,
    grids: Sequence[Grid],
    n_picks: int | None = None,
) -> Picks:
    """Pick by descending attention of the class token (`scores`), equal ones by lowest index."""
    return relevance.pick(tokens, scores, alphas, config, grids)
