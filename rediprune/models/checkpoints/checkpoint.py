"""Define what is known of one public checkpoint, and build its architecture at its true shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# What these modules hold stays in 16 bits under quantisation: encoders and projectors, because relevance is
# measured on their tokens, and the output layer. Names as transformers' quantisers match them, from the start
# of a module's full name. Embeddings and norms are no Linear layers and stay anyway.
_ENCODERS = (
    "model.vision_tower",
    "model.image_tower",
    "model.video_tower",
    "model.vision_model",
    "model.high_res_vision_model",
    "model.vision_encoder",
    "model.visual",
    "model.audio_tower",
    "vision_model",
)
_PROJECTORS = (
    "model.multi_modal_projector",
    "model.connector",
    "model.aligner",
    "model.embed_vision",
    "model.embed_audio",
    "model.merger",
    "model.mm_projector",
    "model.projector",
    "model.resampler_model",
    "model.vision_adapter",
    "model.vision_projection",
    "multi_modal_projector",
)
_IMAGE_GENERATORS = ("model.generation_aligner", "model.generation_head")  # Janus; not used for answers
IN_16_BITS = ("lm_head", *_ENCODERS, *_PROJECTORS, *_IMAGE_GENERATORS)

_STILL_ONLY = ("llava", "vipllava", "llava_next", "idefics3")


@dataclass(frozen=True)
class QuickSettings:
    """Hold what makes a checkpoint quick on a CPU, at the price of fine detail in the picture.

    Attributes:
        description: the settings in words, for a person.
        processor: attributes of the image processor, by name.
        config: fields of the model's config, by name, where the model itself reads what the processor does.
        dtype: number format to compute in where this machine multiplies quickly in it (see `speed`).
    """

    description: str
    processor: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "bfloat16"


@dataclass(frozen=True)
class Photograph:
    """Hold what a photograph of 640 x 480 becomes with a checkpoint's quick settings.

    Attributes:
        views: images that the encoder is given.
        positions: positions inside the encoder for each view, a class token included.
        tokens: visual tokens of the whole photograph in the prompt.
    """

    views: int
    positions: int
    tokens: int


@dataclass(frozen=True)
class Checkpoint:
    """Hold what is known of one public checkpoint.

    Attributes:
        name: on the Hugging Face hub.
        family: its config's model_type.
        title: for a menu.
        parameters: how many, the shared ones of tied embeddings counted once.
        quantised: how many of them become 8 or 4 bits in quantised form: the LLM's Linear layers.
        config: what its config says beyond the defaults of its class; `text_config` is always spelled out.
        verified: its dimensions were held against a quotation of this checkpoint; see the head of `catalog`.
        licence: name of the licence of the weights; "" where it was not looked up.
        good_at: one sentence on what it is for, for a menu; "" where it is not offered for photographs.
        settings: what makes it quick on a CPU; None where nothing is known to.
        photograph: what a photograph becomes with these settings; None where it was not worked out.
        weight_file_bytes: size of the stored weight files; 0 where it was not quoted anywhere.
    """

    name: str
    family: str
    title: str
    parameters: int
    quantised: int
    config: Mapping[str, Any] = field(repr=False)
    verified: bool = False
    licence: str = ""
    good_at: str = ""
    settings: QuickSettings | None = None
    photograph: Photograph | None = None
    weight_file_bytes: int = 0

    @property
    def download_bytes(self) -> int:
        """Return the bytes of the stored weights; without a quotation, two for each parameter."""
        return self.weight_file_bytes or 2 * self.parameters

    @property
    def takes(self) -> str:
        """Return what may be shown to it: "image", or "image and video"."""
        return "image" if self.family in _STILL_ONLY else "image and video"

    @property
    def kv_bytes_per_token(self) -> int:
        """Return the bytes of one token's keys and values in all layers that hold some, at 2 bytes a number.

        Layers with a recurrent state instead hold nothing that grows with the prompt.
        """
        text = self.config["text_config"]
        head = text.get("head_dim", text["hidden_size"] // text["num_attention_heads"])
        kinds = text.get("layer_types", ["full_attention"] * text["num_hidden_layers"])
        return 2 * 2 * kinds.count("full_attention") * text["num_key_value_heads"] * head

    def on_meta(self) -> PreTrainedModel:
        """Build the architecture at its true shapes on torch's meta device, which takes no memory."""
        import torch

        with torch.device("meta"):
            return self._built()

    def at_random(
        self, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
    ) -> PreTrainedModel:
        """Build the architecture on a device with arbitrary weights: times do not depend on their values."""
        import torch
        from transformers.initialization import no_init_weights

        with torch.device(device), no_init_weights():  # the real initialisation takes minutes on a CPU
            model = self._built(dtype=dtype)
        model.tie_weights()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if weight.dim() > 1:
                    bound = weight[0].numel() ** -0.5
                    weight.uniform_(-bound, bound)
                else:
                    weight.fill_(not name.endswith("bias"))
        return model.eval()

    def _built(self, **how) -> PreTrainedModel:
        from transformers import CONFIG_MAPPING, AutoModelForImageTextToText

        return AutoModelForImageTextToText.from_config(CONFIG_MAPPING[self.family](**self.config), **how)
