"""Qwen3-VL: as Qwen2.5-VL without windows, and with deepstack.

Deepstack: the encoder's states of some middle layers go through mergers of their own and are added to the
visual tokens behind the first layers of the LLM. What is dropped before the projector is dropped there too: a
token that is gone has no place to which anything could be added. So a token has one projector more for each
of these layers.

Between the temporal patches of a clip the processor writes when they are shown ("<1.5 seconds>"), so a clip's
placeholders lie in as many runs.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..outputs import EncodedItem, Prompt
from ..splice import packed
from ..transformers_names import cached_length
from .qwen2_5_vl import Qwen25VlAdapter


@dataclass(frozen=True)
class Deepstack:
    """What is added to a prompt [B, L', D] behind the first layers of the LLM.

    Attributes:
        visual: [B, L'] bool, where it is added.
        features: for each of these layers [K, D], K over all prompts, in the order of `visual`.
    """

    visual: Tensor
    features: tuple[Tensor, ...]

    def expanded(self, rows: int, length: int) -> dict[str, Any]:
        """As the LLM takes it: every prompt `rows` / B times (beams), text behind it up to `length`."""
        times, counts = rows // len(self.visual), self.visual.sum(1).tolist()
        visual = F.pad(self.visual, (0, length - self.visual.shape[1]))
        features = [
            torch.cat([part for part in layer.split(counts) for _ in range(times)]) for layer in self.features
        ]
        return {
            "visual_pos_masks": visual.repeat_interleave(times, dim=0),
            "deepstack_visual_embeds": features,
        }


class Qwen3VlAdapter(Qwen25VlAdapter):
    """Serve Qwen3-VL; `EncodedItem.source` holds the states [T, N, C] of each layer for deepstack."""

    media_inputs = tuple(name for name in Qwen25VlAdapter.media_inputs if name != "second_per_grid_ts")
    vision_types = frozenset({"qwen3_vl_vision"})

    def finalize_prompt(
        self,
        prompt: Prompt,
        input_ids: Tensor,
        slots: Sequence[tuple[int, Tensor]],
        seen: Sequence[EncodedItem],
        kept: Sequence[Tensor],
    ) -> Prompt:
        length = input_ids.shape[1]
        where = [
            row * length + places[one.surviving(k).to(places.device)]
            for (row, places), one, k in zip(slots, seen, kept, strict=True)
        ]
        # Images and clips of a prompt are merged apart, but the LLM wants them as they come in the prompt.
        order = torch.cat(where).argsort()
        features = []
        for i, merger in enumerate(self._mergers[1:]):
            tokens = [
                one.source[i].flatten(0, 1)[k.to(one.source[i].device)]
                for one, k in zip(seen, kept, strict=True)
            ]
            merged = self._by_kind(seen, tokens, lambda x, merger=merger: self._merged(merger, x))
            features.append(torch.cat(merged)[order.to(merged[0].device)])
        visual = packed(self.is_placeholder(input_ids), prompt.stays)
        return replace(prompt, extra=Deepstack(visual, tuple(features)))

    @contextmanager
    def with_prompt_hooks(self, prompt: Prompt, following: Tensor | None = None) -> Iterator[None]:
        """Hand the LLM the deepstack features whenever it reads the prompt, and not when it decodes."""
        reader = threading.get_ident()

        def hand_over(llm: torch.nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
            if threading.get_ident() != reader:
                return None
            if cached_length(kwargs) > 0:
                return None
            embeds = kwargs["inputs_embeds"]
            start = embeds[0, : prompt.embeds.shape[1]]
            if not torch.equal(start, prompt.embeds[0].to(start)):  # a streamer's or a logits processor's own
                return None
            return args, kwargs | prompt.extra.expanded(*embeds.shape[:2])

        handle = self.model.model.language_model.register_forward_pre_hook(hand_over, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def _window_order(self, rows: int, cols: int) -> Tensor:
        return torch.arange(rows * cols)

    @property
    def _mergers(self) -> list[torch.nn.Module]:
        tower = self._tower
        layers = tower.deepstack_visual_indexes
        in_order = sorted(range(len(layers)), key=lambda i: layers[i])
        return [tower.merger, *[tower.deepstack_merger_list[i] for i in in_order]]

    def _beyond_plain(self, rows: int, cols: int) -> dict[str, int]:
        return dict(projectors=len(self._mergers))
