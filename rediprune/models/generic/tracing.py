"""Find the projector of a model that no line describes, by a run of it.

The projector is the outermost module that makes exactly what the prompt is given, and works token by token:
the first half of what it was given must give the first half of what it made, and the last half the last. No
overlay is known for such a model.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from ..outputs import EncodedItem
from .adapter import GenericAdapter
from .line import Line
from .projection import rows_like
from .rows import SETTINGS, feature_function, first_tensor, input_names

_CLOSE = 1e-3  # of the largest number: half of the rows are another product, which may round otherwise


class TracedAdapter(GenericAdapter):
    """Serve a model of an unknown family, whose line is found when it reads its first picture."""

    def __init__(self, model: torch.nn.Module) -> None:
        name = type(model).__name__
        feature_function(model, "image")
        if "mm_encoder_outputs" not in inspect.signature(model.forward).parameters:
            raise ModelError(
                f"{name} is of a family not known here, and takes no mm_encoder_outputs, so a shorter prompt "
                "cannot be handed to it"
            )
        super().__init__(model, Line("", mrope=hasattr(getattr(model, "model", model), "get_rope_index")))

    @torch.no_grad()
    def look(
        self,
        inputs: Mapping[str, Any],
        sizes: Sequence[tuple[int, int]] | None = None,
        processor: object | None = None,
    ) -> list[EncodedItem]:
        if not self.line.projector:
            self._use(traced_line(self.model, inputs, self.line))
        return super().look(inputs, sizes, processor)


@torch.no_grad()
def traced_line(model: torch.nn.Module, inputs: Mapping[str, Any], known: Line) -> Line:
    """Find the line of a model by running it on the processor's output of an image.

    Raises:
        ModelError: no module makes the tokens of the prompt one by one; names where they are mixed.
    """
    function = feature_function(model, "image")
    given = {
        name: inputs[name] for name in input_names(model, "image", known) if inputs.get(name) is not None
    }
    settings = {
        name: getattr(model.config, name)
        for name in SETTINGS
        if name in inspect.signature(function).parameters and getattr(model.config, name, None) is not None
    }

    def run() -> Tensor:
        result = function(**given, **settings, return_dict=True)
        pooled = result if isinstance(result, Tensor) else result.pooler_output
        parts = [pooled] if isinstance(pooled, Tensor) else pooled
        return torch.cat([part.reshape(-1, part.shape[-1]) for part in parts])

    candidates = _makers(model, run)
    for path in candidates:
        group = _tokens_apart(model.get_submodule(path), run)
        if group:
            return Line(path, group=group, mrope=known.mrope)
    where = f"in {candidates[-1]}" if candidates else "behind the last module that makes them"
    raise ModelError(
        f"{type(model).__name__} cannot be pruned in front of a projector: its visual tokens are mixed "
        + where
    )


def _makers(model: torch.nn.Module, run) -> list[str]:
    """Paths of the modules that make what the prompt is given, judged by its sum; outermost first."""
    made: dict[str, tuple[int, float]] = {}
    reader = threading.get_ident()

    def note(path: str):
        def hook(module, args, output):
            output = output[0] if isinstance(output, tuple) and output else output
            if threading.get_ident() == reader and isinstance(output, Tensor) and output.is_floating_point():
                made[path] = (output.numel(), float(output.double().sum()))

        return hook

    handles = [module.register_forward_hook(note(path)) for path, module in model.named_modules() if path]
    try:
        pooled = run()
    finally:
        for handle in handles:
            handle.remove()
    size, total = pooled.numel(), float(pooled.double().sum())
    near = 1e-6 * float(pooled.double().abs().sum())
    found = [path for path, (n, summed) in made.items() if n == size and abs(summed - total) <= near]
    return sorted(found, key=lambda path: path.count("."))


def _tokens_apart(module: torch.nn.Module, run) -> int:
    """Rows of what a module is given that make one token; 0 where it mixes tokens."""
    seen: list[tuple[Tensor, Tensor]] = []
    reader = threading.get_ident()

    def note(module, args, kwargs, output):
        given = first_tensor(args, kwargs)
        if threading.get_ident() == reader and given is not None and given.is_floating_point():
            seen.append((given, output[0] if isinstance(output, tuple) else output))

    handle = module.register_forward_hook(note, with_kwargs=True)
    try:
        run()
    finally:
        handle.remove()
    if len(seen) != 1 or seen[0][0].dim() < 2:
        return 0
    given, made = seen[0]
    made = made.reshape(-1, made.shape[-1])
    rows = given.numel() // given.shape[-1]
    group = rows // len(made)
    if len(made) < 2 or group * len(made) != rows:
        return 0
    tokens = given.reshape(len(made), -1)
    half = len(made) // 2
    for part, expected in ((tokens[:half], made[:half]), (tokens[-half:], made[-half:])):
        try:
            got = module(rows_like(part, group, given.shape))
        except (RuntimeError, ValueError, TypeError, IndexError):
            return 0
        got = got[0] if isinstance(got, tuple) else got
        if got.numel() != expected.numel():
            return 0
        apart = (got.reshape(expected.shape) - expected).abs().max()
        if apart > _CLOSE * expected.abs().max():
            return 0
    return group
