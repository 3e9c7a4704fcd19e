"""What a pruned prompt is to be equal to: the definition of correctness, by the kind of LLM.

masked  The whole prompt, with attention to the dropped tokens forbidden. It defines correctness where every
        layer of the LLM is plain attention: a masked token then contributes nothing.
short   The unmodified LLM on the same short prompt: the rows that the unmodified model itself would give the
        LLM for what stays, and nothing else. It is the definition where a layer has recurrence, a convolution
        or a sliding window that is shorter than the prompt: such a layer sees the gap that a masked token
        leaves, and not only the mask, so the two prompts are different things.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .adapter import Adapter
from .errors import ModelError
from .outputs import Prompt
from .vision_encoder import ReadEnough

# Words in the type of a layer whose tokens do not only attend.
_NOT_ATTENTION = {
    "linear": "gated linear recurrence",
    "mamba": "a state-space recurrence",
    "recurrent": "recurrence",
    "conv": "convolutions",
}
_WINDOWS = ("sliding", "chunked")


@dataclass(frozen=True)
class Definition:
    """Which definition holds for one model and prompt.

    Attributes:
        name: "masked" or "short".
        why: the reason, in words that a sentence can take up.
    """

    name: str
    why: str


def definition_for(model: torch.nn.Module, length: int) -> Definition:
    """Read the definition of correctness off a model's config, for a prompt of so many tokens."""
    text = model.config.get_text_config(decoder=True)
    kinds = set(_layer_types(text))
    found = [words for kind, words in _NOT_ATTENTION.items() if any(kind in one for one in kinds)]
    if hasattr(text, "conv_kernel_size") or hasattr(text, "conv_L_cache"):
        found.append(_NOT_ATTENTION["conv"])
    if found:
        return Definition("short", f"its LLM has layers of {' and '.join(dict.fromkeys(found))}")
    window = _window(text, kinds)
    if window is not None and window < length:
        return Definition("short", f"its LLM attends within a window of {window} of {length} tokens")
    return Definition("masked", "every layer of its LLM is plain attention over the whole prompt")


def _layer_types(text: Any) -> list[str]:
    for name in ("layer_types", "layers_block_type"):
        kinds = getattr(text, name, None)
        if kinds:
            return [str(kind) for kind in kinds]
    return []


def _window(text: Any, kinds: set[str]) -> int | None:
    """Tokens of the shortest window that a layer attends within; None where none has one."""
    sizes = [getattr(text, name, None) for name in ("sliding_window", "sliding_window_size")]
    sizes += [getattr(text, "attention_chunk_size", None)]
    sizes = [size for size in sizes if size]
    windowed = not kinds or any(word in kind for kind in kinds for word in _WINDOWS)
    if not sizes or not windowed or getattr(text, "use_sliding_window", True) is False:
        return None
    return min(sizes)


@torch.no_grad()
def own_rows(adapter: Adapter, inputs: Mapping[str, Any]) -> Tensor:
    """[B, L, D]: what the unmodified model gives its LLM for every token of whole prompts.

    Args:
        inputs: what the processor returned, all of it.

    Raises:
        ModelError: the model's LLM was never handed embeddings.
    """
    model, found, reader = adapter.model, [], threading.get_ident()

    def note(module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        embeds = kwargs.get("inputs_embeds")
        if embeds is not None and threading.get_ident() == reader:
            found.append(embeds)
            raise ReadEnough

    handle = language_model(model).register_forward_pre_hook(note, with_kwargs=True)
    try:
        with suppress(ReadEnough):
            model(**inputs, use_cache=False)
    finally:
        handle.remove()
    if not found:
        raise ModelError(f"the LLM of {type(model).__name__} is handed no embeddings, so they cannot be read")
    return found[0]


def language_model(model: torch.nn.Module) -> torch.nn.Module:
    """Return the LLM inside a model, without its output layer."""
    for owner in (getattr(model, "model", None), model):
        for name in ("language_model", "text_model"):
            found = getattr(owner, name, None)
            if found is not None:
                inner = getattr(found, "model", None)
                return inner if inner is not None and hasattr(found, "lm_head") else found
    return model.get_decoder()


def short_prompt(prompt: Prompt, rows: Tensor) -> Prompt:
    """Return the prompt with the unmodified model's own rows [B, L, D] in place of the projected ones."""
    embeds = torch.zeros_like(prompt.embeds)
    for b, (own, stays) in enumerate(zip(rows, prompt.stays, strict=True)):
        kept = own[stays.to(own.device)]
        embeds[b, len(embeds[b]) - len(kept) :] = kept.to(embeds)
    return replace(prompt, embeds=embeds)
