"""Hand a shortened prompt to a model as ids and encoder outputs, as if its encoder had seen so few tokens.

The model then does by itself whatever it does with visual tokens: scaling, inputs made of ids for each layer,
attention in both directions within an image, deepstack. `generate` is given embeddings, which carry the
length, the positions and the beams; on the way into the model's forward they are exchanged.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..outputs import Prompt
from ..transformers_names import cached_length
from .rows import Output

_COUNTING = threading.Lock()


@dataclass(frozen=True)
class Delivery:
    """Hold a prompt [B, L'] as the model's forward takes it.

    Attributes:
        ids: [B, L'] with one placeholder for each kept token and separator.
        visual: for each kind [B, L'] bool, where its placeholders are.
        output: for each kind, what the feature function returns.
        deepstack: for each kind, of each layer [K, D], in the order of the prompts; () where there is none.
        tokens: for each kind the id of its placeholders.
        first_position: what is added to positions, which `generate` counts from zero.
    """

    ids: Tensor
    visual: Mapping[str, Tensor]
    output: Mapping[str, Output]
    deepstack: Mapping[str, tuple[Tensor, ...]]
    tokens: Mapping[str, int]
    first_position: int = 0

    def exchanged(self, embeds: Tensor, following: Tensor | None) -> dict[str, Any]:
        """Return the forward's arguments in place of embeddings [B * beams, L' + n, D]."""
        times = len(embeds) // len(self.ids)
        behind = self.ids[:, :0]
        if following is not None and embeds.shape[1] > self.ids.shape[1]:
            behind = following.to(self.ids.device)
        ids = torch.cat([self.ids, behind], dim=1)
        outputs = {}
        for kind, prompt in self.visual.items():
            # A placeholder that the model wrote itself is a word: its embedding takes the feature's place.
            written = behind == self.tokens[kind]
            where = torch.cat([prompt, written.to(prompt.device)], dim=1)
            if not where.any():
                continue
            features = embeds[where.repeat_interleave(times, dim=0).to(embeds.device)]
            output = self.output[kind]
            fields: dict[str, Any] = dict.fromkeys(one.name for one in dataclasses.fields(output.made))
            fields.update(output.beside)
            fields["pooler_output"] = _packed(features, output.dims)
            if self.deepstack.get(kind):
                rows = list(zip(prompt.sum(1).tolist(), written.sum(1).tolist(), strict=True))
                fields["deepstack_features"] = [
                    [_repeated(layer, rows, times)] for layer in self.deepstack[kind]
                ]
            outputs[kind] = output.made(**fields)
        return {"input_ids": ids.repeat_interleave(times, dim=0), "mm_encoder_outputs": outputs}


@contextmanager
def delivering(model: torch.nn.Module, prompt: Prompt, following: Tensor | None) -> Iterator[None]:
    """Let `generate` and `forward` of the model be given the prompt's embeddings while this is open.

    Args:
        following: ids [B, n] of text behind the prompt whose embeddings are given along, or None.
    """
    thread, delivery = threading.get_ident(), prompt.extra

    def exchange(module: torch.nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        if threading.get_ident() != thread:
            return None
        embeds = kwargs.get("inputs_embeds")
        if embeds is None:
            return _decoding(prompt, args, kwargs)
        start = embeds[0, : prompt.embeds.shape[1]]
        if not torch.equal(start, prompt.embeds[0].to(start)):  # a streamer's or a logits processor's own
            return None
        kwargs = {name: value for name, value in kwargs.items() if name != "inputs_embeds"}
        if prompt.position_ids is not None:  # some models take none from generate and count anew
            own = prompt.positions(embeds.shape[1] - prompt.embeds.shape[1])["position_ids"]
            rows = own.dim() - 2
            own = own.repeat_interleave(len(embeds) // own.shape[rows], dim=rows)
            kwargs["position_ids"] = own + delivery.first_position
        return args, kwargs | delivery.exchanged(embeds, following)

    handle = model.register_forward_pre_hook(exchange, with_kwargs=True)
    try:
        with _embeddings_admitted(model):
            yield
    finally:
        handle.remove()


class _PrepareWithEmbeddings:
    """Stand in for `prepare_inputs_for_generation` of one model and name `inputs_embeds` in the signature.

    Attributes:
        inside: number of calls, over all threads, that need the stand-in at this moment.
    """

    def __init__(self, prepare: Callable[..., dict[str, Any]]) -> None:
        self.prepare = prepare
        self.inside = 0

    def __call__(
        self, input_ids: Tensor, inputs_embeds: Tensor | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        embeds = {} if inputs_embeds is None else {"inputs_embeds": inputs_embeds}
        return self.prepare(input_ids, **embeds, **kwargs)


@contextmanager
def _embeddings_admitted(model: torch.nn.Module) -> Iterator[None]:
    """Let `generate` take embeddings where `prepare_inputs_for_generation` does not name them.

    `generate` refuses them by that signature alone. Threads may be inside at once: the last one to leave
    takes the stand-in off.
    """
    own = type(model).prepare_inputs_for_generation
    if "inputs_embeds" in inspect.signature(own).parameters:
        yield
        return

    with _COUNTING:
        there = vars(model).get("prepare_inputs_for_generation")
        if there is None:
            there = _PrepareWithEmbeddings(functools.partial(own, model))
            model.prepare_inputs_for_generation = there
        there.inside += 1
    try:
        yield
    finally:
        with _COUNTING:
            there.inside -= 1
            if not there.inside:
                del model.prepare_inputs_for_generation


def _decoding(prompt: Prompt, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
    """Give a decoding step its position where `generate` hands on none that has the prompt's gaps in it."""
    ids, length = kwargs.get("input_ids"), cached_length(kwargs) - prompt.embeds.shape[1]
    if (
        ids is None
        or length < 0
        or prompt.position_ids is None
        or kwargs.get("position_ids", ids) is not None
    ):
        return None
    new = prompt.positions(length + ids.shape[1])["position_ids"][..., -ids.shape[1] :]
    rows = new.dim() - 2
    times = len(ids) // new.shape[rows]
    return args, kwargs | {
        "position_ids": new.repeat_interleave(times, dim=rows) + prompt.extra.first_position
    }


def _repeated(layer: Tensor, rows: Sequence[tuple[int, int]], times: int) -> Tensor:
    """Repeat a layer's features [K, D] for each beam, with zeros for the words that come behind.

    rows: of each prompt, how many features it has and how many such words.
    """
    parts = layer.split([n for n, _ in rows])
    longer = [
        torch.cat([part, part.new_zeros(words, part.shape[-1])])
        for part, (_, words) in zip(parts, rows, strict=True)
    ]
    return torch.cat([part for part in longer for _ in range(times)])


def _packed(features: Tensor, dims: int) -> Any:
    if dims == 0:
        return [features]
    return features.reshape(*[1] * (dims - 2), *features.shape)
