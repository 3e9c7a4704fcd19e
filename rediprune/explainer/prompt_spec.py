"""Some visual tokens of a look, chosen to answer a question from: their prompt, its length, what it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..config import ASKS_QUERY, POSITIONS
from ..costs.estimate import Costs
from ..tokens import VisionTokens, parted
from ..trace import on_device

if TYPE_CHECKING:
    from ..models import Adapter, Prompt
    from .ask import Asked
    from .encode import Look


@dataclass(frozen=True)
class Choice:
    """One prompt about one image or clip: the question with some of the visual tokens, or with all.

    Attributes:
        adapter: of the model that is to read it.
        look, asked: the image or clip, and the question that was put to it.
        kept: [K] flat token indices, ascending; None means all of them, as in the unmodified model.

    Raises:
        ValueError: the question was put to another look, or `kept` names no tokens of this one.
    """

    adapter: Adapter
    look: Look
    asked: Asked
    kept: Tensor | None = None

    def __post_init__(self) -> None:
        check_pair(self.look, self.asked)
        if self.kept is not None:
            _check_kept(self.kept, self.look.vision)

    @property
    def n_visual(self) -> int:
        """K, or the count of all visual tokens."""
        return self.look.n_visual if self.kept is None else len(self.kept)

    @property
    def n_text(self) -> int:
        """Prompt tokens that are no visual tokens; a separator goes with the whole of its line."""
        each = zip(self.look.seen, self._of_each, strict=True)
        gone = sum(int(((one.placeholder_tokens < 0) & ~one.surviving(mine)).sum()) for one, mine in each)
        return self.asked.n_text - gone

    def prompt(self, positions: str = "compacted", bring: bool = False) -> Callable[[], Prompt]:
        """A call that makes the prompt, ready for the LLM; it runs the projector.

        Args:
            positions: one of config.POSITIONS.
            bring: whether the features lie elsewhere than the model and are brought along.
        """
        if positions not in POSITIONS:
            raise ValueError(f"positions={positions!r} is unknown: choose one of {', '.join(POSITIONS)}")
        ids = self.asked.inputs["input_ids"].to(self.adapter.device)
        seen = on_device(self.look.seen, self.adapter.device) if bring else self.look.seen
        return lambda: self.adapter.splice(
            ids, torch.ones_like(ids), seen, self._of_each, positions == "original", self.asked.inputs
        )

    def costs(self, method: str = "rediprune", budget: str = "frame") -> Costs:
        """What the estimate of this prompt is made of, its tokens being chosen by `method`."""
        vision, seen = self.look.vision, self.look.seen
        of_each = (self._parted(vision.all), self._of_each)
        whole, some = (sum(map(self.adapter.n_projected, seen, kept)) for kept in of_each)
        return Costs(
            shapes=asdict(self.adapter.shapes_for(vision)),
            n_visual=vision.n_tokens,
            n_text=self.asked.n_text,
            n_frames=sum(one.n_views for one in seen),
            method=method,
            query_flops=self.asked.query_flops if method in ASKS_QUERY else 0.0,
            choices=(vision.n_tokens,) if budget == "shared" else vision.counts,
            n_projected=(whole, some),
            n_kept=self.n_visual,
        )

    @cached_property
    def _of_each(self) -> list[Tensor]:
        """The kept tokens of everything seen, as flat indices, each into its own."""
        return self._parted(self.look.vision.all if self.kept is None else self.kept.cpu().long())

    def _parted(self, flat: Tensor) -> list[Tensor]:
        return parted(flat, [one.vision for one in self.look.seen])


def check_pair(look: Look, asked: Asked) -> None:
    """Raise ValueError where the question was put to another image or clip."""
    if look.key != asked.key:
        raise ValueError("the question was asked about another image: ask it again with this one")


def _check_kept(kept: Tensor, vision: VisionTokens) -> None:
    if kept.dim() != 1 or not len(kept):
        raise ValueError(f"kept has shape {tuple(kept.shape)}: it must be flat token indices [K] with K >= 1")
    whole = not (kept.is_floating_point() or kept.is_complex() or kept.dtype is torch.bool)
    indices = kept.cpu().long()  # before any difference: that of two unsigned numbers is never negative
    if not whole or not torch.isin(indices, vision.all).all() or (indices.diff() <= 0).any():
        raise ValueError(
            f"kept must hold flat token indices (t * N + n) in 0..{int(vision.all[-1])}, ascending, each once"
        )
