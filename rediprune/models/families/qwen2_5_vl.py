"""Qwen2.5-VL: an encoder of dynamic resolution, a merger of 2 x 2 patches, an LLM with M-RoPE positions.

Token geometry before the projector, which is the merger inside the encoder: a token is a group of
merge x merge neighbouring patches as the last block leaves them, side by side, so C is their number times the
encoder's width. The processor resizes the whole picture (no crop, no padding) to a multiple of the group's
side, so the grid of groups covers the upload exactly, and N depends on the upload's size. The encoder works
window by window; tokens are put back into raster order here.

A frame T of a clip is a TEMPORAL PATCH here: `temporal_patch_size` successive frames that the encoder reads
as one (of an odd number the last is repeated).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...costs.estimate import ModelShapes
from ...tokens import Geometry, VisionTokens
from ..adapter import Adapter
from ..errors import ModelError
from ..outputs import EncodedItem
from ..vision_encoder import ReadEnough, read_before
from .mrope import compact_mrope

_PIXELS = {"image": "pixel_values", "video": "pixel_values_videos"}
_TICKS = 1000  # frames a second of the time axis on which the processor is told when frames are shown


class Qwen25VlAdapter(Adapter):
    """Qwen2.5-VL, images and clips."""

    kinds = ("image", "video")
    media_inputs = (
        *_PIXELS.values(),
        "image_grid_thw",
        "video_grid_thw",
        "second_per_grid_ts",
        "mm_token_type_ids",
    )
    vision_types = frozenset({"qwen2_5_vl_vision"})
    value_path = None  # the tokens are read behind the last block
    text_tower_name = None
    own_space = "its vision encoder was trained together with its LLM and has no text side"

    @torch.no_grad()
    def look(
        self,
        inputs: Mapping[str, Any],
        sizes: Sequence[tuple[int, int]] | None = None,
        processor: object | None = None,
    ) -> list[EncodedItem]:
        given = [kind for kind in self.kinds if inputs.get(_PIXELS[kind]) is not None]
        grids = {kind: self._grids(kind, inputs) for kind in given}
        count = sum(map(len, grids.values()))
        if sizes is not None and len(sizes) != count:
            raise ModelError(f"{len(sizes)} sizes were given for {count} images and clips")
        own = iter(sizes or [None] * count)
        seen = []
        for kind in given:
            places = [self._geometry(kind, grid, next(own), processor) for grid in grids[kind]]
            for read, place in zip(self._encode(inputs[_PIXELS[kind]], grids[kind]), places, strict=True):
                slots = torch.arange(len(place) * read[0].shape[1])
                seen.append(EncodedItem(VisionTokens(read[0], place), slots, kind, read[1:]))
        return seen

    def project(self, features: Tensor) -> Tensor:
        return self._merged(self._tower.merger, features)

    def run_processor(
        self,
        processor: Any,
        text: str,
        frames: Sequence[Image.Image],
        clip: bool = False,
        seconds: Sequence[float] = (),
    ) -> Mapping[str, Any]:
        """As every family, but the processor is told when the frames are shown.

        A single frame is repeated to fill its temporal patch: not every processor does it by itself.
        """
        if not clip:
            return super().run_processor(processor, text, frames)
        lacking = self.model.config.vision_config.temporal_patch_size - len(frames)
        pixels = np.stack([np.asarray(frame) for frame in [*frames, *[frames[-1]] * lacking]])
        when = {}
        if len(seconds) > 1:
            ticks = [round(second * _TICKS) for second in seconds]
            ticks += ticks[-1:] * lacking
            # The processor takes the mean distance of the frames to be the whole length by their number.
            length = max(1, (ticks[-1] - ticks[0]) * len(ticks) / (len(ticks) - 1))
            when = {
                "video_metadata": [
                    {"total_num_frames": round(length), "fps": _TICKS, "frames_indices": ticks}
                ]
            }
        return processor(text=[text], videos=[pixels], do_sample_frames=False, return_tensors="pt", **when)

    def positions(self, input_ids: Tensor, mask: Tensor, inputs: Mapping[str, Any]) -> Tensor:
        """Time, row and column of every token, [3, B, L], by the model's own count."""
        said = {name: inputs.get(name) for name in self.media_inputs if not name.startswith("pixel_values")}
        types = said.pop("mm_token_type_ids")
        if types is None:
            raise ModelError(
                "mm_token_type_ids are missing, without which the model cannot count positions: pass all "
                "that the processor returned"
            )
        return self.model.model.get_rope_index(
            input_ids, types.to(input_ids.device), attention_mask=mask, **said
        )[0]

    def compact_positions(self, positions: Tensor, stays: Tensor, visual: Tensor) -> Tensor:
        return compact_mrope(positions, stays, visual)

    def shapes(self) -> ModelShapes:
        """Without a picture the encoder reads nothing: its counts of tokens and patches are 0."""
        return self._shapes(0, 0)

    def shapes_for(self, vision: VisionTokens) -> ModelShapes:
        """Of frames of one size, as all frames of an image or a clip are."""
        return self._shapes(vision.geometry[0].rows, vision.geometry[0].cols)

    # The encoder -----------------------------------------------------------------------------------------

    def _encode(self, pixels: Tensor, grids: Tensor) -> Iterator[list[Tensor]]:
        """For each image or clip: what each of `_mergers` would be given of it, [T, N, C], raster order."""
        tower = self._tower
        if tower.device.type != "meta":  # an offloaded tower reports "meta" and moves its inputs by itself
            pixels, grids = pixels.to(tower.device), grids.to(tower.device)
        with read_before(self._mergers, self._group) as read, suppress(ReadEnough):
            tower(pixels.to(tower.dtype), grid_thw=grids)
        counts = (grids.prod(-1) // self._group).tolist()
        states = [x.reshape(-1, self._group * x.shape[-1]).split(counts) for x in read]
        for (t, h, w), *parts in zip(grids.tolist(), *states, strict=True):
            rows, cols = h // self._merge, w // self._merge
            order = self._window_order(rows, cols).argsort().to(parts[0].device)
            yield [part.reshape(t, rows * cols, -1)[:, order] for part in parts]

    def _window_order(self, rows: int, cols: int) -> Tensor:
        """Raster indices of a frame's groups in the order in which the encoder works, [rows * cols]."""
        side = self._window_side
        row, col = torch.arange(rows)[:, None], torch.arange(cols)
        window = row // side * cols + col // side
        raster = row * cols + col
        return (window * (rows * cols) + raster).flatten().argsort()

    def _grids(self, kind: str, inputs: Mapping[str, Any]) -> Tensor:
        """[images or clips, 3]: temporal patches, and rows and columns of patches."""
        grids, pixels = inputs.get(f"{kind}_grid_thw"), inputs[_PIXELS[kind]]
        config = self.model.config.vision_config
        if grids is None:
            raise ModelError(f"{kind}_grid_thw is missing: pass all that the processor returned")
        size = config.in_channels * config.temporal_patch_size * config.patch_size**2
        if pixels.shape != (int(grids.prod(-1).sum()), size) or (grids[:, 1:] % self._merge).any():
            raise ModelError(
                f"{_PIXELS[kind]} have shape {tuple(pixels.shape)}, which are not the patches of {size} "
                f"numbers that {kind}_grid_thw={grids.tolist()} promises: use the processor that belongs to "
                "the model"
            )
        return grids.cpu()

    def _geometry(
        self, kind: str, grid: Tensor, size: tuple[int, int] | None, processor: Any
    ) -> tuple[Geometry, ...]:
        t, h, w = grid.tolist()
        patch = self.model.config.vision_config.patch_size
        if size is None:
            size = (w * patch, h * patch)
        elif kind == "image" and processor is not None:
            expected = getattr(processor, "image_processor", processor).get_number_of_image_patches(
                size[1], size[0], {}
            )
            if expected != h * w:
                raise ModelError(
                    f"the processor cuts a {size[0]} x {size[1]} image into {expected} patches, but there "
                    f"are {h} x {w}: pass the one that made pixel_values"
                )
        box = (0.0, 0.0, float(size[0]), float(size[1]))
        return (Geometry(h // self._merge, w // self._merge, box, (size[0], size[1])),) * t

    def _merged(self, merger: torch.nn.Module, features: Tensor) -> Tensor:
        """[..., C] -> [..., D]; a merger takes patches and puts neighbours together by itself."""
        if not features.numel():  # a merger cannot tell how many groups no patches are
            return features.new_zeros(*features.shape[:-1], self.model.config.vision_config.out_hidden_size)
        return merger(features.reshape(-1, features.shape[-1] // self._group)).unflatten(
            0, features.shape[:-1]
        )

    def embed_kept(self, seen: Sequence[EncodedItem], kept: Sequence[Tensor]) -> list[Tensor]:
        # As the model: one product for all images and one for all clips, whatever their sizes.
        tokens = [one.vision.take(k) for one, k in zip(seen, kept, strict=True)]
        return self._by_kind(seen, tokens, self.project)

    @staticmethod
    def _by_kind(seen: Sequence[EncodedItem], tokens: Sequence[Tensor], project) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        for kind in {one.kind for one in seen}:
            mine = [i for i, one in enumerate(seen) if one.kind == kind]
            made = project(torch.cat([tokens[i] for i in mine]))
            found |= zip(mine, made.split([len(tokens[i]) for i in mine]), strict=True)
        return [found[i] for i in range(len(seen))]

    def _shapes(self, rows: int, cols: int) -> ModelShapes:
        v, t = self.model.config.vision_config, self.model.config.text_config
        patches, width = rows * cols * self._group, v.hidden_size * self._group
        return ModelShapes(
            vision_layers=v.depth,
            vision_width=v.hidden_size,
            vision_mlp=v.intermediate_size,
            vision_tokens=patches,
            vision_patches=patches,
            patch_dim=v.in_channels * v.temporal_patch_size * v.patch_size**2,
            projector_in=width,
            projector_hidden=width,
            projector_out=t.hidden_size,
            **self._llm_shapes(),
            **self._beyond_plain(rows, cols),
        )

    def _beyond_plain(self, rows: int, cols: int) -> dict[str, int]:
        """Return the shapes that a plain encoder lacks: a gated MLP, layers that attend within windows."""
        v, side = self.model.config.vision_config, self._window_side
        high, wide = ([min(side, n - start) for start in range(0, n, side)] for n in (rows, cols))
        return dict(
            vision_mlp_matrices=3,
            vision_windowed_layers=v.depth - len(v.fullatt_block_indexes),
            vision_window_pairs=sum((a * b * self._group) ** 2 for a in high for b in wide),
        )

    @property
    def _tower(self) -> torch.nn.Module:
        return self.model.model.visual

    @property
    def _mergers(self) -> list[torch.nn.Module]:
        """The projector, and behind it what else makes LLM-wide vectors of the encoder's states."""
        return [self._tower.merger]

    @property
    def _merge(self) -> int:
        """Side of a group in patches."""
        return self.model.config.vision_config.spatial_merge_size

    @property
    def _group(self) -> int:
        """Patches in a group."""
        return self._merge**2

    @property
    def _window_side(self) -> int:
        """Side of a window in groups."""
        v = self.model.config.vision_config
        return v.window_size // v.patch_size // self._merge
