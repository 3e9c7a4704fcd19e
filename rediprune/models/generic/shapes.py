"""Read the numbers that the FLOPs depend on off a model whose config may use any names."""

from __future__ import annotations

from typing import Any

import torch

from ...costs.estimate import ModelShapes
from .rows import Reader


def model_shapes(model: torch.nn.Module, reader: Reader, n_tokens: int, llm: dict[str, int]) -> ModelShapes:
    """Shapes for views of `n_tokens` visual tokens; what a config does not name counts as nothing.

    The projector's hidden width is such that the formula of two layers gives the products that its matrices
    behind the entry really take.
    """
    vision = _vision_config(model.config)
    width = _named(vision, "hidden_size", "embed_dim", "width", "vit_hidden_size")
    wide_in, wide_out, weights = _projector(reader, llm["llm_width"])
    patch = _first(_named(vision, "patch_size"))
    per_token = max(1, round(wide_in / width)) if width else 1
    patches = n_tokens * per_token
    channels = _named(vision, "num_channels", "in_channels", "in_chans") or 3
    mlp = _named(vision, "intermediate_size", "mlp_dim") or int(
        width * (getattr(vision, "mlp_ratio", 0) or 0)
    )
    return ModelShapes(
        vision_layers=_named(vision, "num_hidden_layers", "depth", "num_layers") if width else 0,
        vision_width=width,
        vision_mlp=mlp,
        vision_tokens=patches,
        vision_patches=patches,
        patch_dim=channels * patch * patch * (_named(vision, "temporal_patch_size") or 1),
        projector_in=wide_in,
        projector_hidden=round(weights / (wide_in + wide_out)),
        projector_out=wide_out,
        projectors=1 + len(reader.further),
        **llm,
    )


def _projector(reader: Reader, llm_width: int) -> tuple[int, int, int]:
    """(C, D, weights of the matrices that a token goes through)."""
    matrices = [
        (name, module.in_features, module.out_features)
        for name, module in reader.projector.named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    if reader.line.entry:
        names = [name for name, _ in reader.projector.named_modules()]
        start = names.index(reader.line.entry)
        matrices = [one for one in matrices if names.index(one[0]) >= start]
    if not matrices:  # a bare weight, a convolution or a table of words
        weights = sum(one.numel() for one in reader.projector.parameters() if one.dim() > 1)
        return max(1, weights // llm_width), llm_width, weights
    return matrices[0][1], matrices[-1][2], sum(a * b for _, a, b in matrices)


def _vision_config(config: Any) -> Any:
    for owner in (config, getattr(config, "thinker_config", None), getattr(config, "encoder", None)):
        found = getattr(owner, "vision_config", None)
        if found is not None:
            return found
    return config


def _named(config: Any, *names: str) -> Any:
    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, int):
            return value
        if isinstance(value, list | tuple) and value:
            return _first(value)
    return 0


def _first(value: Any) -> int:
    if isinstance(value, list | tuple):
        return int(value[0])
    return int(value or 0)
