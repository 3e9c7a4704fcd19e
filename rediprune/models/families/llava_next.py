"""LLaVA-NeXT (LlavaNextForConditionalGeneration): LLaVA on an overview of the image and on tiles of it.

Token geometry before the projector: every tile (tile 0 is the overview) is a square view of its own, whose
patches are LLaVA's tokens. In the prompt come the overview's tokens, then the tiles' rows, each row running
through all tiles beside each other and ending in the model's `image_newline`. Tokens of the padding around
the image are taken off again and never reach the LLM: they are not `present`.

No newline parts the overview from the first row, so that row's newline stays where either has a token left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches

from ...tokens import VisionTokens
from ..errors import ModelError
from ..geometry.tiles import tile_geometry
from ..outputs import EncodedItem
from .llava import LlavaAdapter


class LlavaNextAdapter(LlavaAdapter):
    """LLaVA-NeXT family, still images. T is the number of tiles, different from image to image.

    The text tower is named by the vision tower's shape. NeXT's recipe trained that tower on, so whether its
    tokens still point where CLIP's text does is to be measured with the real weights.
    """

    media_inputs: tuple[str, ...] = ("pixel_values", "image_sizes")

    @torch.no_grad()
    def look(
        self,
        inputs: Mapping[str, Any],
        sizes: Sequence[tuple[int, int]] | None = None,
        processor: object | None = None,
    ) -> list[EncodedItem]:
        pixels, image_sizes = inputs["pixel_values"], inputs.get("image_sizes")
        if image_sizes is None or len(image_sizes) != len(pixels) or pixels.dim() != 5:
            raise ModelError(
                f"pixel_values {tuple(pixels.shape)} need image_sizes, one (height, width) for each image of "
                "[images, tiles, 3, height, width]: pass everything that the processor returned"
            )
        if sizes is not None and len(sizes) != len(pixels):
            raise ModelError(f"{len(sizes)} image sizes were given for {len(pixels)} images")
        processed = [(int(h), int(w)) for h, w in image_sizes]
        counts = [self._count(size) for size in processed]
        if max(counts) > pixels.shape[1]:
            raise ModelError(
                f"pixel_values hold {pixels.shape[1]} tiles for an image, but image_sizes ask for "
                f"{max(counts)}: pass both from one processor call"
            )
        vision = self.model.config.vision_config
        geometry = [
            tile_geometry(size, processor, (vision.image_size,) * 2, vision.patch_size, count)
            for size, count in zip(sizes or [None] * len(counts), counts, strict=True)
        ]
        for size, (height, width) in zip(sizes or (), processed, strict=False):
            if tuple(size) != (width, height):
                raise ModelError(
                    f"an image of {size[0]} x {size[1]} pixels was named, but the processor was given one of "
                    f"{width} x {height}: pass the sizes of the images that it saw"
                )
        # What fills short images up to the longest of the batch is not read.
        features, attention = self._encode(
            torch.cat([one[:n] for one, n in zip(pixels, counts, strict=True)])
        )
        looks = [None] * len(counts) if attention is None else attention.split(counts)
        parts = zip(features.split(counts), looks, geometry, processed, strict=True)
        return [self._seen(*one) for one in parts]

    def _count(self, image_size: tuple[int, int]) -> int:
        """Tiles of an image of (height, width), the overview included."""
        config = self.model.config
        return image_size_to_num_patches(
            image_size, config.image_grid_pinpoints, config.vision_config.image_size
        )

    def _seen(
        self, features: Tensor, attention: Tensor | None, geometry: tuple, image_size: tuple[int, int]
    ) -> EncodedItem:
        t, n = features.shape[:2]
        # The model's own packing, of indices instead of features: what it puts where, and what it leaves out.
        index = torch.arange(t * n, device="cpu").view(t, n, 1)
        slots = self._base.pack_image_features(
            (index,),
            [image_size],
            vision_feature_select_strategy=self.model.config.vision_feature_select_strategy,
            image_newline=index.new_full((1,), -1),
        )[0][0][:, 0]
        present = torch.zeros(t * n, dtype=torch.bool)
        present[slots[slots >= 0]] = True
        present = present.view(t, n)
        if not present.any(-1).all():
            # Of an image thinner than a token, tiles have nothing left: they are no tiles to choose from.
            tiles = present.any(-1).nonzero()[:, 0]
            number = torch.searchsorted(tiles, slots // n)
            slots = torch.where(slots < 0, slots, number * n + slots % n)
            features, present = features[tiles.to(features.device)], present[tiles]
            attention = None if attention is None else attention[tiles.to(attention.device)]
            geometry = tuple(geometry[tile] for tile in tiles)
        return EncodedItem(
            VisionTokens(features, geometry, None if present.all() else present, attention), slots
        )

    def _embed_one(self, seen: EncodedItem, kept: Tensor) -> Tensor:
        return self._with_newlines(
            self.project(seen.kept_features(kept)[None])[0], seen.placeholder_tokens[seen.surviving(kept)]
        )

    def embed_kept(self, seen: Sequence[EncodedItem], kept: Sequence[Tensor]) -> list[Tensor]:
        if any(len(k) < one.vision.n_tokens for one, k in zip(seen, kept, strict=True)):
            return [self._embed_one(one, k) for one, k in zip(seen, kept, strict=True)]
        # Nothing pruned: all tiles of all images in one call, padding included. The matrix product is that of
        # the unpruned model, so the result is equal to the last bit.
        found: dict[int, Tensor] = {}
        for kind in {one.kind for one in seen}:
            mine = [i for i, one in enumerate(seen) if one.kind == kind]
            tiles = [seen[i].vision.features for i in mine]
            for i, part in zip(
                mine, self.project(torch.cat(tiles)).split(list(map(len, tiles))), strict=True
            ):
                slots = seen[i].placeholder_tokens
                found[i] = self._with_newlines(part.flatten(0, 1)[slots[slots >= 0].to(part.device)], slots)
        return [found[i] for i in range(len(seen))]

    def _with_newlines(self, tokens: Tensor, slots: Tensor) -> Tensor:
        """[K, D] in the order of their placeholders, and the newline wherever a slot is -1: [S', D]."""
        newline = self._base.image_newline.to(tokens.device, tokens.dtype)
        out = newline.repeat(len(slots), 1)
        out[(slots >= 0).to(out.device)] = tokens
        return out
