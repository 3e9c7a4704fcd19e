"""LLaVA-1.5: one square view, 6 x 6 tokens."""

from __future__ import annotations

import torch

from tests.support import tiny

from . import Family
from .building import patched


def patches(inputs: dict, kind: str) -> torch.Tensor:
    return patched(inputs["pixel_values"], tiny.PATCH)


FAMILY = Family(
    name="LLaVA-1.5",
    kinds=("image",),
    model=lambda dtype: tiny.model(dtype=dtype),
    processor=tiny.processor,
    patches=patches,
)
