"""[CLS] attention: what the encoder's class token looks at, FasterVLM (arXiv 2412.01818).

VisionZip (arXiv 2412.04467) keeps the same tokens as its dominant ones; what it makes of the others, merging
them into contextual tokens, is no choice among tokens and not done here. The question plays no part.
"""

from __future__ import annotations

from ..greedy import Picks
from . import relevance


def pick(tokens, scores, alphas, config, grids, n_picks=None) -> Picks:
    """Descending attention of the class token, equal ones by lowest index; scores [T, N] hold it."""
    return relevance.pick(tokens, scores, alphas, config, grids)
