"""Read what a projector is given, and find which placeholder of the prompt each visual token goes to.

The model's own feature function runs (`get_image_features`), with a hook that notes what goes into the
projector. The first time that inputs of a geometry come by, the projector's output is replaced by random code
vectors: where a code comes back in the function's result, that is the token's placeholder; any other row is a
separator that the model adds. No knowledge of tiling, packing, padding or window order is needed. The way
depends on sizes only and is kept, so further pictures of the geometry end at the projector.
"""

from __future__ import annotations

import hashlib
import inspect
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError
from ..vision_encoder import ReadEnough
from .line import Line

# Arguments of feature functions that are settings and not inputs.
SETTINGS = ("vision_feature_layer", "vision_feature_select_strategy", "vision_aspect_ratio")
KEPT_WAYS = 64


@dataclass(frozen=True)
class Way:
    """Hold where the tokens of one geometry go.

    Attributes:
        slots: [S] int64, for every row of the feature function's result the index of its token, or -1.
        parts: rows of each of the result's parts, in order; one part where it is a plain tensor [S, D].
        n_calls: how often the entry is called.
        n_rows: tokens that it is given in all, padding included.
    """

    slots: Tensor
    parts: tuple[int, ...]
    n_calls: int
    n_rows: int


@dataclass(frozen=True)
class Output:
    """Hold what a feature function returns, without the features.

    Attributes:
        made: its class.
        dims: dimensions of the features; 0 where they are a list.
        beside: further fields that the model's forward reads, by name.
    """

    made: type
    dims: int
    beside: Mapping[str, Any]


# Fields of outputs that no forward reads behind the encoder, and those that are made anew.
_LEFT_OUT = ("last_hidden_state", "hidden_states", "attentions", "pooler_output", "deepstack_features")


@dataclass
class Read:
    """Hold what one run of a feature function gave.

    Attributes:
        rows: what each call of the entry was given, as it was given.
        beside: for each further projector, what it was given, all calls one behind the other.
        way: where the tokens go.
        separators: [S - tokens, D], the rows of the result that carry no token.
        example: the projector's arguments at its first call; None where the entry is the projector itself.
        output: what the function returns.
    """

    rows: list[Tensor]
    beside: list[Tensor]
    way: Way
    separators: Tensor
    example: tuple[tuple, dict] | None
    output: Output


@dataclass
class Reader:
    """Reads one model by its line; keeps the ways of the geometries that were seen last."""

    model: torch.nn.Module
    line: Line
    ways: OrderedDict[bytes, tuple[Way, Output]] = field(default_factory=OrderedDict)

    @property
    def projector(self) -> torch.nn.Module:
        return self.model.get_submodule(self.line.projector)

    @property
    def entry(self) -> torch.nn.Module:
        return self.projector.get_submodule(self.line.entry)

    @property
    def further(self) -> list[torch.nn.Module]:
        """Return the projectors of deepstack, in the order of the encoder's layers."""
        if not self.line.deepstack:
            return []
        mergers = list(self.model.get_submodule(self.line.deepstack))
        owner = self.model.get_submodule(self.line.deepstack.rpartition(".")[0])
        layers = getattr(owner, "deepstack_visual_indexes", range(len(mergers)))
        return [mergers[i] for i in sorted(range(len(mergers)), key=lambda i: layers[i])]

    def through(self, made: Tensor) -> Tensor:
        """Run the modules behind the projector on its rows [n, D]."""
        for path in self.line.behind:
            made = self.model.get_submodule(path)(made)
        return made

    def read(self, kind: str, inputs: Mapping[str, Any]) -> Read:
        """Run the feature function of a kind on the processor's output.

        Raises:
            ModelError: the model has no such function, or its projector does not take one row a token.
        """
        function = feature_function(self.model, kind)
        given = {
            name: value.to(self.model.device) if _movable(value, self.model) else value
            for name in input_names(self.model, kind, self.line)
            if (value := inputs.get(name)) is not None
        }
        settings = {
            name: value
            for name in SETTINGS
            if name in inspect.signature(function).parameters
            and (value := getattr(self.model.config, name, None)) is not None
        }
        key = _geometry(kind, given)
        known = self.ways.get(key)
        recorder = _Recorder(self, known)
        result = None
        with recorder.hooks(), suppress(ReadEnough):
            result = function(**given, **settings, return_dict=True)
        if known and not recorder.fits:  # a picture that the model leaves out (all black): another geometry
            known = None
        way, output, separators = self._way(recorder, result, known)
        self.ways[key] = (way, output)
        self.ways.move_to_end(key)
        while len(self.ways) > KEPT_WAYS:
            self.ways.popitem(last=False)
        beside = [torch.cat([rows.reshape(-1, rows.shape[-1]) for rows in one]) for one in recorder.beside]
        return Read(recorder.rows, beside, way, separators, recorder.example, output)

    def _way(
        self, recorder: _Recorder, result: Any, known: tuple[Way, Output] | None
    ) -> tuple[Way, Output, Tensor]:
        if result is None:  # it ended at the projector: the way is known and has no separators
            return (*known, torch.empty(0))
        pooled = result if isinstance(result, Tensor) else result.pooler_output
        dims = 0 if isinstance(pooled, list | tuple) else pooled.dim()
        fields = {} if isinstance(result, Tensor) else dict(result.items())
        if fields.get("deepstack_features") is not None and not self.line.deepstack:
            raise ModelError(
                f"{type(self.model).__name__} adds further features to its visual tokens behind the first "
                "layers of its LLM, and which projectors make them is not known here"
            )
        beside = {
            name: value for name, value in fields.items() if name not in _LEFT_OUT and value is not None
        }
        output = Output(type(result), dims, beside)
        parts = [part.reshape(-1, part.shape[-1]) for part in _parts(pooled)]
        flat = torch.cat(parts)
        slots = _decoded(flat, self.through(torch.cat(recorder.codes)), exact=not self.line.behind)
        tokens = sum(rows.numel() // rows.shape[-1] for rows in recorder.rows) // self.line.group
        where = self.line.projector
        if recorder.coded != tokens:
            raise ModelError(
                f"{type(self.model).__name__} cannot be pruned in front of {where}: it makes "
                f"{recorder.coded} vectors of {tokens} visual tokens, so tokens are mixed there"
            )
        found = slots[slots >= 0]
        # A projector may be given padding, which the model takes off again. A mixture is no code.
        unmixed = len(found) == tokens or (len(found) == len(slots) and len(found) > 0)
        if not unmixed or len(found.unique()) != len(found):
            raise ModelError(
                f"{type(self.model).__name__} cannot be pruned in front of {where}: of its {tokens} visual "
                f"tokens {len(found.unique())} reach the prompt unmixed, so tokens are mixed behind it"
            )
        way = Way(slots, tuple(len(part) for part in parts), len(recorder.rows), tokens)
        return way, output, flat[(slots < 0).to(flat.device)]


class _Recorder:
    """Hook one run; idle in any other thread than the one that made it."""

    def __init__(self, reader: Reader, known: tuple[Way, Output] | None) -> None:
        self.reader, self.known = reader, known[0] if known else None
        self.rows: list[Tensor] = []
        self.beside: list[list[Tensor]] = [[] for _ in reader.further]
        self.example: tuple[tuple, dict] | None = None
        self.coded = 0
        self.codes: list[Tensor] = []
        self._stops = known is not None and not known[1].beside and bool((known[0].slots >= 0).all())
        self._thread = threading.get_ident()
        self._generator = torch.Generator().manual_seed(7)

    @property
    def fits(self) -> bool:
        """Tell whether as many rows came by as the known way has tokens."""
        rows = sum(rows.numel() // rows.shape[-1] for rows in self.rows) // self.reader.line.group
        return len(self.rows) == self.known.n_calls and rows == self.known.n_rows

    def hooks(self) -> ExitStack:
        stack = ExitStack()
        projector, entry = self.reader.projector, self.reader.entry
        if entry is not projector or self.reader.line.joined:
            stack.enter_context(projector.register_forward_pre_hook(self._example, with_kwargs=True))
        stack.enter_context(entry.register_forward_pre_hook(self._entry, with_kwargs=True))
        stack.enter_context(projector.register_forward_hook(self._code, with_kwargs=True))
        for number, merger in enumerate(self.reader.further):

            def note(module, args, kwargs, number=number):
                if self._mine(args, kwargs):
                    self.beside[number].append(first_tensor(args, kwargs))

            stack.enter_context(merger.register_forward_pre_hook(note, with_kwargs=True))
        return stack

    def _mine(self, args: tuple, kwargs: dict) -> bool:
        # Some models embed words through their projector too: those are ids.
        given = first_tensor(args, kwargs)
        here = threading.get_ident() == self._thread
        return here and given is not None and given.is_floating_point()

    def _example(self, module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        if self._mine(args, kwargs) and self.example is None:
            self.example = (args, kwargs)

    def _entry(self, module: torch.nn.Module, args: tuple, kwargs: dict) -> None:
        if not self._mine(args, kwargs):
            return
        self.rows.append(given_rows(self.reader.line, args, kwargs))
        if self._stops and len(self.rows) == self.known.n_calls and self.fits:
            raise ReadEnough

    def _code(self, module: torch.nn.Module, args: tuple, kwargs: dict, made: Any) -> Any:
        """Put codes in place of what the projector made, whatever it is packed in."""
        if not self._mine(args, kwargs):
            return None
        if isinstance(made, list):
            return [self._codes_like(one) for one in made]
        if isinstance(made, tuple):
            return (self._codes_like(made[0]), *made[1:])
        return self._codes_like(made)

    def _codes_like(self, made: Tensor) -> Tensor:
        codes = torch.randn(made.shape, generator=self._generator).to(made.device, made.dtype)
        flat = made_rows(self.reader.line, codes)
        self.codes.append(flat)
        self.coded += len(flat)
        return codes


def feature_function(model: torch.nn.Module, kind: str) -> Any:
    """Return the model's `get_image_features` or `get_video_features`, its base model's first.

    Raises:
        ModelError: it has none.
    """
    for owner in (getattr(model, "base_model", model), getattr(model, "model", model), model):
        function = getattr(owner, f"get_{kind}_features", None)
        if function is not None:
            return function
    raise ModelError(f"{type(model).__name__} has no get_{kind}_features, so its {kind}s cannot be read")


def input_names(model: torch.nn.Module, kind: str, line: Line) -> tuple[str, ...]:
    """Name the processor's outputs that the feature function of a kind takes."""
    function = feature_function(model, kind)
    names = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) and name not in SETTINGS
    ]
    return (*names, *(name for name in line.inputs if name not in names))


def first_tensor(args: tuple, kwargs: dict) -> Tensor | None:
    """Return the first tensor among the arguments of a module's forward."""
    given = [*args, *kwargs.values()]
    for value in given:
        if isinstance(value, Tensor):
            return value
        if isinstance(value, list | tuple) and value and isinstance(value[0], Tensor):
            return value[0]
    return None


def given_rows(line: Line, args: tuple, kwargs: dict) -> Tensor:
    """Reshape an entry's input to one row (or `group` rows) for each token, features last."""
    if line.joined:
        given = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        return torch.cat(given, dim=-1)
    rows = first_tensor(args, kwargs)
    return rows.permute(0, 2, 3, 1) if line.channels_first else rows


def made_rows(line: Line, made: Tensor) -> Tensor:
    """Reshape a projector's output to [n, D]."""
    made = made.permute(0, 2, 3, 1) if line.channels_first else made
    return made.reshape(-1, made.shape[-1])


def _movable(value: Any, model: torch.nn.Module) -> bool:
    return isinstance(value, Tensor) and model.device.type != "meta"


def _parts(pooled: Tensor | Sequence[Tensor]) -> list[Tensor]:
    if isinstance(pooled, Tensor):
        return list(pooled) if pooled.dim() > 2 else [pooled]
    return [part for one in pooled for part in _parts(one)]


def _decoded(flat: Tensor, codes: Tensor, exact: bool) -> Tensor:
    """Find the code of each row: [S] int64 on the CPU, -1 for none.

    `exact`: codes come back as they were; else up to the rounding of what the model did with them.
    """
    if not exact:
        apart = torch.cdist(flat.float(), codes.float())
        near, which = apart.min(1)
        return torch.where(near < 0.02 * codes.float().norm(dim=-1)[which], which, -1).cpu()
    by_bytes: dict[bytes, int] = {}
    for code in codes.float().cpu().numpy():
        by_bytes[code.tobytes()] = len(by_bytes)
    rows = flat.float().cpu().numpy()
    return torch.tensor([by_bytes.get(row.tobytes(), -1) for row in rows], dtype=torch.long)


def _geometry(kind: str, given: Mapping[str, Any]) -> bytes:
    """Names the sizes of inputs: shapes of pixels, and all of what is counted in whole numbers."""
    digest = hashlib.blake2b(kind.encode(), digest_size=16)
    for name in sorted(given):
        value = given[name]
        if isinstance(value, Tensor) and value.is_floating_point():
            digest.update(f"{name} {tuple(value.shape)}".encode())
        elif isinstance(value, Tensor):
            digest.update(
                f"{name} {tuple(value.shape)}".encode() + value.cpu().contiguous().numpy().tobytes()
            )
        else:
            digest.update(f"{name} {value}".encode())
    return digest.digest()
