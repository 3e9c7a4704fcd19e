"""Make inputs for a model with random weights: noise for pixels, any words as prompt, tiny shapes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from ...models import Adapter, EncodedItem
from ...models.checkpoints.catalog import Checkpoint
from .record import Figure, time_calls

N_TEXT = 50  # text tokens of the prompt

_LLM = dict(
    model_type="qwen2",
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=512,
)
_VISION = dict(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=4,
    num_attention_heads=4,
    image_size=84,
    patch_size=14,
)


def make_tiny(entry: Checkpoint) -> Checkpoint:
    """Return a checkpoint of that family at tiny shapes, which only show that a measurement works."""
    kind = "siglip" if entry.family == "llava_onevision" else "clip"
    vision = _VISION | {"model_type": f"{kind}_vision_model"}
    config = {"text_config": _LLM, "vision_config": vision, "image_grid_pinpoints": [[84, 84]]}
    places = {"image_token_index": 510, "video_token_index": 511}
    return replace(entry, title=f"{entry.title}, tiny", config=config | places)


def pick_faster_dtype(entry: Checkpoint, device: str) -> tuple[torch.dtype, list[Figure]]:
    """Pick the number format: 16 bits on an accelerator; on a CPU the faster one of two that are tried.

    Returns:
        The format, and the figures of the trial (none on an accelerator).
    """
    if torch.device(device).type != "cpu":
        return torch.bfloat16, []
    text = entry.config["text_config"]
    tried = {}
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.randn(512, text["hidden_size"], dtype=dtype)
        w = torch.randn(text["hidden_size"], text["intermediate_size"], dtype=dtype)
        case = {"L": len(x), "D": len(w), "out": w.shape[1]}
        tried[dtype] = time_calls(
            {"one product": partial(torch.matmul, x, w)}, case, dtype=dtype_name(dtype)
        )[0]
    return min(tried, key=lambda dtype: tried[dtype].median), list(tried.values())


def random_input(adapter: Adapter, frames: int) -> dict[str, Tensor]:
    """Make the processor's output for one still picture (frames = 0) or a clip, with noise for pixels."""
    side = adapter.model.config.vision_config.image_size

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, 3, side, side, device=adapter.device, dtype=adapter.model.dtype)

    if frames:
        return {"pixel_values_videos": noise(1, frames)}
    if "image_sizes" in adapter.media_inputs:  # an overview and one tile
        return {"pixel_values": noise(1, 2), "image_sizes": torch.tensor([[side, side]])}
    return {"pixel_values": noise(1)}


def prompt_ids(adapter: Adapter, seen: EncodedItem) -> Tensor:
    """Make token ids [1, L]: some text, the placeholders, and the rest of the text, which is the question."""
    text = torch.arange(1, N_TEXT + 1)
    middle = torch.full((len(seen.placeholder_tokens),), adapter.token_id(seen.kind))
    return torch.cat([text[:20], middle, text[20:]])[None].to(adapter.device)


def dtype_name(dtype: torch.dtype) -> str:
    """Return a dtype's name as a Figure holds it, such as "bfloat16"."""
    return str(dtype).removeprefix("torch.")
