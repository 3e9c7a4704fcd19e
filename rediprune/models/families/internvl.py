"""InternVL: square tiles and an overview of them, four patches to a token, a two-layer projector.

Token geometry before the projector: pixel shuffle puts 2 x 2 neighbouring patches side by side (the ratio is
the config's), so C is four times the encoder's width and a tile has a quarter as many tokens as patches. An
image is resized to a canvas of columns x rows tiles of the nearest aspect ratio (no crop, no padding) and cut
up; an overview of the whole image comes last where there is more than one tile. T are these tiles.

A clip has one tile a frame, and between its frames the processor writes "Frame2: ". To the model, frames are
images like any other: nothing but the prompt says which tiles belong together, so `look` reads `input_ids`.
One-tile images with differing words in front are taken for the frames of a clip. Were they images on their
own, the same tokens would be kept: a budget is spent on each frame, or on the whole prompt.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ...costs.estimate import ModelShapes
from ...tokens import Geometry, VisionTokens
from ..adapter import Adapter
from ..errors import ModelError
from ..geometry.grid import grid_geometry
from ..outputs import EncodedItem
from ..vision_encoder import hidden_states


class InternVlAdapter(Adapter):
    """InternVL 2.5, 3 and 3.5, images and clips, in the order of the prompts."""

    kinds = ("image", "video")
    vision_types = frozenset({"internvl_vision"})
    n_closing = 1  # </img>
    value_path = None  # the tokens are read behind the last block
    text_tower_name = None
    own_space = "InternViT was trained on with language models, away from any text tower"
    class_token = False  # it has one, but four patches make a token, and nobody says how to join their shares

    @torch.no_grad()
    def look(
        self,
        inputs: Mapping[str, Any],
        sizes: Sequence[tuple[int, int]] | None = None,
        processor: object | None = None,
    ) -> list[EncodedItem]:
        if inputs.get("input_ids") is None:
            raise ModelError(
                "input_ids are missing, without which nobody can tell whose tiles pixel_values are: pass all "
                "that the processor returned"
            )
        shown = [one for row in inputs["input_ids"].tolist() for one in self._shown(row)]
        tiles = [count for _, count in shown]
        if sizes is not None and len(sizes) != len(shown):
            raise ModelError(f"{len(sizes)} sizes were given for {len(shown)} images and clips")
        features = self._encode(inputs["pixel_values"], sum(tiles))
        seen = []
        for (kind, count), part, size in zip(
            shown, features.split(tiles), sizes or [None] * len(shown), strict=True
        ):
            where = self._frames if kind == "video" else self._tiles
            slots = torch.arange(count * part.shape[1])
            seen.append(EncodedItem(VisionTokens(part, where(count, size, processor)), slots, kind))
        return seen

    def project(self, features: Tensor) -> Tensor:
        return self.model.model.multi_modal_projector(features)

    def token_id(self, kind: str) -> int:
        return self.model.config.image_token_id  # the frames of a clip are images to the model

    def shapes(self) -> ModelShapes:
        config = self.model.config
        v, t = config.vision_config, config.text_config
        patches = (v.image_size[0] // v.patch_size[0]) * (v.image_size[1] // v.patch_size[1])
        return ModelShapes(
            vision_layers=v.num_hidden_layers,
            vision_width=v.hidden_size,
            vision_mlp=v.intermediate_size,
            vision_tokens=patches + 1,  # a class token, which is dropped
            vision_patches=patches,
            patch_dim=v.num_channels * v.patch_size[0] * v.patch_size[1],
            projector_in=v.hidden_size * (patches // self._side**2),
            projector_hidden=t.hidden_size,
            projector_out=t.hidden_size,
            **self._llm_shapes(),
        )

    def _shown(self, ids: list[int]) -> list[tuple[str, int]]:
        """List the images and clips of one prompt [L], in order: (kind, number of tiles or frames)."""
        is_tile = [token == self.token_id("image") for token in ids]
        edges = [0, *[i for i, (a, b) in enumerate(pairwise(is_tile), 1) if a != b], len(ids)]
        runs = [(a, b) for a, b in pairwise(edges) if a < b and is_tile[a]]
        shown: list[tuple[str, int]] = []
        first: list[int] = []
        before, per_tile = 0, self._side**2
        for start, end in runs:
            if (end - start) % per_tile:
                raise ModelError(
                    f"an image has {end - start} placeholders, but a tile has {per_tile} tokens: use the "
                    "processor that belongs to the model"
                )
            # The words in front, without the tags that close the last tile and open this one.
            words, count = ids[before : start - 1], (end - start) // per_tile
            of_clip = len(words) > 1 and words[-1:] == first[-1:] and words != first[-len(words) :]
            if count == 1 and shown and of_clip and (shown[-1][0] == "video" or shown[-1][1] == 1):
                shown[-1] = ("video", shown[-1][1] + 1)
            else:
                shown.append(("image", count))
                first = words
            before = end + 1
        return shown

    def _encode(self, pixels: Tensor, tiles: int) -> Tensor:
        """Tiles [T, 3, H, W] -> tokens [T, N, C]."""
        config, tower = self.model.config, self.model.model.vision_tower
        size = tuple(config.vision_config.image_size)
        if pixels.dim() != 4 or pixels.shape[-2:] != size or len(pixels) != tiles:
            raise ModelError(
                f"pixel_values have shape {tuple(pixels.shape)}, but the prompts speak of {tiles} tiles of "
                f"{size[1]} x {size[0]} pixels: pass input_ids and pixels from one call of the processor "
                "that belongs to the model"
            )
        if tower.device.type != "meta":  # an offloaded tower reports "meta" and moves its inputs by itself
            pixels = pixels.to(tower.device)
        pixels, layer = pixels.to(self.model.dtype), config.vision_feature_layer
        if layer == -1:  # what is meant is behind the encoder's norm, so nothing is left over
            states = tower(pixels).last_hidden_state
        else:
            (states,) = hidden_states(tower, tower.encoder.layer, pixels, [layer])
        if config.vision_feature_select_strategy == "default":
            states = states[:, 1:]
        side = int(states.shape[1] ** 0.5)
        square = states.reshape(len(states), side, side, -1)
        return self.model.model.pixel_shuffle(square, scale_factor=config.downsample_ratio).flatten(1, 2)

    def _tiles(self, count: int, size: tuple[int, int] | None, processor: Any) -> tuple[Geometry, ...]:
        """Where the tiles of an image lie in it, the overview last."""
        whole = self._pixels if size is None else size
        if size is None:  # tiles are as the encoder gets them, each a picture of its own
            cols, rows, overview = 1, 1, count - 1
        elif processor is None:
            raise ModelError(
                "sizes were given without a processor, which decides how an image is cut into tiles: pass "
                "the processor that made pixel_values"
            )
        else:
            cols, rows = (1, 1) if count == 1 else _canvas(processor, size)
            overview = int(cols * rows > 1)
            if cols * rows + overview != count:
                raise ModelError(
                    f"the processor cuts a {size[0]} x {size[1]} image into {cols} x {rows} tiles, but "
                    f"pixel_values hold {count} of it: pass the one that made them"
                )
        width, height = whole[0] / cols, whole[1] / rows
        boxes = [
            (c * width, r * height, (c + 1) * width, (r + 1) * height)
            for r in range(rows)
            for c in range(cols)
        ]
        boxes += [(0.0, 0.0, float(whole[0]), float(whole[1]))] * overview
        return tuple(Geometry(self._side, self._side, box, (whole[0], whole[1])) for box in boxes)

    def _frames(self, count: int, size: tuple[int, int] | None, processor: Any) -> tuple[Geometry, ...]:
        """Where the tokens of a clip's frames lie in them: all in the same places."""
        resized = getattr(processor, "video_processor", processor)
        return (grid_geometry(size, resized, self._pixels, self._pixels[0] // self._side),) * count

    @property
    def _pixels(self) -> tuple[int, int]:
        """(width, height) of a tile."""
        height, width = self.model.config.vision_config.image_size
        return width, height

    @property
    def _side(self) -> int:
        """Tokens along the side of a tile."""
        config = self.model.config
        v = config.vision_config
        return int(v.image_size[0] // v.patch_size[0] * config.downsample_ratio)


def _canvas(processor: Any, size: tuple[int, int]) -> tuple[int, int]:
    """(columns, rows) of tiles that an image of (width, height) is cut into, by the processor's own rule."""
    settings = getattr(processor, "image_processor", processor)
    rule = inspect.getmodule(type(settings)).get_optimal_tiled_canvas
    tile = settings.size
    return rule(
        (size[1], size[0]), (tile["height"], tile["width"]), settings.min_patches, settings.max_patches
    )
