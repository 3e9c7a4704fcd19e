"""LLaVA-1.5 and every model of its class (LlavaForConditionalGeneration): CLIP ViT, two-layer projector, LLM.

Token geometry before the projector: the hidden state of `vision_feature_layer` (the next to last), the class
token dropped, is one token per patch in raster order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...costs.estimate import ModelShapes
from ...tokens import VisionTokens
from ..adapter import Adapter
from ..class_attention import class_attention, frame_attention
from ..errors import ModelError
from ..geometry.grid import grid_geometry
from ..outputs import EncodedItem
from ..vision_encoder import hidden_states

# OpenAI's CLIP vision towers by (image size, patch size, width, layers), under open_clip's names. The plain
# names (without -quickgelu) load the same weights but compute with an activation they were not trained with.
_OPENAI_TOWERS = {
    (224, 32, 768, 12): "ViT-B-32-quickgelu/openai",
    (224, 16, 768, 12): "ViT-B-16-quickgelu/openai",
    (224, 14, 1024, 24): "ViT-L-14-quickgelu/openai",
    (336, 14, 1024, 24): "ViT-L-14-336-quickgelu/openai",
}
# Of SigLIP, by (image_size, patch_size, hidden_size), and how many layers it was trained with. Checkpoints
# leave out a last layer that nobody reads.
_SIGLIP_TOWERS = {
    (384, 14, 1152): ("ViT-SO400M-14-SigLIP-384/webli", 27),
}


class LlavaAdapter(Adapter):
    """LLaVA-1.5 family, still images. Every image has the same number of tokens, N = rows * cols."""

    @classmethod
    def serves(cls, config: Any) -> bool:
        """Whether tokens and patches match: a class token is taken off where there is one, and only there.

        Any other LLaVA is served by its line (models/generic), without what needs the grid of patches.
        """
        known = super().serves(config)
        if config.model_type not in ("llava", "llava_onevision"):
            return known
        has_class_token = config.vision_config.model_type == "clip_vision_model"
        strategy = getattr(config, "vision_feature_select_strategy", "full")
        return known and (strategy == "default") is has_class_token

    @torch.no_grad()
    def look(
        self,
        inputs: Mapping[str, Any],
        sizes: Sequence[tuple[int, int]] | None = None,
        processor: object | None = None,
    ) -> list[EncodedItem]:
        pixel_values, vision = inputs["pixel_values"], self.model.config.vision_config
        if sizes is not None and len(sizes) != len(pixel_values):
            raise ModelError(f"{len(sizes)} image sizes were given for {len(pixel_values)} images")
        side = vision.image_size
        geometry = [
            grid_geometry(size, processor, (side, side), vision.patch_size)
            for size in (sizes or [None] * len(pixel_values))
        ]
        features, attention = self._encode(pixel_values)
        slots = torch.arange(features.shape[1])
        return [
            EncodedItem(VisionTokens(f[None], (place,), attention=frame_attention(attention, i)), slots)
            for i, (f, place) in enumerate(zip(features, geometry, strict=True))
        ]

    def _encode(self, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Encode square views [T, 3, H, W] as hidden states [T, N, C] and attention [T, N] float32.

        The attention is that of the class token, itself left out; None without a class token.
        """
        vision = self.model.config.vision_config
        states, attention = self._read(self._base.vision_tower, pixels)
        features = states[:, 1:] if self._strategy == "default" else states
        n = (vision.image_size // vision.patch_size) ** 2
        if features.shape[1] != n:
            raise ModelError(
                f"vision_feature_select_strategy={self._strategy!r} leaves {features.shape[1]} tokens on a "
                f"grid of {n} patches, so tokens and patches do not match: set the strategy that belongs to "
                "this vision tower"
            )
        return features, None if attention is None else attention[:, 1:]

    def _read(self, tower: torch.nn.Module, pixels: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the hidden states that the projector is made for, [T, S, C], a class token first.

        And that token's attention to all of them and itself, [T, S], where `class_token` says so.
        """
        side = self.model.config.vision_config.image_size
        if pixels.dim() != 4 or pixels.shape[-2:] != (side, side):
            raise ModelError(
                f"pixel_values have shape {tuple(pixels.shape)}: this vision encoder takes [T, 3, "
                f"{side}, {side}], so use the processor that belongs to the model"
            )
        if tower.device.type != "meta":  # an offloaded tower reports "meta" and moves its inputs by itself
            pixels = pixels.to(tower.device)
        blocks = getattr(tower, "vision_model", tower).encoder.layers
        wanted = [*self._layers, *([self._layers[0] - 1] if self.class_token else [])]
        states = hidden_states(tower, blocks, pixels, wanted)
        tokens = torch.cat(states[: len(self._layers)], dim=-1)
        if not self.class_token:
            return tokens, None
        made = range(len(blocks) + 1)[self._layers[0]]  # state 0 goes into block 0, which makes state 1
        return tokens, class_attention(blocks[made - 1], states[-1])

    def project(self, features: Tensor) -> Tensor:
        return self._base.multi_modal_projector(features)

    @property
    def value_path(self) -> Callable[[Tensor], Tensor] | None:
        blocks = self._vision.encoder.layers
        # states[0] goes into the first block, so states[n - 1] goes into the last of n: index -2.
        if [layer % (len(blocks) + 1) for layer in self._layers] != [len(blocks) - 1]:
            return None
        block = blocks[-1]
        return lambda tokens: block.self_attn.out_proj(block.self_attn.v_proj(block.layer_norm1(tokens)))

    @property
    def class_token(self) -> bool:
        """CLIP has one. Of tokens that several layers made, nobody says whose attention is meant."""
        v = self.model.config.vision_config
        one = len(self._layers) == 1 and self._layers[0] % (v.num_hidden_layers + 1) > 0
        return v.model_type == "clip_vision_model" and one

    @property
    def text_tower_name(self) -> str | None:
        return self._text_tower[0]

    @property
    def why_no_text_tower(self) -> str:
        return self._text_tower[1]

    @property
    def _text_tower(self) -> tuple[str | None, str]:
        """Return the name of the text tower and "", or None and why there is none.

        The tokens may be one layer short of the tower's space, as LLaVA's always are: the last layer changes
        them little. How well they point is measured by `check`.
        """
        v = self.model.config.vision_config
        if len(self._layers) > 1:
            return None, "its tokens join several layers of the encoder, which no text tower was trained with"
        unknown = "open_clip has no text tower that was trained with a vision encoder of this shape"
        shape = (v.image_size, v.patch_size, v.hidden_size)
        if v.model_type == "siglip_vision_model":
            name, trained = _SIGLIP_TOWERS.get(shape, (None, 0))
            if name is None:
                return None, unknown
            if self._layers[0] % (v.num_hidden_layers + 1) < trained - 1:
                return (
                    None,
                    "its tokens are not those of SigLIP's last layers, which its text tower knows",
                )
            return name, ""
        name = _OPENAI_TOWERS.get((*shape, v.num_hidden_layers)) if v.hidden_act == "quick_gelu" else None
        if v.model_type != "clip_vision_model" or name is None:
            return None, unknown
        return name, ""

    def shapes(self) -> ModelShapes:
        config = self.model.config
        v, t = config.vision_config, config.text_config
        patches = (v.image_size // v.patch_size) ** 2
        return ModelShapes(
            vision_layers=v.num_hidden_layers,
            vision_width=v.hidden_size,
            vision_mlp=v.intermediate_size,
            vision_tokens=patches
            + (v.model_type == "clip_vision_model"),  # CLIP has a class token, SigLIP none
            vision_patches=patches,
            patch_dim=v.num_channels * v.patch_size**2,
            projector_in=v.hidden_size * len(self._layers),
            projector_hidden=t.hidden_size,
            projector_out=t.hidden_size,
            **self._llm_shapes(),
        )

    @property
    def _strategy(self) -> str:
        """Whether the first token of every view is taken off ("default") or left in ("full")."""
        return self.model.config.vision_feature_select_strategy

    @property
    def _base(self) -> torch.nn.Module:
        return self.model.model

    @property
    def _vision(self) -> torch.nn.Module:
        # transformers before 5.18 keeps the CLIP transformer one level deeper.
        tower = self._base.vision_tower
        return getattr(tower, "vision_model", tower)

    @property
    def _layers(self) -> list[int]:
        layer = self.model.config.vision_feature_layer
        return [layer] if isinstance(layer, int) else list(layer)
