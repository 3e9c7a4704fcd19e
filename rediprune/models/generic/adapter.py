"""Serve any model that has a projector in front of which tokens can be dropped, by one line about it."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...costs.estimate import ModelShapes
from ...tokens import VisionTokens
from ..adapter import Adapter
from ..errors import ModelError
from ..families.mrope import compact_mrope
from ..outputs import EncodedItem, Prompt
from ..splice import packed
from .delivery import Delivery, delivering
from .line import Line
from .overlays import LAYOUTS, Given
from .projection import rows_in_place, rows_like, run_projector
from .rows import Output, Read, Reader, input_names
from .shapes import model_shapes

_PIXELS = {"image": ("pixel_values", "pixel_values_images"), "video": ("pixel_values_videos",)}
_TYPES = ("token_type_ids", "mm_token_type_ids")
_LOOKS = count()
# What get_rope_index takes by another name than the processor gives it.
_ALSO_CALLED = {"second_per_grids": "video_second_per_grid"}


@dataclass(frozen=True)
class Source:
    """Hold where one image's tokens came from.

    Attributes:
        look: number of the run of the encoder.
        call: [n] int64, which call of the entry gave each token, in the order of the image.
        row: [n] int64, which of that call's tokens it was.
        shapes: the shape, and the strides, of what each call of the entry was given.
        reached: how many tokens of each call reach the prompt.
        separators: [m, D], what stands where `EncodedItem.placeholder_tokens` is -1.
        beside: for each further projector, [n, C].
    """

    look: int
    call: Tensor
    row: Tensor
    shapes: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    reached: tuple[int, ...]
    separators: Tensor
    beside: tuple[Tensor, ...] = ()


class GenericAdapter(Adapter):
    """Read and project one model as its line says."""

    value_path = None  # nobody says which block made the tokens
    text_tower_name = None

    @property
    def why_no_text_tower(self) -> str:
        if self.line.group > 1:
            return "its vision encoder was trained together with its LLM, and a token joins several patches"
        if self.line.layout == "splits":
            return "each token joins neighbouring tokens of a SigLIP that was trained on with the LLM"
        return self.own_space

    def __init__(self, model: torch.nn.Module, line: Line) -> None:
        super().__init__(model)
        self._use(line)

    def _use(self, line: Line) -> None:
        """Serve the model by this line."""
        model = self.model
        line = replace(line, group=_merge(model.config) ** 2) if line.group > 1 else line
        self.line, self.reader = line, Reader(model, line)
        self.kinds = ("image", "video") if line.video else ("image",)
        accepted = inspect.signature(model.forward).parameters
        types = tuple(name for name in _TYPES if name in accepted)
        rope = (_ALSO_CALLED.get(name, name) for name in self._rope_arguments) if line.mrope else ()
        features = (name for kind in self.kinds for name in input_names(model, kind, line))
        self.media_inputs = tuple(dict.fromkeys([*features, *rope, *types, *line.inputs]))
        self._types = types
        self._shape: tuple[int, ...] = ()
        self._example: tuple[tuple, dict] | None = None
        self._output: dict[str, Output] = {}

    def token_id(self, kind: str) -> int:
        return super().token_id("image" if self.line.shared_placeholder else kind)

    # Reading ---------------------------------------------------------------------------------------------

    @torch.no_grad()
    def look(
        self,
        inputs: Mapping[str, Any],
        sizes: Sequence[tuple[int, int]] | None = None,
        processor: object | None = None,
    ) -> list[EncodedItem]:
        seen, own = [], None if sizes is None else list(sizes)
        for kind in self.kinds:
            if all(inputs.get(name) is None for name in _PIXELS[kind]):
                continue
            read = self.reader.read(kind, inputs)
            self._example = self._example or read.example
            self._output[kind], self._shape = read.output, tuple(read.rows[0].shape)
            given = Given(kind, inputs, self.token_id(kind), read.way.slots, processor)
            count_of = None if own is None else own[: self._n_media(kind, inputs, len(own))]
            seen += self._parted(read, given, count_of)
            own = None if own is None else own[len(count_of) :]
        return seen

    def _n_media(self, kind: str, inputs: Mapping[str, Any], known: int) -> int:
        """Count the `known` sizes of this kind: sizes of clips come behind the sizes of images."""
        if kind == "video" or not self.line.video or inputs.get("pixel_values_videos") is None:
            return known
        return known - len(inputs["video_grid_thw"])

    def _parted(self, read: Read, given: Given, sizes: Sequence[tuple[int, int]] | None) -> list[EncodedItem]:
        """Return one EncodedItem for each image or clip of a run."""
        group, slots = self.line.group, read.way.slots
        width = read.rows[0].shape[-1] * group
        calls = [rows.reshape(-1, width) for rows in read.rows]
        tokens = torch.cat(calls) if len(calls) > 1 else calls[0]
        call = torch.cat([torch.full((len(rows),), i) for i, rows in enumerate(calls)])
        row = torch.cat([torch.arange(len(rows)) for rows in calls])
        look, shapes = next(_LOOKS), tuple((tuple(rows.shape), rows.stride()) for rows in read.rows)
        beside = [rows.reshape(len(tokens), -1) for rows in read.beside]
        order = slots[slots >= 0]
        reached = tuple(torch.bincount(call[order], minlength=len(calls)).tolist())
        images = LAYOUTS[self.line.layout].images(given, _view_counts(read, group), sizes)
        if sum(sum(views) for views, _ in images) != len(order):
            raise ModelError(
                f"{len(order)} visual tokens were encoded, but the {given.kind}s that came with them have "
                f"{sum(sum(views) for views, _ in images)}: use the processor that belongs to the model"
            )
        seen, at, start, separators_used = [], 0, 0, 0
        ends = (slots >= 0).long().cumsum(0)
        edges = torch.tensor(read.way.parts).cumsum(0)
        for views, places in images:
            mine = order[at : at + sum(views)]
            at += len(mine)
            # Separators behind the last token of an image belong to it, unless the model's result parts them.
            stop = int((ends <= at).sum())
            parted = edges[ends[edges - 1] == at]
            stop = int(parted[0]) if len(parted) else stop
            most = max(views)
            flat = torch.cat([t * most + torch.arange(n) for t, n in enumerate(views)])
            own = torch.full((stop - start,), -1)
            carries = slots[start:stop] >= 0
            own[carries] = flat
            features = tokens[mine.to(tokens.device)]
            spread = _spread(features, views)
            present = None
            if min(views) < most:
                present = torch.arange(most) < torch.tensor(views)[:, None]
            n_separators = int((~carries).sum())
            source = Source(
                look,
                call[mine],
                row[mine],
                shapes,
                reached,
                read.separators[separators_used : separators_used + n_separators],
                tuple(layer[mine.to(layer.device)] for layer in beside),
            )
            start, separators_used = stop, separators_used + n_separators
            seen.append(EncodedItem(VisionTokens(spread, places, present), own, given.kind, source))
        return seen

    # Projecting ------------------------------------------------------------------------------------------

    @torch.no_grad()
    def project(self, features: Tensor) -> Tensor:
        rows = rows_like(features.reshape(-1, features.shape[-1]), self.line.group, self._shape)
        return self._run(rows).reshape(*features.shape[:-1], -1)

    def _run(self, rows: Tensor) -> Tensor:
        return run_projector(self.reader, rows, self._example)

    def embed_kept(self, seen: Sequence[EncodedItem], kept: Sequence[Tensor]) -> list[Tensor]:
        """Project call by call, as the tokens came, so that 100% is equal to the last bit."""
        calls: dict[tuple[int, int], list[tuple[int, Tensor]]] = defaultdict(list)
        positions = [_ranks(one, k) for one, k in zip(seen, kept, strict=True)]
        for i, (one, ranks) in enumerate(zip(seen, positions, strict=True)):
            for call in one.source.call[ranks].unique().tolist():
                calls[one.source.look, call].append((i, ranks[one.source.call[ranks] == call]))
        projected: list[dict[int, Tensor]] = [{} for _ in seen]
        for (_, call), members in calls.items():
            source = seen[members[0][0]].source
            shape, strides = source.shapes[call]
            tokens = torch.cat(
                [_flat(seen[i])[ranks.to(seen[i].vision.features.device)] for i, ranks in members]
            )
            rows = torch.cat([seen[i].source.row[ranks] for i, ranks in members])
            if len(rows) == source.reached[call]:
                made = self._run(rows_in_place(tokens, rows, self.line.group, shape, strides))
                made = made[rows.to(made.device)]
            else:
                made = self._run(rows_like(tokens, self.line.group, shape))
            for (i, ranks), part in zip(members, made.split([len(r) for _, r in members]), strict=True):
                projected[i] |= {call: (ranks, part)}
        return [
            self._in_order(one, k, ranks, parts)
            for one, k, ranks, parts in zip(seen, kept, positions, projected, strict=True)
        ]

    @staticmethod
    def _in_order(one: EncodedItem, kept: Tensor, ranks: Tensor, parts: dict) -> Tensor:
        """Order vectors [S', D] by the placeholders that are left, from a dict of (ranks, vectors)."""
        left = one.surviving(kept)
        slots = one.placeholder_tokens[left]
        if not parts:
            return one.source.separators[left[one.placeholder_tokens < 0]]
        found = torch.cat([ranks for ranks, _ in parts.values()])
        vectors = torch.cat([vectors for _, vectors in parts.values()])
        vectors = vectors[found.argsort().to(vectors.device)]
        if not (slots < 0).any():
            return vectors
        out = vectors.new_empty(len(slots), vectors.shape[-1])
        out[slots >= 0] = vectors
        out[slots < 0] = one.source.separators[left[one.placeholder_tokens < 0]].to(out)
        return out

    # Delivering ------------------------------------------------------------------------------------------

    def positions(self, input_ids: Tensor, mask: Tensor, inputs: Mapping[str, Any]) -> Tensor:
        if not self.line.mrope:
            return super().positions(input_ids, mask, inputs)
        said = {name: inputs.get(_ALSO_CALLED.get(name, name)) for name in self._rope_arguments}
        if "mm_token_type_ids" in said:
            if said["mm_token_type_ids"] is None:
                raise ModelError(
                    "mm_token_type_ids are missing, without which the model cannot count positions: pass "
                    "all that the processor returned"
                )
            said["mm_token_type_ids"] = said["mm_token_type_ids"].to(input_ids.device)
        return self._base.get_rope_index(input_ids, attention_mask=mask, **said)[0]

    def compact_positions(self, positions: Tensor, stays: Tensor, visual: Tensor) -> Tensor | None:
        return compact_mrope(positions, stays, visual) if self.line.mrope else None

    def finalize_prompt(self, prompt, input_ids, slots, seen, kept) -> Prompt:
        ids = packed(input_ids, prompt.stays)
        visual = {
            kind: packed(input_ids == self.token_id(kind), prompt.stays)
            for kind in self.kinds
            if any(one.kind == kind for one in seen)
        }
        deepstack = self._deepstack(input_ids, slots, seen, kept) if self.line.deepstack else {}
        tokens = {kind: self.token_id(kind) for kind in visual}
        extra = Delivery(ids, visual, dict(self._output), deepstack, tokens, self.line.first_position)
        return replace(prompt, extra=extra)

    def _deepstack(self, input_ids, slots, seen, kept) -> dict[str, tuple[Tensor, ...]]:
        found = {}
        for kind in {one.kind for one in seen}:
            mine = [i for i, one in enumerate(seen) if one.kind == kind]
            where = torch.cat(
                [
                    slots[i][0] * input_ids.shape[1]
                    + slots[i][1][seen[i].surviving(kept[i]).to(slots[i][1].device)]
                    for i in mine
                ]
            )
            order, layers = where.argsort(), []
            for number, merger in enumerate(self.reader.further):
                tokens = torch.cat([seen[i].source.beside[number][_ranks(seen[i], kept[i])] for i in mine])
                made = merger(tokens.reshape(-1, tokens.shape[-1] // self.line.group))
                layers.append(made[order.to(made.device)])
            found[kind] = tuple(layers)
        return found

    def with_prompt_hooks(self, prompt: Prompt, following: Tensor | None = None) -> AbstractContextManager:
        return delivering(self.model, prompt, following)

    def token_types(self, input_ids: Tensor, stays: Tensor, inputs: Mapping[str, Any]) -> dict:
        if self.line.mrope:  # positions say it all
            return {}
        return {
            name: (packed(inputs[name].to(stays.device), stays), self.line.causal_type)
            for name in self._types
            if inputs.get(name) is not None
        }

    # Numbers ---------------------------------------------------------------------------------------------

    def shapes(self) -> ModelShapes:
        return model_shapes(self.model, self.reader, 0, self._llm_shapes())

    def shapes_for(self, vision: VisionTokens) -> ModelShapes:
        return model_shapes(self.model, self.reader, vision.shape[1], self._llm_shapes())

    @property
    def has_overlay(self) -> bool:
        """Tell whether it is known where in the upload a token lies."""
        return LAYOUTS[self.line.layout].has_overlay

    @property
    def _base(self) -> Any:
        for owner in (self.model, getattr(self.model, "model", None)):
            if hasattr(owner, "get_rope_index"):
                return owner
        raise ModelError(f"{type(self.model).__name__} counts no positions along several axes")

    @property
    def _rope_arguments(self) -> tuple[str, ...]:
        known = inspect.signature(self._base.get_rope_index).parameters
        return tuple(
            name
            for name, parameter in known.items()
            if name not in ("input_ids", "attention_mask") and parameter.kind != parameter.VAR_KEYWORD
        )


def _view_counts(read: Read, group: int) -> list[int]:
    """Tokens of each view, in the order of the prompt.

    Views are told apart by the parts of the model's own result, or by the shapes of what the projector was
    given, whichever tells more apart.
    """
    slots = read.way.slots
    by_parts = [int((part >= 0).sum()) for part in slots.split(list(read.way.parts))]
    of_token, view = [], 0
    for rows in read.rows:
        for n in _views_of(tuple(rows.shape), group):
            of_token.append(torch.full((n,), view))
            view += 1
    views, by_rows = torch.cat(of_token)[slots[slots >= 0]].unique_consecutive(return_counts=True)
    apart = len(views) == len(views.unique())  # else they are laid together, line by line
    return by_rows.tolist() if apart and len(views) >= len(by_parts) else by_parts


def _views_of(shape: tuple[int, ...], group: int) -> list[int]:
    """Tokens of each view that one call of the entry was given."""
    if len(shape) < 3 or _size(shape[1:-1]) % group:
        return [_size(shape[:-1]) // group]
    return [_size(shape[1:-1]) // group] * shape[0]


def _merge(config: Any) -> int:
    """Side of a group of patches that a projector makes one token of; 2 where the config does not say it."""
    for owner in (getattr(config, "vision_config", None), config):
        for name in ("spatial_merge_size", "merge_size", "merge_kernel_size"):
            value = getattr(owner, name, None)
            if value:
                return value[0] if isinstance(value, list | tuple) else value
    return 2


def _size(shape: Sequence[int]) -> int:
    total = 1
    for n in shape:
        total *= n
    return total


def _spread(features: Tensor, views: Sequence[int]) -> Tensor:
    """Pad rows [n, C] to [T, N, C], N the largest of the views."""
    most = max(views)
    if min(views) == most:
        return features.reshape(len(views), most, -1)
    return torch.stack([F.pad(part, (0, 0, 0, most - len(part))) for part in features.split(list(views))])


def _flat(one: EncodedItem) -> Tensor:
    """Features of the tokens that there are, [n, C]."""
    features = one.vision.features.flatten(0, 1)
    if one.vision.valid is None:
        return features
    return features[one.vision.all.to(features.device)]


def _ranks(one: EncodedItem, kept: Tensor) -> Tensor:
    """Flat token indices as ranks among the tokens that there are."""
    if one.vision.valid is None:
        return kept
    return torch.searchsorted(one.vision.all, kept)
