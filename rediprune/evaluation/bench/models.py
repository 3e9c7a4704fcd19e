"""Measure part 2: what a model at public shapes costs with all of its visual tokens and with few.

The weights are random: times depend on shapes, not on values. This part measures a model that fits on any
machine, LLaVA-OneVision 0.5B; `models_7b` measures models of 7B in the same way.

One answer costs the encoder, the selection, the prefill (projector included) and a decode step for each token
beyond the first. Pruning touches the last two. Beside the times stand the FLOPs that `costs.estimate` counts:
where a time falls less than its FLOPs, something is paid for that no FLOP stands for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F

from ...config import PruneConfig
from ...costs.estimate import decode_flops, estimate, kv_bytes, vision_flops
from ...costs.stopwatch import pool_timings
from ...explainer.generate import prefill, time_prompt
from ...models import Adapter, EncodedItem, adapter_for
from ...models.checkpoints.catalog import find
from ...models.transformers_names import cache_of
from ...query.prompt_tail import prompt_tail
from ...selection.select import select_tokens
from . import answer_tables
from .answer_tables import ANSWERS, RATIOS
from .dummy_inputs import dtype_name, make_tiny, pick_faster_dtype, prompt_ids, random_input
from .memory import byte_figure, cache_bytes, peak_bytes
from .record import BenchRun, Case, Estimate, Figure, time_calls

STEPS = 8  # decode steps that are timed
IMAGE = 0

# Checkpoint -> how many frames each input has; IMAGE is one still picture.
MEDIA_OF_CHECKPOINTS = {"llava-hf/llava-onevision-qwen2-0.5b-ov-hf": (IMAGE, 8)}

tables = partial(answer_tables.tables, part="models")


def measure(device: str, quick: bool) -> Iterator[Figure | Estimate]:
    """Yield the figures of the model for a picture and a clip at every keep ratio; `quick` makes it tiny."""
    return measure_checkpoints(MEDIA_OF_CHECKPOINTS, device, quick)


def figures(run: BenchRun) -> dict[str, str]:
    """Return no charts: the tables hold everything."""
    return {}


def measure_checkpoints(
    media: dict[str, tuple[int, ...]], device: str, quick: bool
) -> Iterator[Figure | Estimate]:
    """Yield the figures of each checkpoint with all of its media, in the number format that suits the first.

    Args:
        media: checkpoint -> how many frames each input has; IMAGE is one still picture.
    """
    entries = {name: make_tiny(find(name)) if quick else find(name) for name in media}
    dtype, tried = pick_faster_dtype(next(iter(entries.values())), device)
    yield from tried
    for name, frame_counts in media.items():
        entry = entries[name]
        model = entry.at_random(device, dtype)
        weights = sum(weight.nbytes for weight in model.parameters())
        yield byte_figure("weights", {"model": entry.title}, weights, device, dtype_name(dtype))
        for frames in frame_counts:
            yield from _measure_medium(adapter_for(model), entry.title, frames, device, quick)
        del model


@torch.no_grad()
def _measure_medium(
    adapter: Adapter, title: str, frames: int, device: str, quick: bool
) -> Iterator[Figure | Estimate]:
    """Yield the figures of one picture or clip: encoding, selection, and prompts at every ratio."""
    how = {"device": device, "dtype": dtype_name(adapter.model.dtype)}
    inputs = random_input(adapter, frames)
    found = []
    needed = peak_bytes(lambda: found.extend(adapter.look(inputs)), device)  # also the one warm-up run
    (seen,) = found
    case = {
        "model": title,
        "shown": f"{frames} frames" if frames else "image",
        "views": seen.n_views,
        "tokens": seen.vision.n_tokens,
    }
    slow = bool(frames) and device == "cpu"  # a clip takes a CPU most of the bench's time
    (encoding,) = time_calls(
        {"encoder": lambda: adapter.look(inputs)}, case, warmup=0, repeats=1 if slow else 2, **how
    )
    yield replace(encoding, warmup=1)
    yield byte_figure("memory of the encoder", case, needed, **how)

    flops = seen.n_views * vision_flops(adapter.shapes_for(seen.vision))
    yield Estimate("encoder, counted", case, "FLOP", flops, "savings: all layers")
    ids = prompt_ids(adapter, seen)

    def choose():
        query = prompt_tail(adapter.prompt_tail_embeddings(ids[0])[0])  # no question in it: shapes are timed
        return select_tokens(seen.vision, query, PruneConfig(alpha=0.5))

    yield from time_calls({"selection": choose}, case, **how)
    kept = {ratio: choose().kept(ratio).cpu() for ratio in RATIOS}
    yield from _measure_ratios(adapter, seen, ids, kept, case, 2 if quick or slow else 3, how)


@torch.no_grad()
def _measure_ratios(
    adapter: Adapter,
    seen: EncodedItem,
    ids: torch.Tensor,
    kept: dict[float, torch.Tensor],
    case: Case,
    repeats: int,
    how: dict[str, str],
) -> Iterator[Figure | Estimate]:
    """Yield prefill and decode times at every ratio, measured in turns, and the memory that they need."""
    prompts = {ratio: partial(adapter.splice, ids, None, [seen], [tokens]) for ratio, tokens in kept.items()}
    cases = {}
    runs = {ratio: [] for ratio in prompts}
    heads = adapter.model.config.text_config.num_attention_heads
    for ratio, prompt in prompts.items():  # also the one warm-up run
        made: list = []
        needed = peak_bytes(partial(_run_prefill, adapter, prompt, made), how["device"])
        cache = cache_of(made.pop())
        mine = case | {"keep": ratio, "K": len(kept[ratio]), "L": int(prompt().mask.sum())}
        yield byte_figure("memory of the prefill", mine, needed, **how)
        yield byte_figure("KV cache", mine, cache_bytes(cache), **how)
        yield from time_calls(
            {"attention of a step": partial(_run_decode_attention, cache, heads)}, mine, **how
        )
        yield from _estimates(adapter, seen, ids, kept[ratio], mine)
        cases[ratio] = mine
        del cache  # that of a long clip takes gigabytes, and the next prompt makes another
    for _ in range(repeats):
        for ratio, prompt in prompts.items():
            run = time_prompt(adapter, prompt, steps=STEPS, repeats=1, warmup=0, device=how["device"])
            runs[ratio].append(run)
    for ratio, mine in cases.items():
        t = pool_timings(runs[ratio])
        same = dict(case=mine, unit="s", **how, repeats=repeats)
        low, high = t.prefill_spread
        yield Figure("prefill", **same, median=t.prefill, low=low, high=high, warmup=1)
        low, high = t.per_token_spread
        yield Figure("decode step", **same, median=t.per_token, low=low, high=high, warmup=0)


def _run_decode_attention(cache: object, heads: int) -> None:
    """Run the attention of one decode step alone: one new query to all cached keys, in every layer."""
    for layer in cache.layers:
        keys, values = layer.keys, layer.values  # [1, key-value heads, L, width of a head]
        query = keys.new_ones(1, heads, 1, keys.shape[-1])
        F.scaled_dot_product_attention(query, keys, values, enable_gqa=keys.shape[1] < heads)


def _run_prefill(adapter, prompt, made: list) -> None:
    made.append(prefill(adapter, prompt()))


def _estimates(
    adapter: Adapter, seen: EncodedItem, ids: torch.Tensor, kept: torch.Tensor, case: Case
) -> Iterator[Estimate]:
    """Yield the estimates of `costs.estimate` for this run, to stand beside the measured figures."""
    vision = seen.vision
    shapes = adapter.shapes_for(vision)
    length = case["L"]
    saved = [
        estimate(
            shapes,
            n_visual=vision.n_tokens,
            n_kept=len(kept),
            n_text=ids.shape[1] - vision.n_tokens,
            n_new=n_new,
            n_frames=seen.n_views,
            choices=vision.counts,
            n_projected=tuple(adapter.n_projected(seen, some) for some in (vision.all, kept)),
        )
        for n_new in ANSWERS
    ]
    full, pruned = (one.projector + one.prefill for one in (saved[0].full, saved[0].pruned))  # as timed
    for what, flops in (("prefill", pruned), ("decode step", decode_flops(shapes, length, 2))):
        yield Estimate(f"{what}, counted", case, "FLOP", flops, "savings")
    yield Estimate("prefill ratio", case, "x", full / pruned, "savings: FLOPs of projector and whole prompt")
    for n_new, one in zip(ANSWERS, saved, strict=True):
        yield Estimate("answer ratio", case | {"new": n_new}, "x", one.end_to_end, "savings: FLOPs")
    yield Estimate("KV cache", case, "bytes", kv_bytes(shapes, length), "savings")
