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

import numpy as np
import torch
from torch import Tensor
from transformers.image_processing_utils import get_patch_output_size, select_best_resolution
from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches

from ..trace import Geometry, VisionTokens
from .base import ModelError
from .geometry import affine
from .llava import LlavaAdapter
from .records import Seen


class LlavaNextAdapter(LlavaAdapter):
    """LLaVA-NeXT family, still images. T is the number of tiles, different from image to image.

    The text tower is named by the vision tower's shape. NeXT's recipe trained that tower on, so whether its
    tokens still point where CLIP's text does is to be measured with the real weights.
    """

    media_inputs = ("pixel_values", "image_sizes")

    @torch.no_grad()
    def look(
        self,
        inputs: Mapping[str, Any],
        sizes: Sequence[tuple[int, int]] | None = None,
        processor: object | None = None,
    ) -> list[Seen]:
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
        features = self._encode(torch.cat([one[:n] for one, n in zip(pixels, counts, strict=True)]))
        return [self._seen(*one) for one in zip(features.split(counts), geometry, processed, strict=True)]

    def _count(self, image_size: tuple[int, int]) -> int:
        """Tiles of an image of (height, width), the overview included."""
        config = self.model.config
        return image_size_to_num_patches(
            image_size, config.image_grid_pinpoints, config.vision_config.image_size
        )

    def _seen(self, features: Tensor, geometry: tuple, image_size: tuple[int, int]) -> Seen:
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
            geometry = tuple(geometry[tile] for tile in tiles)
        return Seen(VisionTokens(features, geometry, None if present.all() else present), slots)

    def embed(self, seen: Seen, kept: Tensor) -> Tensor:
        return self._with_newlines(self.project(seen.carried(kept)[None])[0], seen.slots[seen.stays(kept)])

    def _embed_each(self, seen: Sequence[Seen], kept: Sequence[Tensor]) -> list[Tensor]:
        if any(len(k) < one.vision.n_tokens for one, k in zip(seen, kept, strict=True)):
            return super()._embed_each(seen, kept)
        # Nothing pruned: all tiles of all images in one call, padding included. The matrix product is that of
        # the unpruned model, so the result is equal to the last bit.
        found: dict[int, Tensor] = {}
        for kind in {one.kind for one in seen}:
            mine = [i for i, one in enumerate(seen) if one.kind == kind]
            tiles = [seen[i].vision.features for i in mine]
            for i, part in zip(
                mine, self.project(torch.cat(tiles)).split(list(map(len, tiles))), strict=True
            ):
                slots = seen[i].slots
                found[i] = self._with_newlines(part.flatten(0, 1)[slots[slots >= 0].to(part.device)], slots)
        return [found[i] for i in range(len(seen))]

    def _with_newlines(self, tokens: Tensor, slots: Tensor) -> Tensor:
        """[K, D] in the order of their placeholders, and the newline wherever a slot is -1: [S', D]."""
        newline = self._base.image_newline.to(tokens.device, tokens.dtype)
        out = newline.repeat(len(slots), 1)
        out[(slots >= 0).to(out.device)] = tokens
        return out


def tile_geometry(
    image_size: tuple[int, int] | None,
    processor: object | None,
    pixel_size: tuple[int, int],
    patch: int,
    tiles: int,
) -> tuple[Geometry, ...]:
    """Where the tokens of the overview and of every tile, in raster order, lie in the original image.

    The processor fits the image into the best of its `image_grid_pinpoints`, its shape kept, pads it evenly
    on both sides and cuts tiles of one crop each. The overview is the whole image squeezed into one square.

    Args:
        image_size: (width, height) of the original in pixels; None means that nothing is known about it, and
            the geometry is then that of the preprocessed pixels of each tile.
        processor: the transformers processor (or image processor) that preprocessed it.
        pixel_size: (width, height) of one preprocessed tile, as the encoder gets it.
        patch: side of a token in preprocessed pixels.
        tiles: how many there are, the overview included.

    Returns:
        One Geometry per tile, the overview first; boxes reach beyond the image where it was padded.

    Raises:
        ModelError: the processor does not turn an image of this size into so many tiles of `pixel_size`.
    """
    cols, rows = pixel_size[0] // patch, pixel_size[1] // patch
    if image_size is None:
        whole = (0.0, 0.0, float(cols * patch), float(rows * patch))
        return (Geometry(rows, cols, whole, pixel_size),) * tiles
    if processor is None:
        raise ModelError(
            "image sizes were given without a processor: its tiles decide where a token lies, so pass the "
            "processor that made pixel_values"
        )
    settings = getattr(processor, "image_processor", processor)
    pinpoints = getattr(settings, "image_grid_pinpoints", None)
    if not pinpoints:
        raise ModelError(
            f"{type(settings).__name__} cuts no tiles: pass the processor that made pixel_values"
        )
    width, height = image_size
    best = select_best_resolution((height, width), pinpoints)
    # The helper wants an image but reads only its shape: this one takes no memory.
    blank = np.broadcast_to(np.uint8(0), (3, height, width))
    fitted = get_patch_output_size(blank, best, "channels_first")
    view, side = _sizes(settings)

    def geometry(seen: tuple[int, int], scale: Sequence[float], shift: Sequence[float]) -> Geometry:
        """Of a view `seen` (width, height) that is x * scale + shift of the original."""
        then, there, size = affine(seen, settings)
        if size != tuple(pixel_size):
            raise ModelError(
                f"the processor makes tiles of {size[0]} x {size[1]} pixels, but pixel_values are "
                f"{pixel_size[0]} x {pixel_size[1]}: pass the one that made them"
            )
        grid = (0, 0, cols * patch, rows * patch)
        box = tuple(
            ((edge - there[i % 2]) / then[i % 2] - shift[i % 2]) / scale[i % 2] for i, edge in enumerate(grid)
        )
        return Geometry(rows, cols, box, tuple(image_size))

    found = [geometry(view, [a / b for a, b in zip(view, image_size, strict=True)], (0, 0))]
    scale = (fitted[1] / width, fitted[0] / height)
    left, top = (best[1] - fitted[1]) // 2, (best[0] - fitted[0]) // 2
    for y in range(0, best[0], side):
        for x in range(0, best[1], side):
            found.append(geometry((side, side), scale, (left - x, top - y)))
    if len(found) != tiles:
        raise ModelError(
            f"the processor cuts a {width} x {height} image into {len(found)} tiles, but the model expects "
            f"{tiles}: pass the one that made pixel_values"
        )
    return tuple(found)


def _sizes(settings: object) -> tuple[tuple[int, int], int]:
    """(width, height) of the overview and side of a tile, before the settings' own resize and crop."""
    size, crop = dict(settings.size), dict(settings.crop_size or {})
    edge = size.get("shortest_edge")
    view = (size.get("width") or edge, size.get("height") or edge)
    return view, crop.get("height") or view[1]
