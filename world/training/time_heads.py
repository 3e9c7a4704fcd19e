"""What every visual token of a clip must be able to say of time: the dense half of the LLM's training.

As world.training.dense_heads does for the tower: linear read-outs that are thrown away. An answer alone is
too thin a signal for a question that needs several steps (in which frame am I, where was my like before, who
is asked about).
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..render.clip_plans import N_FRAMES
from ..render.scenes import N_PATCHES, PATCH_SIZE


class TimeHeads(nn.Module):
    """Read-outs of the LLM's hidden states at visual tokens: `frame` early, what takes it as given later."""

    LAYERS: ClassVar = {"frame": 1, "since": 3, "moved": 3}  # hidden_states index
    SIZES: ClassVar = {"frame": N_FRAMES, "since": N_FRAMES, "moved": 2}

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.ModuleDict(
            {name: nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n)) for name, n in self.SIZES.items()}
        )

    def compute_losses(
        self, states: tuple[Tensor, ...], attributes: Tensor, owner: Tensor, keep: Tensor
    ) -> dict[str, Tensor]:
        """Named losses of visual tokens.

        `frame` is the token's own, `since` the one in which its shape appeared, `moved` how far its shape has
        come since, in patches: all of it is known from the frames up to the token's own.

        Args:
            states: the LLM's hidden states at the visual tokens, [B, K, D] each, embeddings first.
            attributes, owner, keep: as SymbolTable takes them.
        """
        said = {name: self.out[name](states[layer].float()) for name, layer in self.LAYERS.items()}
        frame = keep // N_PATCHES
        slot = owner.flatten(1).gather(1, keep)
        held, slot = slot >= 0, slot.clamp(min=0)
        row = torch.arange(len(keep))[:, None]
        first = (attributes[..., 0] >= 0).int().argmax(1).gather(1, slot)  # [B, K]
        here, then = attributes[row, frame, slot, 3:5], attributes[row, first, slot, 3:5]
        moved = (here - then).float() / PATCH_SIZE
        return {
            "frame": 0.3 * F.cross_entropy(said["frame"].flatten(0, 1), frame.flatten()),
            "since": 0.3 * F.cross_entropy(said["since"][held], first[held]),
            "moved": 0.4 * F.smooth_l1_loss(said["moved"][held], moved[held]),
        }
