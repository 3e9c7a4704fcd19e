"""Models that cannot be pruned in front of a projector, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .adapter import Adapter
from .errors import ModelError

# Why these cannot be pruned before a projector, by config.model_type.
_CROSS_ATTENTION = "its visual tokens pass a Perceiver resampler and enter the LLM through cross-attention"
_Q_FORMER = "a Q-Former mixes all visual tokens where the projector would be"
_NO_SEPARATE_PROJECTOR = {
    "mllama": "its visual tokens enter the LLM through cross-attention layers, not through the prompt",
    "idefics": _CROSS_ATTENTION,
    "flamingo": _CROSS_ATTENTION,
    "idefics2": "a Perceiver resampler mixes all visual tokens where the projector would be",
    "blip-2": _Q_FORMER,
    "instructblip": _Q_FORMER,
    "instructblipvideo": _Q_FORMER,
    "fuyu": "it has no vision encoder: image patches enter the LLM directly",
    "chameleon": "its images become discrete words of the LLM's own vocabulary",
}
# Served, never published. Without an owner or with the maker's: someone's own model may carry such a name.
_CLOSED = re.compile(r"((openai|google)/)?(gpt-?[4-9]|gemini)(\W.*|v.*|o.*|)", re.IGNORECASE)
_OPEN_FLAMINGO = re.compile(r"open[-_]?flamingo", re.IGNORECASE)


# What other libraries make of a model, by a class of theirs, and what to pass instead.
_INSIDE = "keeps the model in .module: pass model.module, and call generate on it"
_SHARDED = "shares the weights out among processes, and its parts cannot be run by themselves: load it whole"
_GRAPH = "is a compiled graph, in which no projector can be found: pass the transformers model itself"
_WRAPPERS = {
    "DataParallel": _INSIDE,
    "DistributedDataParallel": _INSIDE,
    "FullyShardedDataParallel": _SHARDED,
    "FSDPModule": _SHARDED,
    "DeepSpeedEngine": _SHARDED,
    "ScriptModule": _GRAPH,
    "GraphModule": _GRAPH,
    "ExportedProgram": _GRAPH,
}


def refuse_wrapper(model: object) -> None:
    """Raise ModelError where another library has made of the model what cannot be pruned.

    torch.compile, PEFT's LoRA and its kind, accelerate's hooks and quantised layers leave the model's parts
    in their places and are served.
    """
    for ancestor in type(model).__mro__:
        if ancestor.__name__ in _WRAPPERS:
            raise ModelError(f"{type(model).__name__} {_WRAPPERS[ancestor.__name__]}")
    adapter = getattr(model, "active_peft_config", None)
    if getattr(adapter, "is_prompt_learning", False):
        kind = getattr(adapter.peft_type, "value", adapter.peft_type)
        raise ModelError(
            f"this model was adapted by prompt learning (PEFT's {kind}), which puts learned tokens in front "
            "of every prompt by itself and cannot be combined with pruning: pass the base model, or adapt it "
            "with LoRA"
        )


def refuse_name(name: str) -> None:
    """Raise ModelError where a model's name alone says that it cannot be pruned here."""
    if _CLOSED.fullmatch(name):
        raise ModelError(
            f"{name} has closed weights: it is reached only through its maker's service, where no visual "
            "token can be seen or dropped"
        )
    if _OPEN_FLAMINGO.search(name):
        raise ModelError(f"{name} has no separate projector to prune in front of: {_CROSS_ATTENTION}")


def refuse_class(class_name: str, config: object, families: Mapping[str, type[Adapter]]) -> None:
    """Raise ModelError, naming the class, unless `config` is of a known family with a separate projector."""
    kind = "flamingo" if class_name == "Flamingo" else getattr(config, "model_type", None)
    if kind in _NO_SEPARATE_PROJECTOR:
        raise ModelError(
            f"{class_name} has no separate projector to prune in front of: {_NO_SEPARATE_PROJECTOR[kind]}"
        )
    if not hasattr(config, "vision_config"):
        raise ModelError(
            f"{class_name} has no vision encoder and no projector: pruning needs a transformers "
            f"vision-language model of a family known here ({', '.join(families)})"
        )
    if kind not in families:
        raise ModelError(f"{class_name} is of a family not known here yet: known are {', '.join(families)}")
    tower = config.vision_config.model_type
    if tower not in families[kind].vision_types:
        raise ModelError(
            f"{class_name} with a vision encoder of type {tower} is not known here: its tokens may not lie "
            "on one fixed grid"
        )
