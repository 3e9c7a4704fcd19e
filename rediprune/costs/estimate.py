"""Estimate FLOPs and KV-cache bytes of one answer in closed form from a model's shapes; nothing is timed.

The module flops says what is counted and how. Times are another type, `stopwatch.Timing`.

Three ratios, full / pruned, answer three different questions. Never mix them in one table:

- visual_only   by the papers' formula (FastV, DivPrune): the LLM over its visual tokens alone.
- prefill       the LLM over its whole prompt, the text included.
- end_to_end    everything that one answer computes, with the vision encoder, which pruning does not shrink.

The encoder is counted with all of its layers in both runs, as the unmodified model runs it. This library
stops at the last layer that is read (models.vision_encoder), pruned or not. That saves up to one layer, but
is not a saving of pruning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from ..config import METHODS
from .flops import (
    ModelShapes,
    TextTowerShapes,
    decode_flops,
    extra_flops,
    kv_bytes,
    prefill_flops,
    projector_flops,
    selection_flops,
    text_tower_flops,
    vision_flops,
    visual_only_macs,
)

__all__ = [
    "Costs",
    "Flops",
    "ModelShapes",
    "Savings",
    "TextTowerShapes",
    "decode_flops",
    "definition",
    "estimate",
    "estimate_from_costs",
    "estimate_over_prompts",
    "extra_flops",
    "kv_bytes",
    "prefill_flops",
    "projector_flops",
    "selection_flops",
    "text_tower_flops",
    "vision_flops",
    "visual_only_macs",
]


@dataclass(frozen=True)
class Flops:
    """Hold the ESTIMATED floating-point operations (2 x multiply-add) of one answer by station."""

    vision: float
    selection: float
    projector: float
    prefill: float
    decode: float

    @property
    def total(self) -> float:
        """Sum the FLOPs of all stations."""
        return self.vision + self.selection + self.projector + self.prefill + self.decode


@dataclass(frozen=True)
class Savings:
    """Hold an ESTIMATE of what pruning saves; a ratio is full / pruned, so 4.0 means four times less.

    Attributes:
        full, pruned: FLOPs by station without and with pruning.
        visual_only: ratio of the LLM prefill over the visual tokens alone (the convention of the papers).
        prefill: ratio of the LLM prefill over the whole prompt, text tokens included.
        end_to_end: ratio of the totals: encoder, selection, projector, prefill, decode.
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
class Costs:
    """Hold the inputs of an estimate except the number of kept tokens; no model is needed after that.

    Attributes:
        shapes: the fields of flops.ModelShapes by name.
        n_visual, n_text, n_frames, method, query_flops, choices: arguments of `estimate`.
        n_projected: tokens through the projector without pruning, and with `n_kept` tokens kept.
        n_kept: the number of kept tokens for which n_projected was counted.
    """

    shapes: Mapping[str, int]
    n_visual: int
    n_text: int
    n_frames: int
    method: str
    query_flops: float
    choices: tuple[int, ...]
    n_projected: tuple[int, int]
    n_kept: int


# One sentence for each number that the page shows, kept beside the formulas. The page shows it on hover.
_DEFINITIONS = {
    "visual_only": (
        "LLM prefill over the visual tokens alone, by the papers' formula: 4nd² + 2n²d + 2ndm multiply-adds "
        "per layer, with no text, no encoder, no decoding and two of the three FFN matrices."
    ),
    "prefill": (
        "LLM prefill over the whole prompt, visual and text tokens: all projections, all FFN matrices, full "
        "attention, and the output layer for the last position."
    ),
    "end_to_end": (
        "Everything one answer computes: the whole vision encoder (not reduced by pruning), selection, "
        "projector, prefill and the decoding of each further token."
    ),
    "kv_bytes": (
        "Memory that holds the keys and values of the whole prompt in every LLM layer right after prefill; "
        "models whose heads share keys and values (GQA) store fewer."
    ),
}


def definition(name: str) -> str:
    """Return the sentence that defines one of the numbers, for the page's hover text.

    Args:
        name: "visual_only", "prefill", "end_to_end" or "kv_bytes".

    Raises:
        ValueError: another name.
    """
    if name not in _DEFINITIONS:
        raise ValueError(f"no definition of {name!r}: choose one of {', '.join(_DEFINITIONS)}")
    return _DEFINITIONS[name]


def estimate(
    shapes: ModelShapes,
    n_visual: int,
    n_kept: int,
    n_text: int,
    n_new: int = 1,
    n_frames: int = 1,
    *,
    method: str = "rediprune",
    query_flops: float = 0.0,
    choices: Sequence[int] | None = None,
    n_projected: tuple[int, int] | None = None,
    ffn_matrices: int = 2,
) -> Savings:
    """Estimate what keeping n_kept of n_visual tokens saves for one answer of n_new tokens.

    Args:
        shapes: the model.
        n_visual: visual tokens in the prompt without pruning, over all frames.
        n_kept: visual tokens that remain, over all frames, 1 <= n_kept <= n_visual.
        n_text: all other prompt tokens, >= 0; equal in both runs. Separators between lines of visual tokens
            count as staying, although pruning may remove some of them.
        n_new: tokens generated, end token included, >= 1; equal in both runs.
        n_frames: pictures that the encoder processes one by one: frames of a clip, tiles of an image.
        method: one of config.METHODS; decides the cost of the selection.
        query_flops: cost of making the query: 0 for prompt-tail, which only mixes at most 128 embeddings, and
            `text_tower_flops` for text-tower. Counted as selection.
        choices: number of tokens in each choice: [n_visual] for a shared budget, otherwise the tokens of each
            frame. Default: all frames have equally many.
        n_projected: tokens through the projector without and with pruning; default n_visual and n_kept.
        ffn_matrices: 2 as in the papers' formula, or 3; changes `visual_only` only.

    Equal decode lengths are a convention: the two answers may differ in length. Where n_kept == n_visual
    nothing is chosen, the selection costs 0 and every ratio is exactly 1.

    Raises:
        ValueError: counts out of range, or an unknown method.
    """
    if not 1 <= n_kept <= n_visual:
        raise ValueError(f"n_kept={n_kept} is out of range: it must be in 1..n_visual={n_visual}")
    if n_text < 0 or n_new < 1 or n_frames < 1 or (choices is None and n_visual % n_frames):
        raise ValueError(
            f"n_text={n_text}, n_new={n_new}, n_frames={n_frames} do not fit: they must be >= 0, >= 1 and a "
            f"divisor of n_visual={n_visual}"
        )
    if choices is None:
        choices = [n_visual // n_frames] * n_frames
    if sum(choices) != n_visual or min(choices) < 1:
        raise ValueError(f"choices={list(choices)} must be counts >= 1 that add up to n_visual={n_visual}")
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown: choose one of {', '.join(METHODS)}")

    projected = n_projected or (n_visual, n_kept)

    def flops(n: int, n_in: int, selection: float) -> Flops:
        """Count a run with n visual tokens in the LLM and n_in tokens through the projector."""
        return Flops(
            vision=float(n_frames * vision_flops(shapes)),
            selection=float(selection),
            projector=float(projector_flops(shapes, n_in)),
            prefill=float(prefill_flops(shapes, n + n_text)),
            decode=float(decode_flops(shapes, n + n_text, n_new)),
        )

    widths = shapes.projector_in, shapes.projector_out
    choosing = sum(selection_flops(method, n, *widths) for n in choices) + query_flops
    choosing += extra_flops(method, shapes, projected[0], n_frames)
    full = flops(n_visual, projected[0], 0)
    pruned = flops(n_kept, projected[1], choosing if n_kept < n_visual else 0)
    return Savings(
        full=full,
        pruned=pruned,
        visual_only=visual_only_macs(shapes, n_visual, ffn_matrices)
        / visual_only_macs(shapes, n_kept, ffn_matrices),
        prefill=full.prefill / pruned.prefill,
        end_to_end=full.total / pruned.total,
        kv_bytes_full=kv_bytes(shapes, n_visual + n_text),
        kv_bytes_pruned=kv_bytes(shapes, n_kept + n_text),
        n_visual_full=n_visual,
        n_visual_pruned=n_kept,
        n_text=n_text,
        n_new=n_new,
    )


def estimate_over_prompts(costs: Sequence[Costs], n_new: int = 1) -> Savings:
    """Estimate several prompts together, each with its recorded number of kept tokens and n_new new tokens.

    FLOPs, bytes and counts are summed over the prompts; each ratio is the ratio of two sums.

    Raises:
        ValueError: no prompt, or n_new below 1.
    """
    if not costs or n_new < 1:
        raise ValueError(f"{len(costs)} prompts of {n_new} new tokens each: both must be at least 1")
    each = [estimate_from_costs(one, one.n_kept, n_new) for one in costs]
    full = _sum_flops([one.full for one in each])
    pruned = _sum_flops([one.pruned for one in each])
    macs_full = sum(visual_only_macs(ModelShapes(**one.shapes), one.n_visual) for one in costs)
    macs_pruned = sum(visual_only_macs(ModelShapes(**one.shapes), one.n_kept) for one in costs)
    counts = ("kv_bytes_full", "kv_bytes_pruned", "n_visual_full", "n_visual_pruned", "n_text", "n_new")
    return Savings(
        full=full,
        pruned=pruned,
        visual_only=macs_full / macs_pruned,
        prefill=full.prefill / pruned.prefill,
        end_to_end=full.total / pruned.total,
        **{name: sum(getattr(one, name) for one in each) for name in counts},
    )


def _sum_flops(runs: Sequence[Flops]) -> Flops:
    """Add up runs station by station."""
    return Flops(**{f.name: sum(getattr(run, f.name) for run in runs) for f in fields(Flops)})


def estimate_from_costs(costs: Costs, n_kept: int, n_new: int) -> Savings:
    """Run `estimate` for n_kept kept tokens and n_new new ones, from the costs that a run recorded.

    The number of tokens through the projector can depend on which tokens are kept (LLaVA-OneVision mixes them
    behind it). For another n_kept than the recorded one it is scaled in proportion.
    """
    projected_full, projected_pruned = costs.n_projected
    if n_kept == costs.n_visual:
        projected = projected_full
    else:
        projected = min(projected_full, max(1, round(n_kept * projected_pruned / costs.n_kept)))
    return estimate(
        ModelShapes(**costs.shapes),
        n_visual=costs.n_visual,
        n_kept=n_kept,
        n_text=costs.n_text,
        n_new=max(1, n_new),
        n_frames=costs.n_frames,
        method=costs.method,
        query_flops=costs.query_flops,
        choices=costs.choices,
        n_projected=(projected_full, projected),
    )
