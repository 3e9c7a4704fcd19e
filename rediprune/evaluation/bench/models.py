"""Part 2: what a model costs with all of its visual tokens and with a few, at a public checkpoint's shapes.

The weights are random: times depend on shapes, not on values. This part is of a model for any machine,
LLaVA-OneVision 0.5B; `large` measures models of 7B in the same way.

What one answer costs is the encoder, the selection, the prefill (projector included) and a decode step for
each token beyond the first. Pruning touches the last two. Beside the times stand the FLOPs that `savings`
counts: where a time falls less than its FLOPs, something was paid for that no FLOP stands for.
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
from ...models import Adapter, Seen, adapter_for
from ...models.checkpoints.catalog import find
from ...models.transformers_names import cache_of
from ...query.prompt_tail import prompt_tail
from ...selection.select import select_tokens
from . import answer_tables as answers
from .answer_tables import ANSWERS, RATIOS
from .dummy_inputs import named, prompt_ids, quicker, random_input, tiny
from .memory import cache_bytes, counted, peak_bytes
from .record import Case, Estimate, Figure, Run, timed

STEPS = 8  # decode steps that are timed
IMAGE = 0

# Checkpoint -> how many frames it is shown; IMAGE is one still picture.
SMALL = {"llava-hf/llava-onevision-qwen2-0.5b-ov-hf": (IMAGE, 8)}

tables = partial(answers.tables, part="models")


def measure(device: str, quick: bool) -> Iterator[Figure | Estimate]:
    """The model, picture and clip, at every keep ratio; `quick` makes it tiny."""
    return measured(SMALL, device, quick)


def figures(run: Run) -> dict[str, str]:
    """None: the tables say it."""
    return {}


def measured(shown: dict[str, tuple[int, ...]], device: str, quick: bool) -> Iterator[Figure | Estimate]:
    """Each of these checkpoints with all that it is shown, in the numbers that suit the first."""
    entries = {name: tiny(find(name)) if quick else find(name) for name in shown}
    dtype, tried = quicker(next(iter(entries.values())), device)
    yield from tried
    for name, shows in shown.items():
        entry = entries[name]
        model = entry.at_random(device, dtype)
        weights = sum(weight.nbytes for weight in model.parameters())
        yield counted("weights", {"model": entry.title}, weights, device, named(dtype))
        for frames in shows:
            yield from _shown(adapter_for(model), entry.title, frames, device, quick)
        del model


@torch.no_grad()
def _shown(
    adapter: Adapter, title: str, frames: int, device: str, quick: bool
) -> Iterator[Figure | Estimate]:
    """One picture or clip: encoded, chosen from, and read at every ratio."""
    how = {"device": device, "dtype": named(adapter.model.dtype)}
    inputs, found = random_input(adapter, frames), []
    needed = peak_bytes(lambda: found.extend(adapter.look(inputs)), device)  # the one run to warm up, too
    (seen,) = found
    case = {
        "model": title,
        "shown": f"{frames} frames" if frames else "image",
        "views": seen.n_views,
        "tokens": seen.vision.n_tokens,
    }
    few = bool(frames) and device == "cpu"  # a clip takes a CPU most of the bench's time
    (encoding,) = timed(
        {"encoder": lambda: adapter.look(inputs)}, case, warmup=0, repeats=1 if few else 2, **how
    )
    yield replace(encoding, warmup=1)
    yield counted("memory of the encoder", case, needed, **how)

    flops = seen.n_views * vision_flops(adapter.shapes_for(seen.vision))
    yield Estimate("encoder, counted", case, "FLOP", flops, "savings: all layers")
    ids = prompt_ids(adapter, seen)

    def choose():
        query = prompt_tail(adapter.prompt_tail_embeddings(ids[0])[0])  # no question in it: shapes are timed
        return select_tokens(seen.vision, query, PruneConfig(alpha=0.5))

    yield from timed({"selection": choose}, case, **how)
    kept = {ratio: choose().kept(ratio).cpu() for ratio in RATIOS}
    yield from _read(adapter, seen, ids, kept, case, 2 if quick or few else 3, how)


@torch.no_grad()
def _read(
    adapter: Adapter,
    seen: Seen,
    ids: torch.Tensor,
    kept: dict[float, torch.Tensor],
    case: Case,
    repeats: int,
    how: dict[str, str],
) -> Iterator[Figure | Estimate]:
    """Prefill and decoding at every ratio, by turns, and what they hold in memory."""
    prompts = {ratio: partial(adapter.splice, ids, None, [seen], [tokens]) for ratio, tokens in kept.items()}
    cases, runs = {}, {ratio: [] for ratio in prompts}
    heads = adapter.model.config.text_config.num_attention_heads
    for ratio, prompt in prompts.items():  # the one run to warm up, too
        made: list = []
        needed = peak_bytes(partial(_prefilled, adapter, prompt, made), how["device"])
        cache = cache_of(made.pop())
        mine = case | {"keep": ratio, "K": len(kept[ratio]), "L": int(prompt().mask.sum())}
        yield counted("memory of the prefill", mine, needed, **how)
        yield counted("KV cache", mine, cache_bytes(cache), **how)
        yield from timed({"attention of a step": partial(_attend, cache, heads)}, mine, **how)
        yield from _estimates(adapter, seen, ids, kept[ratio], mine)
        cases[ratio] = mine
        del cache  # a long clip's takes gigabytes, and the next prompt makes one of its own
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


def _attend(cache: object, heads: int) -> None:
    """What attention alone costs in a decode step: one new query to all cached keys, in every layer."""
    for layer in cache.layers:
        keys, values = layer.keys, layer.values  # [1, heads that share them, L, width of a head]
        query = keys.new_ones(1, heads, 1, keys.shape[-1])
        F.scaled_dot_product_attention(query, keys, values, enable_gqa=keys.shape[1] < heads)


def _prefilled(adapter, prompt, made: list) -> None:
    made.append(prefill(adapter, prompt()))


def _estimates(
    adapter: Adapter, seen: Seen, ids: torch.Tensor, kept: torch.Tensor, case: Case
) -> Iterator[Estimate]:
    """What `savings` says of the same run."""
    shapes, vision, length = adapter.shapes_for(seen.vision), seen.vision, case["L"]
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
