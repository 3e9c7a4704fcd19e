"""Specify one prompt: a question with some of the visual tokens of an encoding. Its length and its cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..config import ASKS_QUERY, POSITIONS
from ..costs.estimate import Costs
from ..tokens import VisionTokens, split_indices
from ..trace import on_device

if TYPE_CHECKING:
    from ..models import Adapter, Prompt
    from .ask import PreparedQuestion
    from .encode import Encoding


@dataclass(frozen=True)
class PromptSpec:
    """Specify a prompt about one image or clip: the question with some of the visual tokens, or with all.

    Attributes:
        adapter: of the model that is to read the prompt.
        encoding, question: the image or clip, and the question about it.
        kept: [K] flat token indices, ascending; None means all of them, as in the unmodified model.

    Raises:
        ValueError: the question is about another encoding, or `kept` names no tokens of this one.
    """

    adapter: Adapter
    encoding: Encoding
    question: PreparedQuestion
    kept: Tensor | None = None

    def __post_init__(self) -> None:
        """Check that the parts belong together."""
        check_pair(self.encoding, self.question)
        if self.kept is not None:
            _check_kept(self.kept, self.encoding.vision)

    @property
    def n_visual(self) -> int:
        """Return the number of visual tokens in the prompt: K, or all."""
        return self.encoding.n_visual if self.kept is None else len(self.kept)

    @property
    def n_text(self) -> int:
        """Return the number of text tokens in the prompt.

        A separator is dropped once every token of its line is dropped.
        """
        dropped = 0
        for item, kept in zip(self.encoding.items, self._kept_of_items, strict=True):
            is_separator = item.placeholder_tokens < 0
            dropped += int((is_separator & ~item.surviving(kept)).sum())
        return self.question.n_text - dropped

    def prompt(self, positions: str = "compacted", move: bool = False) -> Callable[[], Prompt]:
        """Return a function that makes the prompt, ready for the LLM; calling it runs the projector.

        Args:
            positions: one of config.POSITIONS.
            move: whether the features lie on another device than the model and have to be moved to it.

        Raises:
            ValueError: positions is none of these.
        """
        if positions not in POSITIONS:
            raise ValueError(f"positions={positions!r} is unknown: choose one of {', '.join(POSITIONS)}")
        ids = self.question.inputs["input_ids"].to(self.adapter.device)
        items = self.encoding.items
        if move:
            items = on_device(items, self.adapter.device)
        original = positions == "original"
        return lambda: self.adapter.splice(
            ids, torch.ones_like(ids), items, self._kept_of_items, original, self.question.inputs
        )

    def costs(self, method: str = "rediprune", budget: str = "frame") -> Costs:
        """Return what the estimate of this prompt is made of, if `method` selected its tokens."""
        vision = self.encoding.vision
        items = self.encoding.items
        projected_full = sum(map(self.adapter.n_projected, items, self._split(vision.all)))
        projected_kept = sum(map(self.adapter.n_projected, items, self._kept_of_items))
        return Costs(
            shapes=asdict(self.adapter.shapes_for(vision)),
            n_visual=vision.n_tokens,
            n_text=self.question.n_text,
            n_frames=sum(item.n_views for item in items),
            method=method,
            query_flops=self.question.query_flops if method in ASKS_QUERY else 0.0,
            choices=(vision.n_tokens,) if budget == "shared" else vision.counts,
            n_projected=(projected_full, projected_kept),
            n_kept=self.n_visual,
        )

    @cached_property
    def _kept_of_items(self) -> list[Tensor]:
        """Return the kept tokens of each item, as flat indices into that item."""
        return self._split(self.encoding.vision.all if self.kept is None else self.kept.cpu().long())

    def _split(self, flat: Tensor) -> list[Tensor]:
        """Split flat indices into the encoding by item, each counted from the start of its item."""
        return split_indices(flat, [item.vision for item in self.encoding.items])


def check_pair(encoding: Encoding, question: PreparedQuestion) -> None:
    """Raise ValueError if the question was asked about another image or clip."""
    if encoding.key != question.key:
        raise ValueError("the question was asked about another image: ask it again with this one")


def _check_kept(kept: Tensor, vision: VisionTokens) -> None:
    """Raise ValueError unless `kept` holds ascending flat indices of existing tokens."""
    if kept.dim() != 1 or not len(kept):
        raise ValueError(f"kept has shape {tuple(kept.shape)}: it must be flat token indices [K] with K >= 1")
    is_integer = not (kept.is_floating_point() or kept.is_complex() or kept.dtype is torch.bool)
    indices = kept.cpu().long()  # signed, because a difference of unsigned numbers is never negative
    if not is_integer or not torch.isin(indices, vision.all).all() or (indices.diff() <= 0).any():
        raise ValueError(
            f"kept must hold flat token indices (t * N + n) in 0..{int(vision.all[-1])}, ascending, each once"
        )
