"""Read a call of transformers' `generate`, and make the call for a shorter prompt of embeddings."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList, RepetitionPenaltyLogitsProcessor

from .adapter import Adapter
from .errors import ModelError
from .generate_arguments import ARGUMENTS
from .outputs import Prompt
from .transformers_names import PENALTY_SKIPS_PADDING, cached_length, caches_in

_BY_PLACE = Parameter.POSITIONAL_OR_KEYWORD
# How answers are compared, whatever the model's generation_config says: greedily, one answer, its ids alone.
_GREEDY = {
    "do_sample": False,
    "num_return_sequences": 1,
    "return_dict_in_generate": False,
    "output_attentions": False,
    "output_hidden_states": False,
    "output_scores": False,
    "output_logits": False,
}
# What any family's vision encoder takes, to be refused where this model's does not.
_MEDIA = (
    "pixel_values",
    "pixel_values_images",
    "pixel_values_videos",
    "image_sizes",
    "image_sizes_videos",
    "batch_num_images",
    "image_grid_thw",
    "video_grid_thw",
    "second_per_grid_ts",
    "mm_token_type_ids",
)


def bind_generate_args(generate: Callable, args: tuple, kwargs: dict, plain: Callable) -> dict:
    """Return all arguments of a generate call by name; the prompt ids, also called `inputs`, as input_ids.

    `generate` is what was there to be called, perhaps another library's wrapper; `plain` is the model's own,
    whose names the positional arguments take that such a wrapper collects in *args.
    """
    signature = inspect.signature(generate)
    call: dict[str, Any] = {}
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


def refuse_unsupported(call: dict, adapter: Adapter, generate: Callable) -> None:
    """Raise ModelError for what would be ignored, or go wrong, with a pruned prompt.

    `generate` is what is going to be called: a wrapper of another library may take arguments of its own.
    """
    model = adapter.model
    if call.get("input_ids") is None:
        raise ModelError("generate was called without input_ids: pass what the model's processor returned")
    for name, argument in ARGUMENTS.items():
        # What the adapter reads itself (token types, for one) is cut together with the prompt.
        refused = argument.fate == "refused" and name not in adapter.media_inputs
        value = setting(call, model, name) if refused else None
        does_nothing = isinstance(value, bool | int | float | str) and value in argument.idle_values
        if value is not None and not does_nothing:
            # One value of several is named where others would do.
            named = argument.idle_values and isinstance(value, str)
            raise ModelError(f"{name}={value!r} {argument.reason}" if named else f"{name} {argument.reason}")
    for name in _MEDIA:
        if call.get(name) is not None and name not in adapter.media_inputs:
            raise ModelError(
                f"{type(model).__name__} takes no {name}: pass only what the model's own processor returned"
            )
    if getattr(generate, "__func__", None) is type(model).generate:
        for name in call.keys() - ARGUMENTS.keys() - set(_MEDIA) - set(adapter.media_inputs):
            if call[name] is not None:
                raise ModelError(
                    f"{name} is no argument of generate that pruning knows: correct its name or leave it out"
                )
    if setting(call, model, "guidance_scale") not in (None, 1) and setting(call, model, "use_cache") is False:
        raise ModelError(
            "guidance_scale cannot be combined with use_cache=False and pruning: leave use_cache on"
        )
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


def with_prompt(call: dict, model: torch.nn.Module, prompt: Prompt, mask: Tensor) -> dict:
    """Return the same call for a prompt of embeddings [B, L', D]; `mask` [B, L] is that of the prompt ids.

    input_ids [B, L] go along whole: generate takes them for its output, its streamer and its logits
    processors, and reads the prompt itself from the embeddings. Where L' != L it takes L' off max_length and
    min_length, so L' is added here: both then mean "prompt ids + new tokens", as before. max_new_tokens needs
    nothing.
    """
    of_prompt = {"inputs_embeds": prompt.embeds} | prompt.arguments()
    call = call | of_prompt | _repetition_penalty(call, model, prompt, mask)
    call.pop("labels", None)  # as long as the whole prompt, and nothing but a loss is made of them
    length = prompt.embeds.shape[1]
    if length == call["input_ids"].shape[1]:
        return call
    for total, new in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")):
        value = setting(call, model, total)
        if value and setting(call, model, new) is None:
            call[total] = value + length
    return call


@torch.no_grad()
def generate_greedily(
    adapter: Adapter,
    tokenizer: Any,
    prompt: Prompt,
    ids: Tensor,
    mask: Tensor | None = None,
    **settings: Any,
) -> Tensor:
    """Return the new tokens [B, n] that follow a prompt of embeddings [B, L', D], by greedy or beam search.

    Every other setting of the model's generation_config means what it means in a call of the unmodified
    model: a repetition penalty reads the whole prompt ids.

    Args:
        ids, mask: [B, L], the whole prompt as the processor made it; without a mask nothing is padding.
        settings: further arguments of generate, such as max_new_tokens.

    Raises:
        ModelError: the generation_config turns on what cannot read a prompt of embeddings.
    """
    model = adapter.model
    mask = torch.ones_like(ids) if mask is None else mask
    call = {"input_ids": ids, "attention_mask": mask} | _GREEDY | settings
    if setting(call, model, "stop_strings"):
        call["tokenizer"] = tokenizer
    refuse_unsupported(call, adapter, model.generate)
    with adapter.with_prompt_hooks(prompt):
        made = model.generate(**with_prompt(call, model, prompt, mask))
    return made[:, ids.shape[1] :]


def _repetition_penalty(call: dict, model: torch.nn.Module, prompt: Prompt, mask: Tensor) -> dict:
    """Return the logits processors of a call with the one for repetition_penalty, where padding needs it.

    generate makes that processor by itself, and takes how much padding it is to skip in the prompt ids [B, L]
    from the mask that it was given, which is that of the pruned prompt. A processor of the same class that is
    handed in takes its place.
    """
    padding, of_pruned = _padding(mask), _padding(prompt.mask)
    penalty, processors = setting(call, model, "repetition_penalty"), call.get("logits_processor") or []
    own = any(type(one) is RepetitionPenaltyLogitsProcessor for one in processors)
    if not PENALTY_SKIPS_PADDING or penalty in (None, 1) or own or torch.equal(padding, of_pruned):
        return {}
    beams, returned = (setting(call, model, name) or 1 for name in ("num_beams", "num_return_sequences"))
    padding = padding.repeat_interleave(max(beams, returned))
    return {
        "logits_processor": LogitsProcessorList(
            [*processors, RepetitionPenaltyLogitsProcessor(float(penalty), prompt_ignore_length=padding)]
        )
    }


def _padding(mask: Tensor) -> Tensor:
    """Return how many places of each row [B, L] lie in front of the first that is read, [B]."""
    return (mask != 0).int().argmax(dim=1)


def mask_of_padding(call: dict, model: torch.nn.Module) -> Tensor:
    """Return the mask [B, L] that generate infers where none is given; pad tokens that end text stay on."""
    ids, pad = call["input_ids"], setting(call, model, "pad_token_id")
    end = setting(call, model, "eos_token_id")
    ends = end if isinstance(end, list | tuple) else [end]
    return torch.ones_like(ids) if pad is None or pad in ends else ids.ne(pad).long()


def setting(call: dict, model: torch.nn.Module, name: str) -> Any:
    """Return a setting as generate resolves it: argument, config passed, the model's config, or None."""
    if call.get(name) is not None:
        return call[name]
    values = (getattr(c, name, None) for c in (call.get("generation_config"), model.generation_config))
    return next((value for value in values if value is not None), None)
