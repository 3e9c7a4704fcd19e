"""A record with its features on another device."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

R = TypeVar("R")


def on_device(record: R, device: str | torch.device) -> R:
    """The same record with its features on `device`: floating-point tensors move, indices and masks stay.

    Indices live on the CPU everywhere in the library; whoever uses them brings them along. What is on the
    device already is not copied.

    Args:
        record: a tensor, a dataclass such as Look or Seen, a tuple or list of these, or anything else, which
            is returned as it is.
    """
    if isinstance(record, Tensor):
        return record.to(device) if record.is_floating_point() else record
    if is_dataclass(record):
        values = {field.name: getattr(record, field.name) for field in fields(record)}
        moved = {name: on_device(value, device) for name, value in values.items()}
        changed = {name: value for name, value in moved.items() if value is not values[name]}
        return replace(record, **changed) if changed else record
    if type(record) in (tuple, list):
        moved = [on_device(part, device) for part in record]
        same = all(new is old for new, old in zip(moved, record, strict=True))
        return record if same else type(record)(moved)
    return record
