"""Check the tokens that a visitor chose by hand, as the browser sends them, before anything is done."""

from __future__ import annotations

import torch
from torch import Tensor

from rediprune.tokens import VisionTokens


def parse_user_tokens(given: object, vision: VisionTokens) -> Tensor:
    """Return the flat indices (t * N + n) [K], ascending, each of them once.

    Raises:
        ValueError: not a list of whole numbers, none at all, or one that names no token of this picture.
    """
    if not isinstance(given, list) or any(type(i) is not int for i in given):
        raise ValueError("Chosen tokens must be a list of whole numbers.")
    if not given:
        raise ValueError("No token is chosen: add at least one, or reset to the rule.")
    known = set(vision.all.tolist())
    if unknown := [i for i in given if i not in known]:
        raise ValueError(f"There is no token {unknown[0]} in this picture: choose among its {len(known)}.")
    return torch.tensor(sorted(set(given)))
