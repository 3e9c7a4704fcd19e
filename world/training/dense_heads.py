"""Train every visual token to carry what its patch shows: the dense losses of the vision tower."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..render.scenes import COLORS, DIGITS, GRID_SIZE, MAX_SHAPES, PATCH_SIZE, SHAPES

if TYPE_CHECKING:
    from .scene_store import SceneBatch


class DenseHeads(nn.Module):
    """Linear heads on a visual token, for training only: they make the token carry what answers need.

    Args:
        width: of a visual token, C.
    """

    SIZES: ClassVar = {
        "color": len(COLORS), "shape": len(SHAPES), "digit": len(DIGITS) + 1, "here": 1, "offset": 2,
        "row": GRID_SIZE, "col": GRID_SIZE, "same_color": MAX_SHAPES + 1, "same_shape": MAX_SHAPES + 1,
        "total": MAX_SHAPES + 1,
    }  # fmt: skip

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, sum(self.SIZES.values()))

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        """Compute the output of each head, float32 [B, 196, size of the head], from tokens [B, 196, C]."""
        parts = self.out(self.norm(tokens)).float().split(list(self.SIZES.values()), dim=-1)
        return dict(zip(self.SIZES, parts, strict=True))


def compute_dense_losses(heads: dict[str, Tensor], batch: SceneBatch) -> dict[str, Tensor]:
    """Compute the loss of every head, by its name.

    "offset" is the vector from the centre of the patch to the centre of its shape, in patches. "same_color"
    and "same_shape" count the shapes of the scene with an equal colour or form, the shape itself included;
    "total" counts all shapes.

    Args:
        heads: the output of DenseHeads, [B, 196, size of the head] each.
        batch: the scenes.
    """
    attributes = batch.attributes_per_patch()
    held = batch.owner >= 0  # a shape holds the patch; bool [B, 196]
    clear = batch.owner != -2  # the patch is clearly background or clearly a shape
    held_attributes = attributes[held]  # int64 [P, 6] of all P held patches
    losses = {
        name: F.cross_entropy(heads[name][held], held_attributes[:, i])
        for i, name in enumerate(("color", "shape", "digit"))
    }
    losses["here"] = F.binary_cross_entropy_with_logits(heads["here"][clear][:, 0], held[clear].float())
    patch = torch.arange(GRID_SIZE * GRID_SIZE).expand_as(batch.owner)
    row = patch // GRID_SIZE
    col = patch % GRID_SIZE
    # Centres (x, y) of the patches in pixels, [B, 196, 2].
    patch_center = torch.stack([col, row], -1) * PATCH_SIZE + PATCH_SIZE // 2
    offset = (attributes[..., 3:5] - patch_center).float() / PATCH_SIZE
    losses["offset"] = 0.3 * F.smooth_l1_loss(heads["offset"][held], offset[held])
    losses["row"] = 0.1 * F.cross_entropy(heads["row"].flatten(0, 1), row.flatten())
    losses["col"] = 0.1 * F.cross_entropy(heads["col"].flatten(0, 1), col.flatten())

    # Count shapes per patch, int64 [B, 196]: those that equal the shape of the patch in colour or form, and
    # all.
    there = batch.attributes[..., 0] >= 0
    for name, i in (("same_color", 0), ("same_shape", 1)):
        count = (
            (batch.attributes[:, None, :, i] == attributes[..., None, i]).logical_and(there[:, None]).sum(-1)
        )
        losses[name] = 0.5 * F.cross_entropy(heads[name][held], count[held])
    total = there.sum(-1, keepdim=True).expand_as(batch.owner)
    losses["total"] = 0.3 * F.cross_entropy(heads["total"].flatten(0, 1), total.flatten())
    return losses
