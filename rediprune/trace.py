"""The vocabulary: what each station of the data path hands to the next. Frozen, with shapes, without a model.

B batch, T frames (or tiles), N visual tokens per frame (tokens.py), K kept in all, C vision width, D LLM
width, L text tokens, W relevance weights computed at once, E width of the joint image-text space, G groups
that are chosen from one by one, M tokens of a group.

Records that are made of tensors equal themselves alone (eq=False): a tensor's == is no yes or no.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass, replace
from textwrap import shorten
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from .config import PruneConfig, kept_all_notes, kept_count
from .costs.estimate import Costs, Savings
from .tokens import VisionTokens

if TYPE_CHECKING:
    from PIL import Image

R = TypeVar("R")

# A record's class -> what makes its HTML for a notebook. Records know no drawing; the package enters it here.
SHOWN: dict[type, Callable[[Any], str]] = {}


def html_of(record: object) -> str | None:
    """Return the record as HTML; None where nothing shows it, which makes a notebook fall back to repr()."""
    show = SHOWN.get(type(record))
    return None if show is None else show(record)


@dataclass(frozen=True, eq=False)
class Query:
    """What relevance is measured against.

    Attributes:
        name: one of config.QUERIES.
        vector: [C], or another width that is folded to C by the published rule, or [E] when `keys` is given.
        keys: [T, N, E], the visual tokens as they stand in the query's own space; None means the features
            themselves (the published query).
        tokens: the prompt tokens that the query was made of, as text, length L.
        weights: [L], how much each of them counts, summing to 1; None where the query has no such weights.
        sign: +1, or -1 where relevance is the negated cosine.
    """

    name: str
    vector: Tensor
    keys: Tensor | None = None
    tokens: tuple[str, ...] = ()
    weights: Tensor | None = None
    sign: int = 1


NO_PICK = -1  # in an order that was ended, behind the last pick of a group with fewer picks than another


@dataclass(frozen=True, eq=False)
class Selection:
    """A picking order with the evidence of every pick; the full one, unless `cut_from` says otherwise.

    Leading shape [...] is [G], or [W, G] where several weights were computed at once. A group g is what one
    budget is spent on: with budget "frame" one frame (G = T, M = N), with budget "shared" everything at once
    (G = 1, M = T * N).

    Attributes:
        order: [..., G, M] int64, token indices within the group in the order of picking; the first K are what
            K keeps. Tokens that are not present come last.
        relevance: [T, N] float32 by token index (cosine, sign applied), NaN where no token is present; None
            where the rule uses no query.
        distance: [..., G, M] float32 by pick: cosine distance (0..2) to the nearest earlier pick; NaN for the
            first pick, which has none. None where the rule measures no distance.
        score: [..., G, M] float32 by pick, the number whose maximum chose it; the first pick's score is the
            relevance that chose it. None where the rule has no score.
        alphas: the W relevance weights as alpha, length 1 where order is [G, M].
        config: the settings it was made with.
        present: how many of the M tokens of each group there are, length G; None means all.
        cut_from: M, where each group's order was ended at the K of config.keep_ratio (`select` with
            full=False): order, distance and score are then as wide as the largest K, and NO_PICK or NaN
            behind a smaller one. None: the order is full.
    """

    order: Tensor
    relevance: Tensor | None
    distance: Tensor | None
    score: Tensor | None
    alphas: tuple[float, ...]
    config: PruneConfig
    present: tuple[int, ...] | None = None
    cut_from: int | None = None

    @property
    def size(self) -> int:
        """M, the tokens of a group, the absent ones included."""
        return self.order.shape[-1] if self.cut_from is None else self.cut_from

    @property
    def counts(self) -> tuple[int, ...]:
        """Tokens to choose from in each group, length G."""
        return (self.size,) * self.order.shape[-2] if self.present is None else self.present

    @property
    def nested(self) -> bool:
        """Whether a smaller K keeps a prefix of a larger one. With tau > 0 it does not."""
        return self.config.tau == 0 or self.config.method != "rediprune"

    def kept(self, keep_ratio: float | None = None) -> Tensor:
        """Flat indices (t * N + n) of the kept tokens, ascending, [K], or [W, K] where there are W weights.

        K is the sum over the groups of max(1, round(count * ratio)); `keep_ratio` in (0, 1], default the
        config's.

        Raises:
            ValueError: ratio out of range; another ratio than the config's where the order is not nested, or
                a larger one where it was ended.
        """
        ratio = self.config.keep_ratio if keep_ratio is None else keep_ratio
        k = [kept_count(count, ratio) for count in self.counts]
        own = [kept_count(count, self.config.keep_ratio) for count in self.counts]
        if not self.nested and k != own:
            raise ValueError(
                f"keep_ratio={ratio} differs from {self.config.keep_ratio}, for which this order was made: "
                "with tau > 0 the picks are not nested, so select again with the new ratio"
            )
        if self.cut_from is not None and any(more > most for more, most in zip(k, own, strict=True)):
            raise ValueError(
                f"keep_ratio={ratio} is more than {self.config.keep_ratio}, at which this order was ended: "
                "select with the larger ratio, or with full=True for an order that serves every ratio"
            )
        picks = [self.order[..., g, :k_g] + g * self.size for g, k_g in enumerate(k)]
        return torch.cat(picks, dim=-1).sort(dim=-1).values

    @property
    def notes(self) -> tuple[str, ...]:
        """Say in one sentence that the config's ratio, below 1, keeps every token; () where it does not."""
        ratio = self.config.keep_ratio
        return kept_all_notes(ratio, sum(kept_count(n, ratio) for n in self.counts), sum(self.counts))

    def cpu(self) -> Selection:
        """The same with its tensors in main memory."""
        parts = ("order", "relevance", "distance", "score")
        return replace(self, **{part: x.cpu() for part in parts if (x := getattr(self, part)) is not None})

    def at(self, w: int) -> Selection:
        """The w-th weight of a [W, G, M] selection as a plain [G, M] one; its config says that weight."""
        if self.order.dim() != 3:
            raise ValueError(f"order has shape {tuple(self.order.shape)}: it holds a single weight")
        part = {
            name: None if (x := getattr(self, name)) is None else x[w]
            for name in ("order", "distance", "score")
        }
        config = replace(self.config, alpha=self.alphas[w])
        return replace(self, **part, alphas=(config.alpha,), config=config)


@dataclass(frozen=True)
class Answer:
    """One generated answer.

    Attributes:
        text: decoded, stripped.
        token_ids: the new tokens, the end token included if it came.
        n_visual: visual tokens in the prompt.
        n_text: all other prompt tokens.
        seconds: wall clock of this one generation (a single unrepeated measurement), prefill included.
        first_token_seconds: wall clock to the first new token.
        kept: [K] flat token indices (t * N + n), None for the unpruned run.
    """

    text: str
    token_ids: tuple[int, ...]
    n_visual: int
    n_text: int
    seconds: float
    first_token_seconds: float
    kept: Tensor | None = None


@dataclass(frozen=True)
class Agreement:
    """How far the pruned model agrees with the full one; log-probabilities in nats, summed over the answer.

    Attributes:
        full_on_full, pruned_on_full: log-prob of the full model's answer under the full / the pruned model.
        full_on_pruned, pruned_on_pruned: the same for the pruned model's answer.
        kl_first: KL(full || pruned) of the first answer token, in nats, >= 0.
        same_text: whether both answers read the same.
    """

    full_on_full: float
    pruned_on_full: float
    full_on_pruned: float
    pruned_on_pruned: float
    kl_first: float
    same_text: bool


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """The one record of a run: everything that the picture, the table and the export read.

    Attributes:
        kept: flat token indices [K].
        seconds: when each frame of a clip is shown, empty for a still.
        frames: the pictures that were shown, RGB, of one size, and whether they are a `clip`; () where the
            trace was put together without them.
        costs: what an estimate for another number of kept tokens needs; None where nobody noted it.
        fingerprint: names the weights that answered (fingerprint.py), "" where nobody noted them.
    """

    question: str
    config: PruneConfig
    vision: VisionTokens
    query: Query
    selection: Selection
    kept: Tensor
    full: Answer
    pruned: Answer
    savings: Savings
    agreement: Agreement
    model_name: str = ""
    notes: tuple[str, ...] = field(default=())
    seconds: tuple[float, ...] = ()
    frames: tuple[Image.Image, ...] = ()
    clip: bool = False
    costs: Costs | None = None
    fingerprint: str = ""

    def __str__(self) -> str:
        share = f"{len(self.kept)} of {self.vision.n_tokens} visual tokens"
        asked, full, pruned = (
            repr(shorten(text, 60, placeholder="…"))
            for text in (self.question, self.full.text, self.pruned.text)
        )
        return (
            f"{asked}: {full} with all, {pruned} with {share} "
            f"({self.config.rule}); estimated FLOPs {self.savings.end_to_end:.2f} times fewer."
        )

    def __repr__(self) -> str:
        return f"<Trace of {self.model_name or 'a model'}: {self}>"

    def _repr_html_(self) -> str | None:
        return html_of(self)


def on_device(record: R, device: str | torch.device) -> R:
    """The same record with its features on `device`: floating-point tensors move, indices and masks stay.

    Indices live on the CPU everywhere in the library; whoever uses them brings them along. What is on the
    device already is not copied.

    Args:
        record: a tensor, a dataclass such as EncodedItem, a tuple or list of these, or anything else, which
            is returned as it is.
    """
    if isinstance(record, Tensor):
        return record.to(device) if record.is_floating_point() else record
    if is_dataclass(record) and not isinstance(record, type):
        values = {field.name: getattr(record, field.name) for field in fields(record)}
        moved = {name: on_device(value, device) for name, value in values.items()}
        changed = {name: value for name, value in moved.items() if value is not values[name]}
        return replace(record, **changed) if changed else record
    if isinstance(record, tuple | list) and type(record) in (tuple, list):
        parts = [on_device(part, device) for part in record]
        same = all(new is old for new, old in zip(parts, record, strict=True))
        return record if same else type(record)(parts)
    return record
