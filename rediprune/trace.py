"""Define the records that the stations of the data path hand on: frozen, with shapes, without a model.

B batch, T frames (or tiles), N visual tokens per frame (tokens.py), K kept in all, C vision width, D LLM
width, L text tokens, W relevance weights computed at once, E width of the joint image-text space, G groups
that are chosen from one by one, M tokens of a group.

Records that hold tensors compare by identity (eq=False), because == of tensors is not a single bool.
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

# A record's class -> the function that draws it as HTML for a notebook. Records cannot import `draw`, so the
# package fills this table in `rediprune/__init__.py`.
HTML_RENDERERS: dict[type, Callable[[Any], str]] = {}


def to_html(record: object) -> str | None:
    """Return the record as HTML; None where it has no renderer, for which a notebook shows repr()."""
    render = HTML_RENDERERS.get(type(record))
    return None if render is None else render(record)


@dataclass(frozen=True, eq=False)
class Query:
    """Hold the vector that relevance is measured against, and how it was made.

    Attributes:
        name: one of config.QUERIES.
        vector: [C], or another width that is folded to C by the published rule, or [E] where `keys` is given.
        keys: [T, N, E], the visual tokens in the query's own space; None: the features themselves (the
            published query).
        tokens: the prompt tokens that the query was made of, as text, length L.
        weights: [L], the share of each prompt token in the vector, summing to 1; None where there are none.
        sign: +1, or -1 where relevance is the negated cosine.
    """

    name: str
    vector: Tensor
    keys: Tensor | None = None
    tokens: tuple[str, ...] = ()
    weights: Tensor | None = None
    sign: int = 1


NO_PICK = -1  # padding of Selection.order where groups keep different numbers of tokens


@dataclass(frozen=True, eq=False)
class Selection:
    """Hold a picking order with the evidence of every pick; of all tokens, unless `cut_from` is set.

    Leading shape [...] is [G], or [W, G] where several weights were computed at once. A group is a set of
    tokens that shares one budget: with budget "frame" one frame (G = T, M = N), with budget "shared" all
    frames together (G = 1, M = T * N).

    Attributes:
        order: [..., G, M] int64, token indices within the group in the order of picking; a budget of K keeps
            the first K. Entries that are no tokens (VisionTokens.valid) come last.
        relevance: [T, N] float32 by token index (cosine, sign applied), NaN where there is no token; None
            where the rule uses no query.
        distance: [..., G, M] float32 by pick: cosine distance (0..2) to the nearest earlier pick; NaN for the
            first pick. None where the rule measures no distance.
        score: [..., G, M] float32 by pick, the maximum that chose it; for the first pick its relevance. None
            where the rule has no score.
        alphas: the W relevance weights as alpha, length 1 where order is [G, M].
        config: the settings that the order was made with.
        present: number of tokens in each group, length G; None: all M entries are tokens.
        cut_from: M, where each group's order stops at the K of config.keep_ratio (`select` with full=False):
            order, distance and score are then as wide as the largest K, padded with NO_PICK and NaN. None:
            the order has all M tokens.
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
        """Return M, the number of entries of a group, tokens or not."""
        return self.order.shape[-1] if self.cut_from is None else self.cut_from

    @property
    def counts(self) -> tuple[int, ...]:
        """Count the tokens to choose from in each group, length G."""
        if self.present is not None:
            return self.present
        return (self.size,) * self.order.shape[-2]

    @property
    def nested(self) -> bool:
        """Return whether a smaller K keeps a prefix of a larger K; with tau > 0 it need not."""
        return self.config.tau == 0 or self.config.method != "rediprune"

    def kept(self, keep_ratio: float | None = None) -> Tensor:
        """Return the flat indices (t * N + n) of the kept tokens, ascending: [K], or [W, K] for W weights.

        K is the sum over the groups of max(1, round(count * ratio)).

        Args:
            keep_ratio: in (0, 1]; None: the ratio of the config.

        Raises:
            ValueError: ratio out of range; a ratio other than the config's where the order is not nested, or
                a larger one where the order was cut.
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
        """Return one sentence if the config's ratio is below 1 and still keeps every token, else ()."""
        ratio = self.config.keep_ratio
        return kept_all_notes(ratio, sum(kept_count(n, ratio) for n in self.counts), sum(self.counts))

    def cpu(self) -> Selection:
        """Copy the selection's tensors to main memory."""
        parts = ("order", "relevance", "distance", "score")
        return replace(self, **{part: x.cpu() for part in parts if (x := getattr(self, part)) is not None})

    def at(self, w: int) -> Selection:
        """Return the w-th weight of a [W, G, M] selection as a [G, M] one, with that weight in its config."""
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
    """Hold one generated answer.

    Attributes:
        text: decoded, stripped.
        token_ids: the new tokens, the end token included if it came.
        n_visual: visual tokens in the prompt.
        n_text: all other prompt tokens.
        seconds: wall clock of the generation, prefill included: a single measurement, not repeated.
        first_token_seconds: wall clock up to the first new token.
        kept: [K] flat token indices (t * N + n); None for the unpruned run.
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
    """Hold how far the pruned model agrees with the full one; log-probabilities in nats, summed per answer.

    Attributes:
        full_on_full, pruned_on_full: log-probability of the full model's answer under each model.
        full_on_pruned, pruned_on_pruned: log-probability of the pruned model's answer under each model.
        kl_first: KL(full || pruned) of the first answer token, in nats, >= 0.
        same_text: both answers are equal as text.
    """

    full_on_full: float
    pruned_on_full: float
    full_on_pruned: float
    pruned_on_pruned: float
    kl_first: float
    same_text: bool


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """Hold everything about one run: what the figure, the table and the saved file are made of.

    Attributes:
        kept: flat token indices [K].
        full, pruned: the answers from all visual tokens and from the kept ones.
        seconds: time of each frame of a clip; empty for a still.
        frames: the pictures that the model was shown, RGB, of one size; () where they were not recorded.
        clip: the pictures are the frames of a clip.
        costs: input of an estimate for another number of kept tokens; None where it was not recorded.
        fingerprint: identifies the weights that answered (explainer.fingerprint); "" if not recorded.
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
        """Summarise the run in one sentence: question, both answers, kept share, rule, estimated saving."""
        share = f"{len(self.kept)} of {self.vision.n_tokens} visual tokens"
        question, full, pruned = (
            repr(shorten(text, 60, placeholder="…"))
            for text in (self.question, self.full.text, self.pruned.text)
        )
        return (
            f"{question}: {full} with all, {pruned} with {share} "
            f"({self.config.rule}); estimated FLOPs {self.savings.end_to_end:.2f} times fewer."
        )

    def __repr__(self) -> str:
        """Return the model's name and the summary; the tensors would fill pages."""
        return f"<Trace of {self.model_name or 'a model'}: {self}>"

    def _repr_html_(self) -> str | None:
        """Draw the run for a notebook."""
        return to_html(self)


def on_device(record: R, device: str | torch.device) -> R:
    """Return the record with its floating-point tensors on `device`; indices and masks stay where they are.

    Indices live on the CPU everywhere in the library, and code that needs them elsewhere moves them. Tensors
    that are on the device already are not copied, and a record in which nothing moves is returned itself.

    Args:
        record: a tensor, a dataclass, a tuple or list of them, or anything else, which is returned unchanged.
        device: where the tensors are wanted.
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
