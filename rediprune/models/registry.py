"""Find the adapter of a loaded model."""

from __future__ import annotations

import transformers

from .adapter import Adapter
from .errors import ModelError
from .families.internvl import InternVlAdapter
from .families.llava import LlavaAdapter
from .families.llava_next import LlavaNextAdapter
from .families.llava_next_video import LlavaNextVideoAdapter
from .families.llava_onevision import LlavaOnevisionAdapter
from .families.qwen2_5_vl import Qwen25VlAdapter
from .families.qwen3_vl import Qwen3VlAdapter
from .families.video_llava import VideoLlavaAdapter
from .families.vipllava import VipLlavaAdapter
from .generic.adapter import GenericAdapter
from .generic.lines import LINES
from .generic.tracing import TracedAdapter
from .transformers_names import INSTALLED
from .unsupported import refuse_class, refuse_wrapper

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
    """Return the adapter of a loaded model of transformers, wrapped by torch.compile, PEFT or nothing.

    The model itself is not changed.

    Raises:
        ModelError: no separate projector to prune in front of, or a wrapper that hides the model's parts; the
            message names the class.
    """
    model = _unwrap(model)
    config = getattr(model, "config", None)
    refuse_class(type(model).__name__, config, FAMILIES)
    if not getattr(model, "can_generate", lambda: False)():
        raise ModelError(
            f"{type(model).__name__} has no output layer and cannot generate: load it with "
            "AutoModelForImageTextToText"
        )
    family = FAMILIES.get(config.model_type)
    if family is not None and family.serves(config):
        return family(model)
    line = LINES.get(config.model_type)
    if family is not None and line is None and "video" in family.kinds:
        # A traced model is read by its images alone; clips of such a family would go wrong.
        raise ModelError(
            f"{type(model).__name__} with a vision encoder of type {config.vision_config.model_type} is not "
            "known here: its tokens may not lie on one fixed grid"
        )
    if line is None:
        return TracedAdapter(model)
    if line.since > INSTALLED:
        needed = ".".join(map(str, line.since))
        raise ModelError(
            f"{type(model).__name__} is served with transformers {needed} or newer, not with the installed "
            f"{transformers.__version__}: pip install -U transformers"
        )
    return GenericAdapter(model, line)


def _unwrap(model: object) -> object:
    """Return the transformers model inside torch.compile's or PEFT's wrapper.

    Raises:
        ModelError: another library has made of the model what cannot be pruned.
    """
    compiled = getattr(model, "_orig_mod", model)  # torch.compile
    refuse_wrapper(compiled)
    return compiled.get_base_model() if hasattr(compiled, "get_base_model") else compiled  # PEFT
