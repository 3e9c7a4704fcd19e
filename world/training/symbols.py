"""Perfect symbols: what a perfect tower would tell the LLM about a patch, as sums of word embeddings."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..render.scenes import COLORS, DIGITS, GRID_SIZE, IMAGE_SIZE, MAX_SHAPES, N_PATCHES, PATCH_SIZE, SHAPES


class SymbolTable(nn.Module):
    """What a perfect tower would tell the LLM about a patch, as a sum of embeddings."""

    TABLES: ClassVar = {
        "same_color": MAX_SHAPES + 1, "same_shape": MAX_SHAPES + 1, "total": MAX_SHAPES + 1, "background": 1,
    }  # fmt: skip

    def __init__(self, words: nn.Embedding, tokenizer) -> None:
        super().__init__()
        width = words.embedding_dim
        self.tables = nn.ModuleDict({name: nn.Embedding(size, width) for name, size in self.TABLES.items()})
        for table in self.tables.values():
            nn.init.normal_(table.weight, std=0.02)
        # One direction for "to the right", one for "down": left of, above and corners are then linear.
        self.axes = nn.Parameter(torch.randn(2, width) * 0.1)
        self.words = [words]  # in a list: shared with the LLM, not a second copy in the state dict

        def ids(names) -> Tensor:
            found = [tokenizer.encode(" " + n, add_special_tokens=False) for n in names]
            if any(len(one) != 1 for one in found):
                raise ValueError(f"the tokenizer must know each of these words as one token: {list(names)}")
            return torch.tensor(found)[:, 0]

        self.color_ids, self.shape_ids, self.digit_ids = ids(COLORS), ids(SHAPES), ids(DIGITS)

    def forward(self, attributes: Tensor, owner: Tensor, keep: Tensor) -> Tensor:
        """The symbols of some patches, [B, K, D].

        The place is that of the shape's centre on its patches, and that of the patch itself elsewhere.
        Patches that are neither clearly background nor clearly a shape pass for background.

        Args:
            attributes, owner: int64 [B, T, 6, 6] and [B, T, 196], every frame as in SceneStore; T is 1 for
                stills.
            keep: int64 [B, K], which patches, as t * 196 + n.
        """
        owner = owner.flatten(1).gather(1, keep)
        row = torch.arange(len(keep))[:, None]
        shapes = attributes[row, keep // N_PATCHES]  # of the patch's own frame, [B, K, 6, 6]
        there = shapes[..., 0] >= 0
        own = shapes.gather(2, owner.clamp(min=0)[..., None, None].expand(-1, -1, 1, 6))[:, :, 0]
        held = (owner >= 0)[..., None]
        word, t = self.words[0], self.tables

        def count(i: int) -> Tensor:
            """[B, K]: how many shapes of the frame share attribute i with the patch's own."""
            return ((shapes[..., i] == own[..., None, i]) & there).sum(-1)

        digit = own[..., 2].clamp(min=0)
        written = word(self.digit_ids[(digit - 1).clamp(min=0)]) * (digit > 0)[..., None]
        shown = (
            word(self.color_ids[own[..., 0].clamp(min=0)])
            + word(self.shape_ids[own[..., 1].clamp(min=0)])
            + written
            + t["same_color"](count(0))
            + t["same_shape"](count(1))
        )
        patch = keep % N_PATCHES
        middle = torch.stack([patch % GRID_SIZE, patch // GRID_SIZE], dim=-1) * PATCH_SIZE + PATCH_SIZE // 2
        where = torch.where(held, own[..., 3:5], middle) / (IMAGE_SIZE / 2) - 1  # (x, y) in -1..1
        place = where @ self.axes
        total = t["total"](there.sum(-1))
        return torch.where(held, shown, t["background"].weight) + place + total
