"""LLaVA-NeXT-Video (LlavaNextVideoForConditionalGeneration): images as LLaVA-NeXT, clips pooled.

Token geometry before the projector, of a clip: every frame is one square view, resized and cropped, whose
patches `vision_resampler` pools 2 x 2 (config.spatial_pool_stride). One pooled token is what the projector
receives, and so what is chosen from: 144 per frame where the patches are 24 x 24. Frames follow each other
without separators.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...tokens import VisionTokens
from ..errors import ModelError
from ..geometry.grid import grid_geometry
from ..outputs import EncodedItem
from .llava_next import LlavaNextAdapter


class LlavaNextVideoAdapter(LlavaNextAdapter):
    """LLaVA-NeXT-Video: still images and clips, in one prompt too. Of a clip T is the number of frames."""

    kinds = ("image", "video")
    media_inputs = ("pixel_values", "image_sizes", "pixel_values_videos")

    @torch.no_grad()
    def look(
        self,
        inputs: Mapping[str, Any],
        sizes: Sequence[tuple[int, int]] | None = None,
        processor: object | None = None,
    ) -> list[EncodedItem]:
        seen, images, clips = [], inputs.get("pixel_values"), inputs.get("pixel_values_videos")
        n_images, n_clips = (0 if pixels is None else len(pixels) for pixels in (images, clips))
        if sizes is not None and len(sizes) != n_images + n_clips:
            raise ModelError(f"{len(sizes)} sizes were given for {n_images} images and {n_clips} clips")
        if n_images:
            seen += super().look(inputs, sizes and sizes[:n_images], processor)
        if n_clips:
            seen += self._clips(clips, sizes and sizes[n_images:], processor)
        return seen

    def _clips(
        self, pixels: Tensor, sizes: Sequence[tuple[int, int]] | None, processor: object | None
    ) -> list[EncodedItem]:
        if pixels.dim() != 5:
            raise ModelError(
                f"pixel_values_videos have shape {tuple(pixels.shape)}: this model takes [clips, frames, 3, "
                "height, width], so show clips of equally many frames"
            )
        config, frames = self.model.config, pixels.shape[1]
        side, token = (
            config.vision_config.image_size,
            config.vision_config.patch_size * config.spatial_pool_stride,
        )
        settings = getattr(processor, "video_processor", processor)
        geometry = [
            grid_geometry(size, settings, (side, side), token) for size in (sizes or [None] * len(pixels))
        ]
        features, attention = self._encode(pixels.flatten(0, 1))
        features = self._base.vision_resampler(features)
        looks = [None] * len(pixels) if attention is None else self._pooled(attention).split(frames)
        slots = torch.arange(frames * features.shape[1])
        return [
            EncodedItem(VisionTokens(f, (place,) * frames, attention=look), slots, "video")
            for f, look, place in zip(features.split(frames), looks, geometry, strict=True)
        ]

    def _pooled(self, attention: Tensor) -> Tensor:
        """Of patches, raster order, to that of pooled tokens: the mean of each one's patches."""
        side = math.isqrt(attention.shape[1])
        square = attention.reshape(-1, 1, side, side)
        return F.avg_pool2d(square, self.model.config.spatial_pool_stride).flatten(1)

    @property
    def class_token(self) -> bool:
        return super().class_token and self._pools_averages

    @property
    def value_path(self) -> Callable[[Tensor], Tensor] | None:
        """As LLaVA's, for pooled tokens too where they are averages; None for any other pooling.

        Of that path only the layer norm is not linear, and only in its division: the value of an average is a
        weighted average of its patches' values (weight: a patch's deviation over the average's), shifted by
        the biases. A maximum or a convolution of hidden states is no hidden state that the block ever saw.
        """
        return super().value_path if self._pools_averages else None

    @property
    def text_tower_name(self) -> str | None:
        return super().text_tower_name if self._pools_averages else None

    @property
    def why_no_text_tower(self) -> str:
        if self._pools_averages:
            return super().why_no_text_tower
        return "its tokens are pooled in a way that no text tower was trained with"

    @property
    def _pools_averages(self) -> bool:
        return self.model.config.spatial_pool_mode == "average"
