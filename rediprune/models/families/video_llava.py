"""Video-LLaVA (VideoLlavaForConditionalGeneration): an encoder for images, one for frames, one projector.

Token geometry before the projector: one token per patch in raster order, as in LLaVA-1.5. Images lose their
class token; every frame of a clip KEEPS its own, which reaches the LLM in front of the frame's patches. It
stands for all that the encoder saw of the frame and for no place in it, so here it is token rows * cols,
behind the grid (`Geometry.n_global`), and `slots` says that it comes first in the prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...tokens import VisionTokens
from ..errors import ModelError
from ..geometry.grid import grid_geometry
from ..outputs import EncodedItem
from .llava import LlavaAdapter


class VideoLlavaAdapter(LlavaAdapter):
    """Video-LLaVA family, images and clips, both in one prompt too.

    The processor of transformers up to 5.23 calls the pixels of images `pixel_values_images`.
    """

    kinds = ("image", "video")
    media_inputs = ("pixel_values", "pixel_values_images", "pixel_values_videos")
    vision_types = frozenset({"clip_vision_model"})

    @torch.no_grad()
    def look(
        self,
        inputs: Mapping[str, Any],
        sizes: Sequence[tuple[int, int]] | None = None,
        processor: object | None = None,
    ) -> list[EncodedItem]:
        images, clips = inputs.get("pixel_values"), inputs.get("pixel_values_videos")
        if images is None:
            images = inputs.get("pixel_values_images")
        if clips is not None and clips.dim() != 5:
            raise ModelError(
                f"pixel_values_videos have shape {tuple(clips.shape)}: a clip of T frames is [T, 3, height, "
                "width], and several of them [clips, T, 3, height, width]"
            )
        n_images, n_clips = (0 if pixels is None else len(pixels) for pixels in (images, clips))
        if sizes is not None and len(sizes) != n_images + n_clips:
            raise ModelError(f"{len(sizes)} sizes were given for {n_images} images and {n_clips} clips")
        sizes, seen = sizes or [None] * (n_images + n_clips), []
        if n_images:
            states, attention = self._read(self._base.image_tower, images)
            whole = self._strategy == "full"
            read = states[:, None], attention[:, None] if self.class_token else None
            seen += self._seen("image", *read, whole, sizes[:n_images], processor)
        if n_clips:
            states, attention = self._read(self._base.video_tower, clips.flatten(0, 1))
            shape = clips.shape[:2]
            read = states.unflatten(0, shape), attention.unflatten(0, shape) if self.class_token else None
            seen += self._seen("video", *read, True, sizes[n_images:], processor)
        return seen

    def _seen(
        self,
        kind: str,
        states: Tensor,
        attention: Tensor | None,
        whole: bool,
        sizes: Sequence[tuple[int, int] | None],
        processor: object | None,
    ) -> list[EncodedItem]:
        """Return one EncodedItem for each image or clip.

        `states` is [images or clips, T, 1 + patches, C], the class token first in each frame. `attention` is
        that of the class token, [images or clips, T, 1 + patches], itself included.
        """
        vision, settings = self.model.config.vision_config, getattr(processor, f"{kind}_processor", processor)
        side, (_, t, n, _) = vision.image_size, states.shape
        frame = torch.arange(n).roll(1) if whole else torch.arange(n - 1)

        def behind(x: Tensor) -> Tensor:
            """Move the class token to the end, or leave it out."""
            return torch.cat([x[:, :, 1:], x[:, :, :1]], dim=2) if whole else x[:, :, 1:]

        features, looks = behind(states), [None] * len(states) if attention is None else behind(attention)
        slots = (torch.arange(t)[:, None] * len(frame) + frame).flatten()
        found = []
        for one, look, size in zip(features, looks, sizes, strict=True):
            place = grid_geometry(size, settings, (side, side), vision.patch_size)
            place = replace(place, n_global=int(whole))
            found.append(EncodedItem(VisionTokens(one, (place,) * t, attention=look), slots, kind))
        return found

    @property
    def value_path(self) -> Callable[[Tensor], Tensor] | None:
        return None  # a token does not say which of the two encoders it came from

    text_tower_name = None
    why_no_text_tower = "its encoders are LanguageBind's: CLIP's shape, but not OpenAI's text space"
