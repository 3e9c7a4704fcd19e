"""Imitate a second device in main memory: its tensors say "cuda" and follow CUDA's rules of mixing.

The CPU computes everything, so results can be compared; but where a tensor of one device meets one of the
other, an error says so, as a GPU would. No GPU is needed or used.

The rules: all tensors of an operation are on one device, except that a CPU scalar (no axes) may join any, a
CPU index may pick from any, and a copy may cross. Attention must be "eager": the fused kernels look at the
device behind Python's back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

aten = torch.ops.aten
CPU, THERE = torch.device("cpu"), torch.device("cuda", 0)
_CROSSES = {aten.copy_.default, aten._to_copy.default}


class There(torch.Tensor):
    """Wrap `held`, a CPU tensor, as one of the second device; to C++ it is on "meta": no driver needed."""

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> There:
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), dtype=held.dtype, device="meta"
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})

    device = property(lambda self: THERE)
    is_meta = property(lambda self: False)

    # Those that C++ would answer by itself:
    def __matmul__(self, other: torch.Tensor) -> torch.Tensor:
        return _run(aten.matmul.default, (self, other), {})

    def cpu(self) -> torch.Tensor:
        return self.held.clone()

    def tolist(self) -> list:
        return self.held.tolist()

    def item(self) -> Any:
        return self.held.item()

    def numpy(self, *_, **__) -> None:
        raise TypeError("numpy cannot read a tensor of another device")

    def __index__(self) -> int:
        return int(self.held)

    def __bool__(self) -> bool:
        return bool(self.held)

    def __float__(self) -> float:
        return float(self.held)

    __int__ = __index__


class _Everywhere(TorchDispatchMode):
    """Intercept operations on CPU tensors too, which may make or meet a tensor of the second device."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return _run(operation, args, kwargs or {})


@contextmanager
def second_device() -> Iterator[None]:
    """Make "cuda" the second device inside the block."""
    plain = torch.tensor

    def tensor(*args, device=None, **kwargs):
        made = plain(*args, **kwargs)
        return made if device is None or torch.device(device) == CPU else There(made)

    with pytest.MonkeyPatch.context() as patch, _Everywhere():
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        patch.setattr(torch, "tensor", tensor)
        yield


def move_to_second_device(thing: Any) -> Any:
    """Move a model, in place, or the tensors of a dict to the second device."""
    if isinstance(thing, dict):
        return {name: There(x) if isinstance(x, torch.Tensor) else x for name, x in thing.items()}
    for module in thing.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                module._parameters[name] = torch.nn.Parameter(There(weight.data), requires_grad=False)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = There(buffer)
    return thing


def _run(operation, args: tuple, kwargs: dict) -> Any:
    given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    place = _place(operation, args, kwargs, given)
    if kwargs.get("device") is not None:
        kwargs = kwargs | {"device": CPU}
    kwargs.pop("pin_memory", None)
    held = [tree_map(lambda x: x.held if isinstance(x, There) else x, part) for part in (args, kwargs)]
    known = {id(x.held): x for x in given if isinstance(x, There)}

    def placed(x: Any) -> Any:
        if not isinstance(x, torch.Tensor) or place == CPU:
            return x
        before = known.get(id(x))  # an operation in place gives back what it was given
        return before if before is not None and before.shape == x.shape else There(x)

    return tree_map(placed, operation(*held[0], **held[1]))


def _place(operation, args: tuple, kwargs: dict, given: list[torch.Tensor]) -> torch.device:
    """Return the result's device; raise RuntimeError where tensors of two devices meet."""
    if (device := kwargs.get("device")) is not None:
        return CPU if torch.device(device) == CPU else THERE
    if operation in _CROSSES:
        return args[0].device
    if "index" in operation.name() and isinstance(args[1], (list, tuple)):  # indexing with []
        own, indices = args[0].device, {x.device for x in args[1] if x is not None}
        others = [x.device for x in args[2:] if isinstance(x, torch.Tensor) and x.dim()]
        if any(x not in (own, CPU) for x in indices) or any(x != own for x in others):
            raise RuntimeError(f"{operation}: {own} is indexed by {indices} and given {others}")
        return own
    devices = {x.device for x in given if x.dim() or x.device != CPU}
    if len(devices) > 1:
        shapes = [(str(x.device), tuple(x.shape)) for x in given]
        raise RuntimeError(f"{operation}: tensors of two devices meet, {shapes}")
    return next(iter(devices), CPU)
