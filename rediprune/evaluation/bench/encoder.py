"""Measure the vision encoder of LLaVA-1.5 at its true shapes: pruning does not touch it.

Each saving is measured against doing without it, with the outputs compared in the same run:

- The encoder ends at the layer that is read (models/vision_encoder) instead of running one more that nobody
  reads.
- Both answers about a picture use one encoding instead of one each.
- The frames of a clip go in a few at a time or one by one instead of all together. This is measured and not
  done, because on some machines the bits depend on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain

import torch
from torch import Tensor

from ...explainer.generate import prefill
from ...models import Adapter, adapter_for
from ...models.checkpoints.catalog import find
from ...models.vision_encoder import hidden_states
from .dummy_inputs import dtype_name, make_tiny, pick_faster_dtype, prompt_ids, random_input
from .memory import byte_figure, peak_bytes
from .record import BenchRun, Figure, format_number, time_calls

TOWER, LLM = "llava-hf/llava-1.5-7b-hf", "llava-hf/llava-onevision-qwen2-0.5b-ov-hf"
KEEP = 0.15
FEW = 8  # frames at a time
FRAMES, LONG = 2 * FEW, 32  # frames of the clip that is timed, and of the one whose memory is counted
DEPTH, SHALLOW = 2, 1  # blocks that the timed and the counted clip run through; all blocks are alike


@torch.no_grad()
def measure(device: str, quick: bool) -> Iterator[Figure]:
    """Yield figures of CLIP-L/14 at 336 pixels in front of an LLM of 0.5B; `quick` takes tiny models.

    Raises:
        RuntimeError: two ways whose results must be equal to the last bit differ.
    """
    entry = make_tiny(find(TOWER)) if quick else find(TOWER)
    if not quick:
        entry = replace(entry, config={"text_config": find(LLM).config["text_config"]})
    dtype, _ = pick_faster_dtype(entry, device)
    adapter = adapter_for(entry.at_random(device, dtype))
    # Outputs are compared before anything is timed, so every call has run once to warm up.
    how = {"device": device, "dtype": dtype_name(dtype), "warmup": 0, "repeats": 2}
    parts = (_measure_early_end, _measure_chunked_frames, _measure_shared_encoding)
    for figure in chain(*(part(adapter, how) for part in parts)):
        yield replace(figure, warmup=1) if figure.unit == "s" else figure


def _measure_early_end(adapter: Adapter, how: dict) -> Iterator[Figure]:
    """Time one picture through the encoder: to its end, and to the layer that is read."""
    tower = adapter.model.model.vision_tower
    layer = adapter.model.config.vision_feature_layer
    blocks = tower.encoder.layers
    pixels = random_input(adapter, 0)["pixel_values"]
    ways = {
        "encoder, to its end": lambda: tower(pixels, output_hidden_states=True).hidden_states[layer],
        "encoder, to the layer read": lambda: hidden_states(tower, blocks, pixels, [layer])[0],
    }
    found = [way() for way in ways.values()]
    _require_same_bits(found[0], found[1], "an encoder that ends early and one that runs to its end")
    case = {"T": 1, "S": found[0].shape[1], "C": found[0].shape[2]}
    for figure in time_calls(ways, case, **how):
        yield replace(figure, case=case | {"layers": _count_blocks_run(blocks, ways[figure.what])})


def _measure_chunked_frames(adapter: Adapter, how: dict) -> Iterator[Figure]:
    """Time a clip through the encoder's first blocks: frames together, a few at a time, one by one."""
    tower = adapter.model.model.vision_tower
    sizes = {"frames together": LONG, f"{FEW} frames at a time": FEW, "frame by frame": 1}

    def ways(frames: int, depth: int) -> dict[str, Callable[[], Tensor]]:
        clip = torch.cat([random_input(adapter, 0)["pixel_values"] for _ in range(frames)])

        def encode(size: int) -> Tensor:
            parts = [hidden_states(tower, tower.encoder.layers, x, [depth])[0] for x in clip.split(size)]
            return torch.cat(parts) if size < frames else parts[0]

        return {what: partial(encode, size) for what, size in sizes.items()}

    timings = ways(FRAMES, DEPTH)
    whole, few, each = (way() for way in timings.values())
    same = "yes" if torch.equal(whole, few) and torch.equal(whole, each) else "no"
    yield from time_calls(timings, {"T": FRAMES, "layers": DEPTH, "same bits": same}, **how)
    for what, way in ways(LONG, SHALLOW).items():
        size = peak_bytes(way, how["device"])
        yield byte_figure(f"memory of {what}", {"T": LONG}, size, how["device"], how["dtype"])


def _measure_shared_encoding(adapter: Adapter, how: dict) -> Iterator[Figure]:
    """Time the first tokens of both answers (all and kept tokens) from one encoding, and from two."""
    inputs = random_input(adapter, 0)
    (seen,) = adapter.look(inputs)
    ids, vision = prompt_ids(adapter, seen), seen.vision
    few = vision.all[:: round(1 / KEEP)]  # which ones does not matter to the time

    def look():
        return adapter.look(inputs)

    def answer(seen, kept: Tensor) -> Tensor:
        return prefill(adapter, adapter.splice(ids, None, seen, [kept])).logits

    def once() -> Tensor:
        seen = look()
        return torch.cat([answer(seen, vision.all), answer(seen, few)])

    def twice() -> Tensor:
        return torch.cat([answer(look(), vision.all), answer(look(), few)])

    _require_same_bits(once(), twice(), "answers from one look and from a look each")
    case = {"N": vision.n_tokens, "K": len(few)}
    yield from time_calls({"two answers, a look each": twice, "two answers, one look": once}, case, **how)


def _count_blocks_run(blocks: torch.nn.ModuleList, call: Callable[[], object]) -> int:
    """Count the blocks that a call really runs."""
    ran: list[int] = []
    hooks = [block.register_forward_pre_hook(lambda *_: ran.append(1)) for block in blocks]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return len(ran)


def _require_same_bits(one: Tensor, other: Tensor, what: str) -> None:
    if not torch.equal(one, other):
        raise RuntimeError(f"{what} differ: they must be the same to the last bit")


def tables(run: BenchRun) -> dict[str, str]:
    """Make one row for each pair of ways: without, with, and what it saves."""

    def beside(what: str) -> list[Figure]:
        return [figure for figure in run.measured if figure.what == what]

    rows = ["| | without | with | saved | same bits |", "|---" * 5 + "|"]

    def line(name: str, without: Figure, ours: Figure, same: str) -> None:
        saved = f"{1 - ours.median / without.median:.1%}"
        rows.append(f"| {name} | {_format_figure(without)} | {_format_figure(ours)} | {saved} | {same} |")

    (to_end,) = beside("encoder, to its end")
    (early,) = beside("encoder, to the layer read")
    layers = f"{early.case['layers']} of {to_end.case['layers']} layers"
    line(f"one picture, {layers} run", to_end, early, "yes")
    (few,) = beside(f"{FEW} frames at a time")
    for without in ("frames together", "frame by frame"):
        (other,) = beside(without)
        what = f"{few.case['T']} frames, {few.what} and not {without.removeprefix('frames ')}"
        line(f"{what} ({few.case['layers']} layers)", other, few, few.case["same bits"])
    (whole,) = beside("memory of frames together")
    (parted,) = beside(f"memory of {few.what}")
    line(f"memory of {whole.case['T']} frames, {few.what} and not together", whole, parted, "yes")
    (each,) = beside("two answers, a look each")
    (once,) = beside("two answers, one look")
    line(
        f"first tokens with all {each.case['N']} tokens and with {each.case['K']}, one look",
        each,
        once,
        "yes",
    )
    return {"encoder-table": "\n".join(rows)}


def figures(run: BenchRun) -> dict[str, str]:
    """Return no charts: the table holds everything."""
    return {}


def _format_figure(figure: Figure) -> str:
    median = format_number(figure.median, figure.unit)
    if figure.unit != "s":
        return median
    return f"{median} ({format_number(figure.low, 's')}..{format_number(figure.high, 's')})"
