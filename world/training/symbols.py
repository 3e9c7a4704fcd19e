"""Replace visual tokens by symbols: sums of word embeddings for what a patch shows.

Symbols are what a perfect vision tower would tell the LLM about a patch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..render.scenes import COLORS, DIGITS, GRID_SIZE, IMAGE_SIZE, MAX_SHAPES, N_PATCHES, PATCH_SIZE, SHAPES


class SymbolTable(nn.Module):
    """Compute the symbol of a patch as a sum of embeddings.

    Args:
        words: the word embeddings of the LLM, which stay shared with it.
        tokenizer: of the LLM; it must know every colour, shape and digit as one token.
    """

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

        def encode_words(names: Iterable[str]) -> Tensor:
            found = [tokenizer.encode(" " + n, add_special_tokens=False) for n in names]
            if any(len(one) != 1 for one in found):
                raise ValueError(f"the tokenizer must know each of these words as one token: {list(names)}")
            return torch.tensor(found)[:, 0]

        self.color_ids = encode_words(COLORS)
        self.shape_ids = encode_words(SHAPES)
        self.digit_ids = encode_words(DIGITS)

    def forward(self, attributes: Tensor, owner: Tensor, keep: Tensor) -> Tensor:
        """Return the symbols of the given patches, [B, K, D].

        A patch of a shape has the place of the shape's centre; any other patch has its own place. Patches
        that are neither clearly background nor clearly a shape are treated as background.

        Args:
            attributes: int64 [B, T, 6, 6], the shapes of every frame, as in SceneStore; T is 1 for stills.
            owner: int64 [B, T, 196], the shape that holds each patch, as in SceneStore.
            keep: int64 [B, K], the patches as t * 196 + n.
        """
        # Of each patch the shapes of its frame [B, K, 6, 6] and the shape that holds it, `own` [B, K, 6];
        # where no shape holds it, `own` is the first shape and is not used.
        owner = owner.flatten(1).gather(1, keep)
        row = torch.arange(len(keep))[:, None]
        shapes = attributes[row, keep // N_PATCHES]
        there = shapes[..., 0] >= 0
        own = shapes.gather(2, owner.clamp(min=0)[..., None, None].expand(-1, -1, 1, 6))[:, :, 0]
        held = (owner >= 0)[..., None]
        word = self.words[0]
        tables = self.tables

        def count_equal(i: int) -> Tensor:
            """Count the shapes of the frame whose attribute i equals that of the patch's shape, [B, K]."""
            return ((shapes[..., i] == own[..., None, i]) & there).sum(-1)

        # What a patch of a shape shows, [B, K, D]: words for colour, shape and digit, and the two counts.
        digit = own[..., 2].clamp(min=0)
        written = word(self.digit_ids[(digit - 1).clamp(min=0)]) * (digit > 0)[..., None]
        shown = (
            word(self.color_ids[own[..., 0].clamp(min=0)])
            + word(self.shape_ids[own[..., 1].clamp(min=0)])
            + written
            + tables["same_color"](count_equal(0))
            + tables["same_shape"](count_equal(1))
        )
        # Where it is, (x, y) in [-1, 1] of the frame, as a sum of two directions, [B, K, D].
        patch = keep % N_PATCHES
        middle = torch.stack([patch % GRID_SIZE, patch // GRID_SIZE], dim=-1) * PATCH_SIZE + PATCH_SIZE // 2
        where = torch.where(held, own[..., 3:5], middle) / (IMAGE_SIZE / 2) - 1
        place = where @ self.axes
        total = tables["total"](there.sum(-1))
        return torch.where(held, shown, tables["background"].weight) + place + total
