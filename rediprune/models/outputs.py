"""Hold what an adapter hands on: one encoded image or clip, and a prompt that is ready for the LLM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..tokens import VisionTokens


@dataclass(frozen=True)
class EncodedItem:
    """Hold one image or clip of a prompt, as the vision encoder gave it.

    Attributes:
        vision: the tokens that selection chooses from.
        placeholder_tokens: [S] int64 on the CPU, what each placeholder of the item in the prompt carries, in
            order: a flat token index (t * N + n), or -1 for a separator, such as LLaVA-NeXT's newline at the
            end of a row.
        kind: "image" or "video".
        source: what the family's `embed_kept` needs besides `vision`, else None.
        encoded: number of pictures that the encoder read for the item, where not one for each frame; else 0.
    """

    vision: VisionTokens
    placeholder_tokens: Tensor
    kind: str = "image"
    source: Any = None
    encoded: int = 0

    @property
    def n_views(self) -> int:
        """Return the number of pictures that the encoder read for this item."""
        return self.encoded or self.vision.shape[0]

    def surviving(self, kept: Tensor) -> Tensor:
        """Return a mask of the placeholders that are left when only some tokens are kept.

        A separator ends a line of tokens. It is left where at least one token of its line is kept, or where
        its line never had any.

        Args:
            kept: [K] flat token indices.

        Returns:
            [S] bool.
        """
        tokens = torch.isin(self.placeholder_tokens, kept)
        ends = self.placeholder_tokens < 0
        # Number the lines, then mark those that keep a token or never had one: left [lines] bool.
        line = ends.long().cumsum(0) - ends.long()  # a separator belongs to the line that it ends
        left = torch.ones(int(line.max()) + 1, dtype=torch.bool)
        left[line[~ends]] = False
        left[line[tokens]] = True
        return tokens | (ends & left[line])

    def kept_features(self, kept: Tensor) -> Tensor:
        """Return the features [K, C] of kept flat token indices [K], in the order of their placeholders."""
        slots = self.placeholder_tokens[self.surviving(kept)]
        return self.vision.take(slots[slots >= 0])


@dataclass(frozen=True)
class Prompt:
    """Hold a prompt with its visual tokens in place, ready for the LLM.

    Attributes:
        embeds: [B, L', D].
        mask: [B, L'], 1 where there is something to read.
        stays: [B, L] bool, which tokens of the prompt as the processor made it are left.
        position_ids: [B, L'] or [axes, B, L'] where positions are not simply 0, 1, 2, ...; else None.
        extra: what the family's `with_prompt_hooks` needs besides, where it needs more.
        types: further arguments of the forward with a value for each token, by name: (values [B, L'], the
            value for text that follows).
    """

    embeds: Tensor
    mask: Tensor
    stays: Tensor
    position_ids: Tensor | None = None
    extra: Any = None
    types: Mapping[str, tuple[Tensor, int]] = field(default_factory=dict)

    def arguments(self, n_new: int = 0) -> dict[str, Tensor]:
        """Return mask, positions and types for the forward, as if n_new text tokens followed the prompt."""
        mask = torch.cat([self.mask, self.mask.new_ones(len(self.mask), n_new)], dim=-1)
        types = {
            name: torch.cat([values, values.new_full((len(values), n_new), text)], dim=-1)
            for name, (values, text) in self.types.items()
        }
        return {"attention_mask": mask} | types | self.positions(n_new)

    def positions(self, n_new: int = 0) -> dict[str, Tensor]:
        """Return `position_ids` of the prompt and n_new text tokens behind it; {} where they count from 0."""
        if self.position_ids is None:
            return {}
        last = self.position_ids[..., -1:]  # a prompt ends in text, whose axes all count alike
        new = last + torch.arange(1, n_new + 1, device=last.device)
        return {"position_ids": torch.cat([self.position_ids, new], dim=-1)}
