"""Run the model's own projector on some of its tokens.

Where the entry lies inside the projector (behind an average or a shuffle of neighbours), the projector's
forward runs on the arguments of an earlier call, and the entry's input is swapped for the tokens on its way.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .rows import Reader, first_tensor, made_rows


def run_projector(reader: Reader, rows: Tensor, example: tuple[tuple, dict] | None) -> Tensor:
    """Rows in the shape that the entry takes -> [n, D], one for each visual token.

    Args:
        rows: what the entry is to be given.
        example: the arguments of any call of the projector; not read where one tensor is all it takes.
    """
    line, projector, entry = reader.line, reader.projector, reader.entry
    if line.channels_first:
        return reader.through(made_rows(line, projector(rows.permute(0, 3, 1, 2))))
    if line.joined:
        widths = [value.shape[-1] for value in (*example[0], *example[1].values())]
        return reader.through(_flat(projector(*rows.split(widths, dim=-1))))
    if entry is projector:
        return reader.through(_flat(projector(rows)))
    thread, calls = threading.get_ident(), 0

    def swap(module: torch.nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        nonlocal calls
        given = first_tensor(args, kwargs)
        if threading.get_ident() != thread or not given.is_floating_point():
            return None
        calls += 1
        # A projector that works image by image comes here again: its further images give nothing.
        return _with_first(args, kwargs, rows if calls == 1 else given[..., :0, :])

    args, kwargs = _to(example, rows)
    handle = entry.register_forward_pre_hook(swap, with_kwargs=True)
    try:
        return reader.through(_flat(projector(*args, **kwargs)))
    finally:
        handle.remove()


def rows_like(tokens: Tensor, group: int, shape: Sequence[int]) -> Tensor:
    """Tokens [K, group * C] as the entry takes them; `shape` is that of what the model itself gave it."""
    if group > 1 and len(shape) == 3 and shape[-2] == group:
        return tokens.reshape(-1, group, shape[-1])
    rows = tokens.reshape(-1, shape[-1])
    return rows.reshape(*[1] * (len(shape) - 2), *rows.shape)


def rows_in_place(
    tokens: Tensor, at: Tensor, group: int, shape: Sequence[int], strides: Sequence[int]
) -> Tensor:
    """Project all tokens [K, group * C] of one call of the entry, exactly as the model itself gave them.

    In the very shape, and in the same order in memory, the same matrix product runs: at 100% its result is
    equal to the last bit. Rows that no token came from (padding) are zeros.

    Args:
        at: [K], which of the call's tokens each is.
        shape, strides: of what the model gave.
    """
    whole = tokens.new_zeros(math.prod(shape) // tokens.shape[-1], tokens.shape[-1])
    whole[at.to(tokens.device)] = tokens
    whole = whole.reshape(tuple(shape))
    if whole.stride() == tuple(strides) or 0 in strides:
        return whole
    return torch.empty_strided(tuple(shape), tuple(strides), dtype=whole.dtype, device=whole.device).copy_(
        whole
    )


def _flat(made: Any) -> Tensor:
    if isinstance(made, list):
        return torch.cat([one.reshape(-1, one.shape[-1]) for one in made])
    made = made[0] if isinstance(made, tuple) else made
    return made.reshape(-1, made.shape[-1])


def _with_first(args: tuple, kwargs: dict, rows: Tensor) -> tuple[tuple, dict]:
    if args:
        return (rows, *args[1:]), kwargs
    name = next(name for name, value in kwargs.items() if isinstance(value, Tensor))
    return args, kwargs | {name: rows}


def _to(example: tuple[tuple, dict], rows: Tensor) -> tuple[tuple, dict]:
    """Move arguments to the device and the number format of the rows."""

    def moved(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(rows.device, rows.dtype if value.is_floating_point() else None)
        if isinstance(value, list | tuple):
            return type(value)(moved(one) for one in value)
        return value

    args, kwargs = example
    return tuple(moved(value) for value in args), {name: moved(value) for name, value in kwargs.items()}
