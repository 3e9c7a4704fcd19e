"""VipLLaVA (VipLlavaForConditionalGeneration): LLaVA-1.5 whose projector reads several layers at once.

Token geometry before the projector: LLaVA's, one token per patch in raster order, the class token always off.
A token is the hidden states of all layers of `vision_feature_layer` side by side, so C is five times the
encoder's width in the public models. The LayerNorm over that width is the projector's own first step.
"""

from __future__ import annotations

from .llava import LlavaAdapter


class VipLlavaAdapter(LlavaAdapter):
    """VipLLaVA family, still images.

    Its tokens stand in no text tower's space, because they are of several layers (see `text_tower_name`).
    """

    vision_types = frozenset({"clip_vision_model"})  # the model cuts the first token, whatever the encoder

    @property
    def _strategy(self) -> str:
        return "default"
