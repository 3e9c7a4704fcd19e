"""Map visual tokens into the joint image-text space, one by one, as CLIP and SigLIP map their pictures."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Tokens that go through a pooling head at a time: its MLP makes several numbers of each of theirs.
TOKENS_AT_ONCE = 1024


class Lift(Protocol):
    """Map visual tokens [T, N, C] to [T, N, E] float32, each by itself.

    Attributes:
        width: C.
        joint_width: E.
        token_macs: multiply-adds for one token; None for one projection, C * E.
        device: where it computes.
    """

    width: int
    joint_width: int
    token_macs: int | None
    device: torch.device

    def __call__(self, tokens: Tensor) -> Tensor:
        """Map float32 tokens on `device`."""


class ProjectionLift:
    """Apply CLIP's last LayerNorm and its projection, which CLIP itself applies to the class token."""

    def __init__(self, scale: Tensor, shift: Tensor, projection: Tensor, eps: float) -> None:
        """Take the LayerNorm's weight and bias, [C] each, the projection [C, E], and the LayerNorm's eps."""
        self._scale, self._shift, self._projection = scale, shift, projection
        self._eps = eps
        self.width, self.joint_width = projection.shape
        self.token_macs: int | None = None
        self.device = projection.device

    def __call__(self, tokens: Tensor) -> Tensor:
        """Map float32 tokens on `device`."""
        return F.layer_norm(tokens, (self.width,), self._scale, self._shift, self._eps) @ self._projection


class PoolLift:
    """Apply SigLIP's pooling head to each token as if it were the only one of its picture.

    The head attends from one learned query to all tokens, and its MLP follows. Over one token the attention
    has a single weight, 1, so the result is that token's own contribution in the joint space.
    """

    def __init__(self, norm: nn.Module, pool: nn.Module) -> None:
        """Take the encoder's last LayerNorm and its attention pool (timm's AttentionPoolLatent)."""
        self._norm, self._pool = norm, pool
        self.width = pool.kv.in_features
        self.joint_width = pool.proj.out_features
        mlp = pool.mlp.fc1
        self.token_macs = self.width * self.joint_width + self.joint_width**2
        self.token_macs += 2 * mlp.in_features * mlp.out_features
        self.device = pool.proj.weight.device

    def __call__(self, tokens: Tensor) -> Tensor:
        """Map float32 tokens on `device`."""
        alone = self._norm(tokens).reshape(-1, 1, self.width)
        pooled = [self._pool(part) for part in alone.split(TOKENS_AT_ONCE)]
        return torch.cat(pooled).view(*tokens.shape[:-1], self.joint_width)
