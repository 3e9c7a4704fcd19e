"""Prompts with the kept visual tokens in place of their placeholders: what is the same for every family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .errors import ModelError
from .outputs import EncodedItem, Prompt


class Splicing:
    """Make prompts from what the rest of an Adapter (adapter.py) says.

    That is `model`, `kinds`, `token_id`, `is_placeholder`, `embed_kept`, `positions`, `token_types`,
    `compact_positions` and `finalize_prompt`.
    """

    if TYPE_CHECKING:
        model: Any
        kinds: tuple[str, ...]

        def token_id(self, kind: str) -> int: ...
        def is_placeholder(self, input_ids: Tensor) -> Tensor: ...
        def embed_kept(self, seen: Sequence[EncodedItem], kept: Sequence[Tensor]) -> list[Tensor]: ...
        def positions(self, *args: Any) -> Any: ...
        def token_types(self, *args: Any) -> dict[str, tuple[Tensor, int]]: ...
        def compact_positions(self, *args: Any) -> Any: ...
        def finalize_prompt(self, *args: Any) -> Any: ...

    def placeholders(self, input_ids: Tensor, seen: Sequence[EncodedItem]) -> list[tuple[int, Tensor]]:
        """For each image and clip, in order: (prompt b, positions [S] of its placeholders in it).

        Raises:
            ModelError: prompts [B, L] and what was seen do not belong together.
        """
        slots: list[tuple[int, Tensor]] = [(-1, input_ids)] * len(seen)
        for kind in self.kinds:
            # Kinds may share a placeholder: their media then come in the order of the prompts.
            mine = [i for i, one in enumerate(seen) if self.token_id(one.kind) == self.token_id(kind)]
            where = (input_ids == self.token_id(kind)).nonzero()
            sizes = [len(seen[i].placeholder_tokens) for i in mine]
            fits = sum(sizes) == len(where)
            parts = where.split(sizes) if fits and mine else []
            if not fits or any((part[:, 0] != part[0, 0]).any() for part in parts):
                counts = (input_ids == self.token_id(kind)).sum(1).tolist()
                raise ModelError(
                    f"the prompts hold {counts} {kind} placeholders, but the {len(mine)} {kind}(s) that came "
                    f"with them need {sizes}: pass input_ids and pixels from one processor call"
                )
            for i, part in zip(mine, parts, strict=True):
                slots[i] = (int(part[0, 0]), part[:, 1])
        return slots

    def splice(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        seen: Sequence[EncodedItem],
        kept: Sequence[Tensor],
        original_positions: bool = False,
        inputs: Mapping[str, Any] | None = None,
    ) -> Prompt:
        """Embed prompts with the kept visual tokens in place of their placeholders; the rest are taken out.

        Args:
            input_ids: [B, L] with all placeholders, as the processor made them.
            attention_mask: [B, L], or None where nothing is padded.
            seen: every image and clip of these prompts, as `look` gave them.
            kept: flat token indices of each, ascending, on the CPU. A budget that is shared may leave one
                image none.
            original_positions: whether what stays keeps the position that it had in the whole prompt.
            inputs: what else the processor returned, where the model counts positions by it.

        Returns:
            Prompt. Where prompts end up with different lengths they are padded on the left anew. With all
            tokens kept, L' = L and nothing is moved.

        Raises:
            ModelError: prompt and images do not belong together, or kept tokens that were never seen.
        """
        slots = self.placeholders(input_ids, seen)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        embeds = self.model.get_input_embeddings()(input_ids)
        stays = torch.ones_like(input_ids, dtype=torch.bool)
        left = [one.surviving(indices) for one, indices in zip(seen, kept, strict=True)]
        for one, indices, here in zip(seen, kept, left, strict=True):
            room = int((one.placeholder_tokens >= 0).sum())
            if (
                len(indices) != int((here & (one.placeholder_tokens >= 0)).sum())
                or (indices.diff() <= 0).any()
            ):
                raise ModelError(
                    f"{len(indices)} tokens were named for one {one.kind}, but not all are among its {room}, "
                    "or they are not in ascending order: name each once, by its flat index"
                )
        for (row, places), here, tokens in zip(slots, left, self.embed_kept(seen, kept), strict=True):
            here = here.to(places.device)
            embeds[row, places[here]] = tokens.to(embeds.device, embeds.dtype)
            stays[row, places[~here]] = False
        positions = self.positions(input_ids, mask, inputs or {})
        if stays.all():
            types = self.token_types(input_ids, stays, inputs or {})
            whole = Prompt(embeds, mask, stays, positions if positions.dim() > 2 else None, types=types)
            return self.finalize_prompt(whole, input_ids, slots, seen, kept)
        # Padding that made room for tokens which are gone now would be paid for in every layer.
        stays &= mask.bool()
        if not original_positions:
            positions = self.compact_positions(positions, stays, self.is_placeholder(input_ids))
        if positions is not None:
            by_token = positions if positions.dim() == 2 else positions.permute(1, 2, 0)
            moved = packed(by_token, stays)
            positions = moved if positions.dim() == 2 else moved.permute(2, 0, 1)
        types = self.token_types(input_ids, stays, inputs or {})
        pruned = Prompt(packed(embeds, stays), packed(mask, stays), stays, positions, types=types)
        return self.finalize_prompt(pruned, input_ids, slots, seen, kept)


def packed(x: Tensor, stays: Tensor) -> Tensor:
    """Return what `stays` [B, L] keeps of x [B, L, ...], moved right, zeros on the left: [B, L', ...]."""
    rows = [row[left] for row, left in zip(x, stays, strict=True)]
    longest = max(len(row) for row in rows)
    out = x.new_zeros(len(rows), longest, *x.shape[2:])
    for b, row in enumerate(rows):
        out[b, longest - len(row) :] = row
    return out
