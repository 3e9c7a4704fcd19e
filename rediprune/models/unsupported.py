"""Models that cannot be pruned in front of a projector, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .adapter import Adapter
from .errors import ModelError

# Why these cannot be pruned before a projector, by config.model_type.
_CROSS_ATTENTION = "its visual tokens pass a Perceiver resampler and enter the LLM through cross-attention"
_Q_FORMER = "a Q-Former mixes all visual tokens where the projector would be"
_DISCRETE = "its images become discrete words of the LLM's own vocabulary"
_QUERIES = "learned queries mix all visual tokens where the projector would be"
_ENCODER_DECODER = "its text decoder reads the picture through cross-attention, not in a prompt"
_TEXT_ENCODER = "its visual tokens go into a text encoder, which mixes them before anything is generated"
_PATCHES = "it has no vision encoder: image patches enter the LLM directly"
_NO_SEPARATE_PROJECTOR = {
    "apertus1p5": _DISCRETE,
    "chameleon": _DISCRETE,
    "emu3": _DISCRETE,
    "aria": _QUERIES,
    "kosmos-2": _QUERIES,
    "kosmos-2.5": _QUERIES,
    "granite4_vision": _QUERIES,
    "idefics2": "a Perceiver resampler mixes all visual tokens where the projector would be",
    "blip-2": _Q_FORMER,
    "instructblip": _Q_FORMER,
    "instructblipvideo": _Q_FORMER,
    "idefics": _CROSS_ATTENTION,
    "flamingo": _CROSS_ATTENTION,
    "mllama": "its visual tokens enter the LLM through cross-attention layers, not through the prompt",
    "blip": _ENCODER_DECODER,
    "pix2struct": _ENCODER_DECODER,
    "pp_formulanet": _ENCODER_DECODER,
    "vision-encoder-decoder": _ENCODER_DECODER,
    "udop": "one encoder reads words and patches of the page together",
    "fuyu": _PATCHES,
    "gemma4_unified": _PATCHES,
    "inkling_mm_model": _PATCHES,
    "evolla": "it reads proteins, not pictures",
    "mistral4": "it is a language model without a vision encoder",
    "pi0": "it answers with the motions of a robot, not with text",
    # Borderline: there is something like a projector, but no prompt of an LLM that could be shorter.
    "florence2": _TEXT_ENCODER,
    "t5gemma2": _TEXT_ENCODER,
    "diffusion_gemma": "it fills in a canvas of text by diffusion, without the generate call that is pruned",
    "git": "its one projection is a layer of the text decoder itself, which has no prompt of embeddings",
}
# What has a projector, but is not served yet, and what is missing.
_NOT_SERVED = {
    "llama4": "its projector runs inside the model's forward, not where its images are encoded",
    "granite_docling": "its projector adds a position to every token and has routes of two resolutions",
    "perception_lm": "its projector reads patch by patch and averages 2 x 2 of them afterwards",
    "phi4_multimodal": "its images are encoded inside the embedding of words, so no token can be read apart",
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
    """Raise ModelError, naming the class and the reason, where a model cannot be pruned before a projector.

    A family that is not known passes here: whether its tokens reach the prompt unmixed shows when it runs.
    """
    kind = "flamingo" if class_name == "Flamingo" else getattr(config, "model_type", None)
    if kind in _NO_SEPARATE_PROJECTOR:
        raise ModelError(
            f"{class_name} has no separate projector to prune in front of: {_NO_SEPARATE_PROJECTOR[kind]}"
        )
    if kind in _NOT_SERVED:
        raise ModelError(f"{class_name} is not served yet: {_NOT_SERVED[kind]}")
    if not hasattr(config, "vision_config"):
        raise ModelError(
            f"{class_name} has no vision encoder and no projector: pruning needs a vision-language model of "
            f"transformers, such as one of {', '.join(families)}"
        )
