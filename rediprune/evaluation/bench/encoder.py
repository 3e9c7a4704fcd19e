"""What pruning cannot touch, and what is free there: the vision encoder of LLaVA-1.5 at its true shapes.

Each against doing without it, with the outputs compared in the same run:

- the encoder ends at the layer that is read (vision_encoder), instead of running one more that nobody reads;
- both answers about a picture are made from one look, instead of encoding it for each;
- the frames of a clip a few at a time or one by one, instead of all together: measured, and not done, because
  the bits depend on it on some machines.
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
from .dummy_inputs import named, prompt_ids, quicker, random_input, tiny
from .memory import counted, peak_bytes
from .record import Figure, Run, shown, timed

TOWER, LLM = "llava-hf/llava-1.5-7b-hf", "llava-hf/llava-onevision-qwen2-0.5b-ov-hf"
KEEP = 0.15
FEW = 8  # frames at a time
FRAMES, LONG = 2 * FEW, 32  # of a clip that is timed; of one whose memory is counted
DEPTH, SHALLOW = 2, 1  # blocks of those two: one is like another, and the most memory is needed within one


@torch.no_grad()
def measure(device: str, quick: bool) -> Iterator[Figure]:
    """CLIP-L/14 at 336 pixels in front of an LLM of 0.5B; `quick` is a tiny one.

    Raises:
        RuntimeError: two ways that must give the same do not, to the last bit.
    """
    entry = tiny(find(TOWER)) if quick else find(TOWER)
    if not quick:
        entry = replace(entry, config={"text_config": find(LLM).config["text_config"]})
    dtype, _ = quicker(entry, device)
    adapter = adapter_for(entry.at_random(device, dtype))
    # Outputs are compared before anything is timed, so every call has run once to warm up.
    how = {"device": device, "dtype": named(dtype), "warmup": 0, "repeats": 2}
    for figure in chain(*(measured(adapter, how) for measured in (_early, _passes, _reused))):
        yield replace(figure, warmup=1) if figure.unit == "s" else figure


def _early(adapter: Adapter, how: dict) -> Iterator[Figure]:
    """One picture, to the encoder's end and to the layer that is read."""
    tower, (layer,) = adapter.model.model.vision_tower, [adapter.model.config.vision_feature_layer]
    blocks, pixels = tower.encoder.layers, random_input(adapter, 0)["pixel_values"]
    ways = {
        "encoder, to its end": lambda: tower(pixels, output_hidden_states=[layer]).hidden_states[layer],
        "encoder, to the layer read": lambda: hidden_states(tower, blocks, pixels, [layer])[0],
    }
    found = [way() for way in ways.values()]
    _same(found[0], found[1], "an encoder that ends early and one that runs to its end")
    case = {"T": 1, "S": found[0].shape[1], "C": found[0].shape[2]}
    for figure in timed(ways, case, **how):
        yield replace(figure, case=case | {"layers": _run(blocks, ways[figure.what])})


def _passes(adapter: Adapter, how: dict) -> Iterator[Figure]:
    """A clip through the first blocks of the encoder: all frames together, a few at a time, one by one."""
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
    yield from timed(timings, {"T": FRAMES, "layers": DEPTH, "same bits": same}, **how)
    for what, way in ways(LONG, SHALLOW).items():
        size = peak_bytes(way, how["device"])
        yield counted(f"memory of {what}", {"T": LONG}, size, how["device"], how["dtype"])


def _reused(adapter: Adapter, how: dict) -> Iterator[Figure]:
    """The first token of both answers, with all tokens and with the kept ones."""
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

    _same(once(), twice(), "answers from one look and from a look each")
    case = {"N": vision.n_tokens, "K": len(few)}
    yield from timed({"two answers, a look each": twice, "two answers, one look": once}, case, **how)


def _run(blocks: torch.nn.ModuleList, call: Callable[[], object]) -> int:
    """How many blocks a call really runs."""
    ran: list[int] = []
    hooks = [block.register_forward_pre_hook(lambda *_: ran.append(1)) for block in blocks]
    try:
        call()
    finally:
        for hook in hooks:
            hook.remove()
    return len(ran)


def _same(one: Tensor, other: Tensor, what: str) -> None:
    if not torch.equal(one, other):
        raise RuntimeError(f"{what} differ: they must be the same to the last bit")


def tables(run: Run) -> dict[str, str]:
    """One line for each pair: with, without, and what it saves."""

    def beside(what: str) -> list[Figure]:
        return [figure for figure in run.measured if figure.what == what]

    rows = ["| | without | with | saved | same bits |", "|---" * 5 + "|"]

    def line(name: str, without: Figure, ours: Figure, same: str) -> None:
        saved = f"{1 - ours.median / without.median:.1%}"
        rows.append(f"| {name} | {_said(without)} | {_said(ours)} | {saved} | {same} |")

    (to_end,), (early,) = beside("encoder, to its end"), beside("encoder, to the layer read")
    layers = f"{early.case['layers']} of {to_end.case['layers']} layers"
    line(f"one picture, {layers} run", to_end, early, "yes")
    (few,) = beside(f"{FEW} frames at a time")
    for without in ("frames together", "frame by frame"):
        (other,) = beside(without)
        what = f"{few.case['T']} frames, {few.what} and not {without.removeprefix('frames ')}"
        line(f"{what} ({few.case['layers']} layers)", other, few, few.case["same bits"])
    (whole,), (parted,) = beside("memory of frames together"), beside(f"memory of {few.what}")
    line(f"memory of {whole.case['T']} frames, {few.what} and not together", whole, parted, "yes")
    (each,), (once,) = beside("two answers, a look each"), beside("two answers, one look")
    line(
        f"first tokens with all {each.case['N']} tokens and with {each.case['K']}, one look",
        each,
        once,
        "yes",
    )
    return {"encoder-table": "\n".join(rows)}


def figures(run: Run) -> dict[str, str]:
    """None: the table says it."""
    return {}


def _said(figure: Figure) -> str:
    spread = f" ({shown(figure.low, 's')}..{shown(figure.high, 's')})" if figure.unit == "s" else ""
    return f"{shown(figure.median, figure.unit)}{spread}"
