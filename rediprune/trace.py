"""The vocabulary: what each station of the data path hands to the next. Frozen, with shapes, without a model.

B batch, T frames (or tiles), N visual tokens per frame, K kept per frame, C vision width, D LLM width,
L text tokens, W relevance weights computed at once, E width of the joint image-text space.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from .config import PruneConfig, kept_count


@dataclass(frozen=True)
class Geometry:
    """Where the N = rows * cols visual tokens of one frame lie in the original image.

    Attributes:
        rows, cols: the grid, raster order.
        box: (left, top, right, bottom) in pixels of the original image, the area that the grid covers
            (what the processor's resize and crop left in view); may have fractions.
        image_size: (width, height) of the original in pixels.
    """

    rows: int
    cols: int
    box: tuple[float, float, float, float]
    image_size: tuple[int, int]

    def token_boxes(self) -> Tensor:
        """Pixel box of every token in the original image, [N, 4] as (left, top, right, bottom)."""
        left, top, right, bottom = self.box
        x = torch.linspace(left, right, self.cols + 1)
        y = torch.linspace(top, bottom, self.rows + 1)
        grid = [
            torch.stack([x[:-1].expand(self.rows, -1), y[:-1, None].expand(-1, self.cols)], -1),
            torch.stack([x[1:].expand(self.rows, -1), y[1:, None].expand(-1, self.cols)], -1),
        ]
        return torch.cat(grid, -1).reshape(-1, 4)


@dataclass(frozen=True)
class VisionTokens:
    """What the vision encoder hands to the projector, before any pruning.

    Attributes:
        features: [T, N, C] in the model's dtype, exactly what the projector would receive.
        geometry: one Geometry per frame, length T.
    """

    features: Tensor
    geometry: tuple[Geometry, ...]


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class Selection:
    """A full picking order with the evidence of every pick.

    Leading shape [...] is [T], or [W, T] where several weights were computed at once.

    Attributes:
        order: [..., N] int64, token indices in the order of picking; the first K are what K keeps.
        relevance: [T, N] float32 by token index (cosine, sign applied); None where the rule uses no query.
        distance: [..., N] float32 by pick: cosine distance (0..2) to the nearest earlier pick; NaN for the
            first pick, which has none. None where the rule measures no distance.
        score: [..., N] float32 by pick, the number whose maximum chose it; the first pick's score is the
            relevance that chose it. None where the rule has no score.
        alphas: the W relevance weights as alpha, length 1 where order is [T, N].
        config: the settings it was made with.
    """

    order: Tensor
    relevance: Tensor | None
    distance: Tensor | None
    score: Tensor | None
    alphas: tuple[float, ...]
    config: PruneConfig

    @property
    def n_tokens(self) -> int:
        return self.order.shape[-1]

    @property
    def nested(self) -> bool:
        """Whether a smaller K keeps a prefix of a larger one. With tau > 0 it does not."""
        return self.config.tau == 0 or self.config.method != "rediprune"

    def kept(self, keep_ratio: float | None = None) -> Tensor:
        """Kept token indices in raster order, [..., K]; `keep_ratio` in (0, 1], default the config's.

        Raises:
            ValueError: ratio out of range, or another ratio than the config's where the order is not nested.
        """
        ratio = self.config.keep_ratio if keep_ratio is None else keep_ratio
        k = kept_count(self.n_tokens, ratio)
        if not self.nested and k != kept_count(self.n_tokens, self.config.keep_ratio):
            raise ValueError(
                f"keep_ratio={ratio} differs from {self.config.keep_ratio}, for which this order was made: "
                "with tau > 0 the picks are not nested, so select again with the new ratio"
            )
        return self.order[..., :k].sort(dim=-1).values

    def at(self, w: int) -> Selection:
        """The w-th weight of a [W, T, N] selection as a plain [T, N] one; its config says that weight."""
        if self.order.dim() != 3:
            raise ValueError(f"order has shape {tuple(self.order.shape)}: it holds a single weight")
        part = {
            name: None if (x := getattr(self, name)) is None else x[w]
            for name in ("order", "distance", "score")
        }
        config = replace(self.config, alpha=self.alphas[w])
        return Selection(**part, relevance=self.relevance, alphas=(config.alpha,), config=config)


@dataclass(frozen=True)
class Flops:
    """Floating-point operations (2 x multiply-add) of one answer by station: a closed-form ESTIMATE."""

    vision: float
    selection: float
    projector: float
    prefill: float
    decode: float

    @property
    def total(self) -> float:
        return self.vision + self.selection + self.projector + self.prefill + self.decode


@dataclass(frozen=True)
class Savings:
    """Closed-form ESTIMATE of what pruning saves; every ratio is full / pruned, so 4.0 means four times less.

    Attributes:
        full, pruned: FLOPs by station without and with pruning.
        visual_only: ratio of the LLM prefill over the visual tokens alone (the convention of the paper).
        prefill: ratio of the whole LLM prefill, text tokens included.
        end_to_end: ratio of everything: encoder, selection, projector, prefill, decode.
        kv_bytes_full, kv_bytes_pruned: KV cache after prefill, in bytes.
        n_visual_full, n_visual_pruned, n_text, n_new: the token counts that went in.
    """

    full: Flops
    pruned: Flops
    visual_only: float
    prefill: float
    end_to_end: float
    kv_bytes_full: int
    kv_bytes_pruned: int
    n_visual_full: int
    n_visual_pruned: int
    n_text: int
    n_new: int


@dataclass(frozen=True)
class Timing:
    """A MEASUREMENT in seconds, medians over `repeats` runs after `warmup` runs; spread is (min, max).

    Attributes:
        prefill: projector + LLM over the whole prompt, up to the first new token.
        per_token: one decode step, each run's mean over its steps; NaN, spread and all, where none was timed.
    """

    prefill: float
    prefill_spread: tuple[float, float]
    per_token: float
    per_token_spread: tuple[float, float]
    repeats: int
    warmup: int
    device: str


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
        kept: [T, K] indices, None for the unpruned run.
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


@dataclass(frozen=True)
class Trace:
    """The one record of a run: everything that the picture, the table and the export read."""

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
