"""LLaVA-OneVision, images and clips: SigLIP (no class token), two-layer projector, LLM.

An image alone in its prompt becomes an overview and a grid of tiles. The tiles are laid out as one view,
padding is taken off again, a view of more tokens than `vision_aspect_ratio` allows is shrunk, and a newline
ends each of its rows. Of several images in one prompt the processor may make one square view each, with one
newline. Every frame of a clip is shrunk to half its side, and one newline ends the clip.

Shrinking is bilinear and comes AFTER the projector: a placeholder carries a MIX of up to four projected
tokens of the encoder. Selection chooses among placeholders, so the feature of one is the same mix of the same
tokens before the projector. What is kept is computed as the model computes it: what it is made of is
projected, then mixed. Mixing first would be cheaper, but the projector is not linear.

Frames, as selection sees them: an image's overview and its view (of different sizes, see
`VisionTokens.valid`), or the frames of a clip. No newline parts the overview from the view's first row, so
that row's newline stays where either has a token left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers.models.llava_onevision.modeling_llava_onevision import image_size_to_num_patches

from ...tokens import VisionTokens
from ..errors import ModelError
from ..geometry.bilinear import Mix, joined_mix, probe_input, weights_from_probe
from ..geometry.grid import grid_geometry
from ..geometry.packing import Pack, read_packing
from ..geometry.tiled_view import canvas_of, check_size, overview_geometry, tiled_geometry
from ..outputs import EncodedItem
from .llava import LlavaAdapter


@dataclass(frozen=True)
class Source:
    """What stands behind the slots of one image or clip. No model: looks outlive it and change processes.

    Attributes:
        tokens: [tiles, n, C], all that the encoder gave.
        mix: of which of them each token is made, [T * N].
        shape: (height, width) of an image as the processor read it; None for a clip.
    """

    tokens: Tensor
    mix: Mix
    shape: tuple[int, int] | None = None


class LlavaOnevisionAdapter(LlavaAdapter):
    """LLaVA-OneVision. A token is a slot of the prompt, its feature a mix of the encoder's tokens."""

    kinds: tuple[str, ...] = ("image", "video")
    media_inputs: tuple[str, ...] = (
        "pixel_values",
        "image_sizes",
        "batch_num_images",
        "pixel_values_videos",
        "image_sizes_videos",
    )

    @torch.no_grad()
    def look(
        self,
        inputs: Mapping[str, Any],
        sizes: Sequence[tuple[int, int]] | None = None,
        processor: object | None = None,
    ) -> list[EncodedItem]:
        stills, clips = inputs.get("pixel_values"), inputs.get("pixel_values_videos")
        shapes = [] if stills is None else _shapes(inputs)
        n_stills, n_clips = len(shapes), 0 if clips is None else len(clips)
        if sizes is not None and len(sizes) != n_stills + n_clips:
            raise ModelError(
                f"{len(sizes)} sizes were given for {n_stills} images and {n_clips} clips: give each its own"
            )
        places = sizes or [None] * (n_stills + n_clips)
        seen = [] if stills is None else self._images(inputs, shapes, places[:n_stills], processor)
        return seen + ([] if clips is None else self._clips(clips, places[n_stills:], processor))

    def _embed_one(self, seen: EncodedItem, kept: Tensor) -> Tensor:
        slots, mix = seen.placeholder_tokens[seen.surviving(kept)], seen.source.mix.rows(kept)
        used, places = mix.index.unique(return_inverse=True)
        tokens = seen.source.tokens.flatten(0, 1)
        projected = self.project(tokens[used.to(tokens.device)][None])[0]
        out = self._newline(projected).repeat(len(slots), 1)
        out[(slots >= 0).to(out.device)] = replace(mix, index=places).of(projected)
        return out

    def project_all(self, seen: EncodedItem) -> Tensor:
        projected = self.project(seen.source.tokens).flatten(0, 1)
        return seen.source.mix.of(projected).unflatten(0, seen.vision.shape)

    def n_projected(self, seen: EncodedItem, kept: Tensor) -> int:
        if len(kept) == seen.vision.n_tokens:
            return seen.source.tokens.shape[:2].numel()
        return len(seen.source.mix.rows(kept).index.unique())

    def embed_kept(self, seen: Sequence[EncodedItem], kept: Sequence[Tensor]) -> list[Tensor]:
        # Nothing pruned: the model's own packing of all tokens, projected in the very shape that it would
        # use itself, is equal to the last bit.
        if any(len(k) < one.vision.n_tokens for one, k in zip(seen, kept, strict=True)):
            return [self._embed_one(one, k) for one, k in zip(seen, kept, strict=True)]
        out: list[Tensor] = []
        for kind in self.kinds:  # `look` gives the images first, then the clips
            mine = [one.source for one in seen if one.kind == kind]
            if mine:
                projected = self.project(torch.cat([source.tokens for source in mine]))
                parts = projected.split([len(source.tokens) for source in mine])
                out += map(self._all_packed, mine, parts)
        return out

    @property
    def value_path(self) -> None:
        return None  # a slot is a mix of tokens, and no mix went through the encoder's last block

    @property
    def class_token(self) -> bool:
        return False  # SigLIP has none, and of a mix of tokens nobody says how to mix their shares

    def _images(
        self,
        inputs: Mapping[str, Any],
        shapes: list[tuple[int, int]],
        sizes: Sequence[tuple[int, int] | None],
        processor: object | None,
    ) -> list[EncodedItem]:
        together = inputs.get("batch_num_images")
        together = [1] * len(shapes) if together is None else torch.as_tensor(together).tolist()
        alone = [n == 1 for n in together for _ in range(n)]
        if len(alone) != len(shapes):
            raise ModelError(
                f"batch_num_images speaks of {len(alone)} images and image_sizes of {len(shapes)}: pass both "
                "as the processor returned them"
            )
        pinpoints, side = self.model.config.image_grid_pinpoints, self.model.config.vision_config.image_size
        counts = [
            image_size_to_num_patches(shape, pinpoints, side) if tiled else 1
            for shape, tiled in zip(shapes, alone, strict=True)
        ]
        pixels = inputs["pixel_values"]
        if pixels.dim() == 5 and len(pixels) == len(counts):
            pixels = torch.cat([tiles[:count] for tiles, count in zip(pixels, counts, strict=True)])
        if len(pixels) != sum(counts) or pixels.dim() != 4:
            raise ModelError(
                f"pixel_values have shape {tuple(inputs['pixel_values'].shape)}, but images of these sizes "
                f"are cut into {counts} tiles: use the processor that belongs to the model"
            )
        parts = zip(self._encode(pixels)[0].split(counts), shapes, alone, sizes, strict=True)
        return [self._image(*part, processor) for part in parts]

    def _image(
        self,
        tokens: Tensor,
        shape: tuple[int, int],
        tiled: bool,
        size: tuple[int, int] | None,
        processor: object | None,
    ) -> EncodedItem:
        """One image from its tiles [tiles, n, C]; shape is (height, width) as the processor read it."""
        config = self.model.config
        tiles, n = tokens.shape[:2]
        side, patch = config.vision_config.image_size, config.vision_config.patch_size
        pack = self._packing(shape, config.vision_aspect_ratio)
        # As many views' worth of tokens as there are tiles need no shrinking.
        packed = read_packing(pack, self._packing(shape, f"anyres_max_{tiles}"), tiles, n)
        check_size(size, shape)
        if tiled:
            geometry = [overview_geometry(shape, side, patch)]
        else:
            geometry = [grid_geometry(size, processor, (side, side), patch)]
        if packed.cells is not None:
            canvas = canvas_of(shape, config.image_grid_pinpoints, processor)
            geometry.append(tiled_geometry(shape, canvas, packed.grid, packed.cells, side, patch))
        features = packed.mix.of(tokens.flatten(0, 1)).unflatten(0, (len(geometry), -1))
        present = packed.mix.weight.any(-1).view(features.shape[:2])
        vision = VisionTokens(features, tuple(geometry), None if present.all() else present)
        return EncodedItem(vision, packed.slots, "image", Source(tokens, packed.mix, shape), tiles)

    def _clips(
        self, pixels: Tensor, sizes: Sequence[tuple[int, int] | None], processor: object | None
    ) -> list[EncodedItem]:
        if not isinstance(pixels, Tensor) or pixels.dim() != 5:
            raise ModelError(
                "pixel_values_videos must be one tensor [clips, T, 3, H, W], so clips that are asked about "
                "together need equally many frames"
            )
        vision, base = self.model.config.vision_config, self._base
        frames, grid = pixels.shape[1], vision.image_size // vision.patch_size
        shrunk = base.apply_pooling(probe_input(grid, grid).flatten(0, 1)[None])[0]
        edge = round(len(shrunk) ** 0.5)
        one = weights_from_probe(shrunk.view(edge, edge, -1), torch.arange(grid**2).view(grid, grid))
        mix = joined_mix([replace(one, index=one.index + t * grid**2) for t in range(frames)])
        slots = torch.cat([torch.arange(len(mix.index)), torch.tensor([-1])])

        settings = getattr(processor, "video_processor", processor)
        seen = []
        for tokens, size in zip(self._encode(pixels.flatten(0, 1))[0].split(frames), sizes, strict=True):
            place = grid_geometry(size, settings, (vision.image_size,) * 2, vision.patch_size)
            place = replace(place, rows=edge, cols=edge)
            features = mix.of(tokens.flatten(0, 1)).view(frames, edge**2, -1)
            vision_tokens = VisionTokens(features, (place,) * frames)
            seen.append(EncodedItem(vision_tokens, slots, "video", Source(tokens, mix)))
        return seen

    def _all_packed(self, source: Source, projected: Tensor) -> Tensor:
        """Pack all projected tokens [tiles, n, D] of one image or clip by the model's own code: [S, D]."""
        newline = self._newline(projected)
        if source.shape is None:
            return torch.cat([self._base.apply_pooling(projected).flatten(0, 1), newline[None]])
        return self._packing(source.shape, self.model.config.vision_aspect_ratio)(projected, newline)

    def _packing(self, shape: tuple[int, int], aspect: str) -> Pack:
        """Pack one image of this (height, width) by the model's own code."""
        return lambda tokens, newline: self._base.pack_image_features(
            (tokens,), [shape], image_newline=newline, vision_aspect_ratio=aspect
        )[0][0]

    def _newline(self, like: Tensor) -> Tensor:
        return self._base.image_newline.to(like.device, like.dtype)


def _shapes(inputs: Mapping[str, Any]) -> list[tuple[int, int]]:
    """(height, width) of every image, as the processor read it."""
    if inputs.get("image_sizes") is None:
        raise ModelError("pixel_values came without image_sizes: pass all that the processor returned")
    return [tuple(shape) for shape in torch.as_tensor(inputs["image_sizes"]).tolist()]
