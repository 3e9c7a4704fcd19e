"""Build tiny random models of the real classes, by model type, with made-up inputs for them.

Inputs have the shapes that the models' processors return. Each module holds one kind of input; each has
MODELS, a dict of model type -> Tiny.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import torch
from torch import Tensor
from transformers import CONFIG_MAPPING, AutoModelForImageTextToText, GenerationConfig

from rediprune.models.generic.lines import LINES
from rediprune.models.transformers_names import INSTALLED

VOCAB = 200
IMAGE, VIDEO = 7, 8
BETWEEN = 19  # a word between the tiles of an image


@dataclass(frozen=True)
class Medium:
    """One image or clip as a processor returns it.

    Attributes:
        tensors: by name; those of several media are put one behind the other.
        views: placeholders of each view; between views stands a word.
        around: ids in front of the placeholders and behind them.
    """

    tensors: dict[str, Tensor]
    views: tuple[int, ...]
    around: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())

    def ids(self, token: int) -> list[int]:
        found = list(self.around[0])
        for i, n in enumerate(self.views):
            found += [*([BETWEEN] if i else []), *[token] * n]
        return found + list(self.around[1])


@dataclass(frozen=True)
class Tiny:
    """One model.

    Attributes:
        config: keyword arguments of the config class.
        image: number of the image in its prompts -> Medium; images differ in their pixels, and in their size
            where the family takes any.
        video: the same for clips; None where the family takes none.
        types: name of the token types that its processor makes, or "".
        shared_placeholder: whether the moments of clips have the placeholders of images.
        side_by_side: names of the tensors that are joined along their last dimension.
        lists: names of what its processor returns as lists.
        nested: whether pixels come with a dimension for the prompts, [B, views, ...].
    """

    config: dict[str, Any]
    image: Callable[[int], Medium]
    video: Callable[[int], Medium] | None = None
    types: str = ""
    nested: bool = False
    shared_placeholder: bool = False
    side_by_side: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    adjust: Callable[[torch.nn.Module], None] = field(default=lambda model: None)

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("image", "video") if self.video else ("image",)


def text(kind: str, **more: Any) -> dict[str, Any]:
    """A small LLM's config."""
    return {
        "model_type": kind,
        "vocab_size": VOCAB,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    } | more


def vision(**more: Any) -> dict[str, Any]:
    """A small encoder's config, of square pictures."""
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 56,
        "patch_size": 7,
    } | more


def rope(*section: int, **more: Any) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": 1e4, "mrope_section": list(section)} | more


def pixels(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def build(kind: str, tiny: Tiny, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """The model in eval mode, always with the same weights, at which answers depend on what is seen."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForImageTextToText.from_config(CONFIG_MAPPING[kind](**tiny.config))
        with torch.no_grad():
            for weight in model.parameters():
                if weight.dim() > 1:
                    weight.normal_(0, weight[0].numel() ** -0.5)
                elif not torch.isfinite(weight).all():
                    weight.normal_()
            model.get_input_embeddings().weight.normal_(0, 1)
            tiny.adjust(model)
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=0)
    return model.to(dtype).eval()


def inputs(tiny: Tiny, kind: str = "image", media: Sequence[int] = (1,)) -> dict[str, Tensor]:
    """What a processor would return for a batch; `media` says how many images or clips each prompt holds."""
    token = IMAGE if kind == "image" or tiny.shared_placeholder else VIDEO
    make = tiny.image if kind == "image" else tiny.video
    rows, prompts, number = [], [], 0
    for b, count in enumerate(media):
        words = torch.randint(30, VOCAB, (40,), generator=torch.Generator().manual_seed(b)).tolist()
        ids, mine = words[:5], []
        for i in range(count):
            medium = make(number)
            number += 1
            mine.append(medium)
            ids += [*medium.ids(token), *words[10 + i : 13 + i]]
        rows.append(ids + words[20 : 27 + b])
        prompts.append(mine)
    longest = max(map(len, rows))
    input_ids = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    made: dict[str, Tensor] = {
        "input_ids": input_ids,
        "attention_mask": torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows]),
    }
    if tiny.types:
        made[tiny.types] = (input_ids == token).long() * (1 if kind == "image" else 2)
        if tiny.types == "token_type_ids" and "paligemma" in tiny.config.get("kind", ""):
            made[tiny.types].zero_()
    for name in prompts[0][0].tensors:
        if tiny.nested:
            each = [torch.cat([one.tensors[name] for one in mine]) for mine in prompts]
            most = max(map(len, each))
            made[name] = torch.stack([torch.cat([x, x.new_zeros(most - len(x), *x.shape[1:])]) for x in each])
        else:
            parts = [one.tensors[name] for mine in prompts for one in mine]
            made[name] = torch.cat(parts, -1) if name in tiny.side_by_side else torch.cat(_padded(parts))
            if name in tiny.lists:
                made[name] = made[name].tolist()
    return made


def _padded(parts: list[Tensor]) -> list[Tensor]:
    """Pictures of several sizes padded at the right and bottom, as processors do."""
    if parts[0].dim() != 4:
        return parts
    high, wide = (max(part.shape[axis] for part in parts) for axis in (2, 3))
    return [
        torch.nn.functional.pad(part, (0, wide - part.shape[3], 0, high - part.shape[2])) for part in parts
    ]


@cache
def models() -> dict[str, Tiny]:
    """All of them, by model type."""
    found: dict[str, Tiny] = {}
    for module in iter_modules(__path__):
        found |= import_module(f"{__name__}.{module.name}").MODELS
    return found


@cache
def served_here() -> dict[str, Tiny]:
    """Return those whose class the installed transformers has and whose line is served with it."""
    return {
        name: tiny
        for name, tiny in models().items()
        if name in CONFIG_MAPPING and LINES[name].since <= INSTALLED
    }
