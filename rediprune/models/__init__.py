"""The only place that knows transformers: one file per model family, chosen by `adapter_for`.

What a family answers: base (the questions), records (what it hands on), encoding (running the encoder), view
and geometry (tokens to pixels), call (inside `model.generate`), transformers_names (what transformers renames
between releases); the families: llava, vipllava, llava_next (with anyres and packing: tiles),
llava_next_video, video_llava, llava_onevision (with mixing), internvl, qwen2_5_vl and qwen3_vl (with mrope).
refusals says which models cannot be pruned in front of a projector, and why.

Getting a model: catalog (the public checkpoints), memory (what fits), then loading, which asks placement
(device, numbers), download and progress, and failures (what went wrong, in one sentence).

A new family is one new file and one line in FAMILIES.
"""

from __future__ import annotations

from .base import Adapter
from .error import ModelError
from .internvl import InternVlAdapter
from .llava import LlavaAdapter
from .llava_next import LlavaNextAdapter
from .llava_next_video import LlavaNextVideoAdapter
from .llava_onevision import LlavaOnevisionAdapter
from .loading import load
from .qwen2_5_vl import Qwen25VlAdapter
from .qwen3_vl import Qwen3VlAdapter
from .records import Prompt, Seen
from .refusals import refuse_class
from .video_llava import VideoLlavaAdapter
from .vipllava import VipLlavaAdapter

__all__ = ["FAMILIES", "Adapter", "ModelError", "Prompt", "Seen", "adapter_for", "load"]

# config.model_type -> adapter
FAMILIES: dict[str, type[Adapter]] = {
    "internvl": InternVlAdapter,
    "llava": LlavaAdapter,
    "llava_next": LlavaNextAdapter,
    "llava_next_video": LlavaNextVideoAdapter,
    "llava_onevision": LlavaOnevisionAdapter,
    "qwen2_5_vl": Qwen25VlAdapter,
    "qwen3_vl": Qwen3VlAdapter,
    "video_llava": VideoLlavaAdapter,
    "vipllava": VipLlavaAdapter,
}


def adapter_for(model: object) -> Adapter:
    """The adapter of a loaded transformers model, or of the one that torch.compile or PEFT has wrapped.

    The model itself is not changed.

    Raises:
        ModelError: no separate projector to prune in front of, or a family not known here; names the class.
    """
    model = _unwrapped(model)
    config = getattr(model, "config", None)
    refuse_class(type(model).__name__, config, FAMILIES)
    if not hasattr(model, "lm_head"):
        raise ModelError(
            f"{type(model).__name__} has no output layer and cannot generate: load it with "
            "AutoModelForImageTextToText"
        )
    return FAMILIES[config.model_type](model)


def _unwrapped(model: object) -> object:
    compiled = getattr(model, "_orig_mod", model)  # torch.compile
    return compiled.get_base_model() if hasattr(compiled, "get_base_model") else compiled  # PEFT
