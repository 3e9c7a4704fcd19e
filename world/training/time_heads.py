"""Train every visual token of a clip to carry its place in time: the dense losses of the LLM.

Like the heads of world.training.dense_heads, these linear heads are used in training only. The answer alone
is too weak a signal for a question that needs several steps: which frame is this, where was the shape before,
    which shape
is asked about.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..render.clip_plans import N_FRAMES
from ..render.scenes import N_PATCHES, PATCH_SIZE


class TimeHeads(nn.Module):
    """Linear heads on the LLM's hidden states at visual tokens.

    "frame" reads an early layer; "since" and "moved", which build on it, read a later one.

    Args:
        width: of the hidden states, D.
    """

    LAYERS: ClassVar = {"frame": 1, "since": 3, "moved": 3}  # indices into hidden_states
    SIZES: ClassVar = {"frame": N_FRAMES, "since": N_FRAMES, "moved": 2}

    def __init__(self, width: int) -> None:
        super().__init__()
        self.out = nn.ModuleDict(
            {name: nn.Sequential(nn.LayerNorm(width), nn.Linear(width, n)) for name, n in self.SIZES.items()}
        )

    def compute_losses(
        self, states: tuple[Tensor, ...], attributes: Tensor, owner: Tensor, keep: Tensor
    ) -> dict[str, Tensor]:
        """Compute the loss of every head at the visual tokens, by its name.

        "frame" is the frame of the token, "since" the frame in which its shape appeared, and "moved" how far
        the shape has moved since then, in patches. All of them follow from the frames up to that of the
        token.

        Args:
            states: the LLM's hidden states at the visual tokens, [B, K, D] each, embeddings first.
            attributes: int64 [B, T, 6, 6], the shapes of every frame, as in SceneStore.
            owner: int64 [B, T, 196], the shape that holds each patch, as in SceneStore.
            keep: int64 [B, K], the kept tokens as t * 196 + n.
        """
        predicted = {name: self.out[name](states[layer].float()) for name, layer in self.LAYERS.items()}
        # Of each kept token its frame, the shape that holds it and the first frame of that shape, int64 [B,
        # K].
        frame = keep // N_PATCHES
        slot = owner.flatten(1).gather(1, keep)
        held = slot >= 0
        slot = slot.clamp(min=0)
        row = torch.arange(len(keep))[:, None]
        first = (attributes[..., 0] >= 0).int().argmax(1).gather(1, slot)
        # Centres (x, y) of the shape in the frame of the token and in its first frame, [B, K, 2] in pixels.
        center = attributes[row, frame, slot, 3:5]
        first_center = attributes[row, first, slot, 3:5]
        moved = (center - first_center).float() / PATCH_SIZE
        return {
            "frame": 0.3 * F.cross_entropy(predicted["frame"].flatten(0, 1), frame.flatten()),
            "since": 0.3 * F.cross_entropy(predicted["since"][held], first[held]),
            "moved": 0.4 * F.smooth_l1_loss(predicted["moved"][held], moved[held]),
        }
