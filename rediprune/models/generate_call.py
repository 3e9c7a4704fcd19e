"""What a call of transformers' `generate` says, and the same call with a shorter prompt of embeddings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from inspect import Parameter

import torch
from torch import Tensor

from .adapter import Adapter
from .errors import ModelError
from .outputs import Prompt
from .transformers_names import cached_length, caches_in

_ONLY_PLAIN = "cannot be combined with pruning: pass only what the processor returned"
_ONLY_CONFIG = "cannot be changed for one call while pruning: set it in model.config"
_MEDIA = (
    "pixel_values",
    "pixel_values_images",
    "pixel_values_videos",
    "image_sizes",
    "image_sizes_videos",
    "batch_num_images",
    "image_grid_thw",
    "video_grid_thw",
)
_UNSUPPORTED = {
    "inputs_embeds": _ONLY_PLAIN,
    "position_ids": _ONLY_PLAIN,
    "mm_encoder_outputs": _ONLY_PLAIN,
    "vision_feature_layer": _ONLY_CONFIG,
    "vision_feature_select_strategy": _ONLY_CONFIG,
    "vision_aspect_ratio": _ONLY_CONFIG,
}
_BY_PLACE = Parameter.POSITIONAL_OR_KEYWORD
# Settings that generate would get wrong or drop, and the value at which they do nothing. The first three
# count cached positions by the length of input_ids, which is not that of the pruned prompt; the others read
# an encoder's prompt, which generate does not look for beside embeddings.
_UNSUPPORTED_SETTINGS = {
    "assistant_model": None,
    "prompt_lookup_num_tokens": None,
    "prefill_chunk_size": None,
    "encoder_repetition_penalty": 1.0,
    "encoder_no_repeat_ngram_size": 0,
}


def arguments(generate: Callable, args: tuple, kwargs: dict, plain: Callable) -> dict:
    """All arguments of a generate call by name; the prompt ids, also called `inputs`, as input_ids.

    `generate` is what was there to be called, perhaps another library's wrapper; `plain` is the model's own,
    whose names the positional arguments take that such a wrapper collects in *args.
    """
    signature, call = inspect.signature(generate), {}
    for name, value in signature.bind(*args, **kwargs).arguments.items():
        kind = signature.parameters[name].kind
        if kind is Parameter.VAR_KEYWORD:
            call |= value
        elif kind is Parameter.VAR_POSITIONAL:
            known = [p.name for p in inspect.signature(plain).parameters.values() if p.kind is _BY_PLACE]
            names = known[len(call) :]
            if len(value) > len(names):
                raise TypeError(f"generate takes {len(known)} positional arguments, but more were given")
            call |= zip(names, value, strict=False)
        else:
            call[name] = value
    inputs = call.pop("inputs", None)
    return call if inputs is None else {"input_ids": inputs} | call


def refuse_unsupported(call: dict, adapter: Adapter) -> None:
    """Raise ModelError for what would be ignored, or go wrong, with a pruned prompt."""
    model = adapter.model
    if call.get("input_ids") is None:
        raise ModelError("generate was called without input_ids: pass what the model's processor returned")
    for name, why in _UNSUPPORTED.items():
        if call.get(name) is not None:
            raise ModelError(f"{name} {why}")
    for name in _MEDIA:
        if call.get(name) is not None and name not in adapter.media_inputs:
            raise ModelError(f"{type(model).__name__} takes no {name}: {_ONLY_PLAIN}")
    for name, idle in _UNSUPPORTED_SETTINGS.items():
        if setting(call, model, name) not in (None, idle):
            raise ModelError(f"{name} cannot be combined with pruning: generate without it")
    ids, mask = call["input_ids"], call.get("attention_mask")
    if mask is not None and mask.shape != ids.shape:
        raise ModelError(
            f"attention_mask has shape {tuple(mask.shape)}, but input_ids {tuple(ids.shape)}: both are [B, L]"
        )
    if mask is not None and not mask.bool().any(-1).all():
        raise ModelError("attention_mask hides a whole prompt of the batch: nothing is left to read")
    for name in caches_in(call):
        if cached_length({name: call[name]}) > 0:
            raise ModelError(f"{name} already holds tokens: pruning needs the whole prompt in one call")


def with_prompt(call: dict, model: torch.nn.Module, prompt: Prompt) -> dict:
    """The same call for a prompt of embeddings [B, L', D].

    input_ids [B, L] go along whole: generate takes them for its output, its streamer and its logits
    processors, and reads the prompt itself from the embeddings. Where L' != L it takes L' off max_length and
    min_length, so L' is added here: both then mean "prompt ids + new tokens", as before. max_new_tokens needs
    nothing.
    """
    call = call | {"inputs_embeds": prompt.embeds} | prompt.arguments()
    length = prompt.embeds.shape[1]
    if length == call["input_ids"].shape[1]:
        return call
    for total, new in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")):
        value = setting(call, model, total)
        if value and setting(call, model, new) is None:
            call[total] = value + length
    return call


def mask_of_padding(call: dict, model: torch.nn.Module) -> Tensor:
    """The mask [B, L] that generate infers where none is given: pad tokens off, unless they also end text."""
    ids, pad = call["input_ids"], setting(call, model, "pad_token_id")
    end = setting(call, model, "eos_token_id")
    ends = end if isinstance(end, list | tuple) else [end]
    return torch.ones_like(ids) if pad is None or pad in ends else ids.ne(pad).long()


def setting(call: dict, model: torch.nn.Module, name: str) -> object:
    """A setting as generate resolves it: the argument, the config passed, the model's own config, or None."""
    if call.get(name) is not None:
        return call[name]
    values = (getattr(c, name, None) for c in (call.get("generation_config"), model.generation_config))
    return next((value for value in values if value is not None), None)
