"""The public checkpoints of the families here: what each is called, takes, and is built like.

No checkpoint could be fetched where this was written; every number was read as text. `Checkpoint.verified`
says of each entry which of two kinds it is:

Verified, against something that quotes this very checkpoint:
  - config.json or the loaded config, quoted in full: LLaVA-1.5 7B, LLaVA-NeXT Vicuna 13B (haotian-liu/LLaVA
    #1378), Qwen2.5-VL 3B, Qwen3-VL 4B; the LLM's part of it: Qwen3-VL 2B, whose encoder is the 4B's;
  - the printed modules: Qwen2.5-VL 7B;
  - the published count of its stored weights, which the dimensions below give to the last digit: LLaVA-1.5 7B
    7,063,427,072, InternVL 1B (2.5, of the same shapes as 3) 938,193,024, Qwen3-VL 8B 8,767,123,696.

Not verified, put together from the defaults of transformers' own configuration classes (CLIP-L/14-336,
SigLIP-so400m, InternViT, ...), the well-known dimensions of the LLM that the checkpoint's name says, and what
the weight converters (convert_*_weights_to_hf.py) say they change: LLaVA-1.5 13B, both VipLLaVA, LLaVA-NeXT
Mistral 7B and Vicuna 7B, LLaVA-NeXT-Video 7B, Video-LLaVA 7B, both LLaVA-OneVision, InternVL3 2B and 8B. The
converters of the LLaVAs up to NeXT-Video and of Video-LLaVA add placeholders to Vicuna's or Mistral's 32,000
words and pad them to 32,064; LLaVA-OneVision's pads Qwen2's 151,936 and 152,064 to 152,000 and 152,128.

A wrong number here makes an estimate of memory wrong, and nothing else: opening a model reads its own config.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# What these modules hold stays in 16 bits under quantisation: encoder and projector, because relevance is
# measured on their tokens, and the output layer. Names as transformers' quantisers match them, from the start
# of a module's full name. Embeddings and norms are no Linear layers and stay anyway.
IN_16_BITS = (
    "lm_head",
    "model.vision_tower",
    "model.image_tower",
    "model.video_tower",
    "model.visual",
    "model.multi_modal_projector",
)

_STILL_ONLY = ("llava", "vipllava", "llava_next")


@dataclass(frozen=True)
class Checkpoint:
    """One public checkpoint.

    Attributes:
        name: on the Hugging Face hub.
        family: its config's model_type.
        title: for a menu.
        parameters: how many, the shared ones of tied embeddings counted once.
        quantised: how many of them become 8 or 4 bits in quantised form: the LLM's Linear layers.
        config: what its config says beyond the defaults of its class; `text_config` is always spelled out.
        verified: its dimensions were held against a quotation of this checkpoint; see the head of this file.
    """

    name: str
    family: str
    title: str
    parameters: int
    quantised: int
    config: Mapping[str, Any] = field(repr=False)
    verified: bool = False

    @property
    def takes(self) -> str:
        """What may be shown to it: "image", or "image and video"."""
        return "image" if self.family in _STILL_ONLY else "image and video"

    @property
    def kv_bytes_per_token(self) -> int:
        """Keys and values of one token in all layers, at 2 bytes a number."""
        text = self.config["text_config"]
        head = text.get("head_dim", text["hidden_size"] // text["num_attention_heads"])
        return 2 * 2 * text["num_hidden_layers"] * text["num_key_value_heads"] * head

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


def _llm(kind: str, width: int, mlp: int, layers: int, heads: int, kv_heads: int, words: int, **more) -> dict:
    return dict(
        model_type=kind,
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=words,
        **more,
    )


_VICUNA_7B = dict(text_config=_llm("llama", 4096, 11008, 32, 32, 32, 32064))
_VICUNA_13B = dict(text_config=_llm("llama", 5120, 13824, 40, 40, 40, 32064))
_MISTRAL_7B = dict(text_config=_llm("mistral", 4096, 14336, 32, 32, 8, 32064))


def _qwen2(size: str, words: int, kind: str = "qwen2", **more) -> dict:
    dims = {
        "0.5B": (896, 4864, 24, 14, 2),
        "1.5B": (1536, 8960, 28, 12, 2),
        "3B": (2048, 11008, 36, 16, 2),
        "7B": (3584, 18944, 28, 28, 4),
    }[size]
    return _llm(kind, *dims, words, **more)


def _onevision(size: str, words: int, tied: bool) -> dict:
    return dict(
        text_config=_qwen2(size, words, tie_word_embeddings=tied),
        tie_word_embeddings=tied,
    )


def _internvl(size: str) -> dict:
    return dict(
        text_config=_qwen2(size, 151674, tie_word_embeddings=False),
        vision_config=dict(attention_bias=True),
        tie_word_embeddings=False,
    )


def _qwen25_vl(size: str, words: int, tied: bool) -> dict:
    text = _qwen2(size, words, "qwen2_5_vl_text")
    vision = dict(hidden_size=1280, out_hidden_size=text["hidden_size"])
    return dict(text_config=text, vision_config=vision, tie_word_embeddings=tied)


def _qwen3_vl(width: int, mlp: int, layers: int, heads: int, big_tower: bool) -> dict:
    text = _llm("qwen3_vl_text", width, mlp, layers, heads, 8, 151936, head_dim=128)
    vision: dict[str, Any] = dict(out_hidden_size=width)
    if not big_tower:
        vision |= dict(
            depth=24, hidden_size=1024, intermediate_size=4096, deepstack_visual_indexes=[5, 11, 17]
        )
    return dict(text_config=text, vision_config=vision, tie_word_embeddings=not big_tower)


# fmt: off
CATALOG: tuple[Checkpoint, ...] = (
    Checkpoint("llava-hf/llava-1.5-7b-hf", "llava", "LLaVA-1.5 7B",
               7_063_427_072, 6_476_005_376, _VICUNA_7B, verified=True),
    Checkpoint("llava-hf/llava-1.5-13b-hf", "llava", "LLaVA-1.5 13B",
               13_351_494_656, 12_687_769_600, _VICUNA_13B),
    Checkpoint("llava-hf/vip-llava-7b-hf", "vipllava", "VipLLaVA 7B",
               7_080_214_528, 6_476_005_376, _VICUNA_7B),
    Checkpoint("llava-hf/vip-llava-13b-hf", "vipllava", "VipLLaVA 13B",
               13_372_476_416, 12_687_769_600, _VICUNA_13B),
    Checkpoint("llava-hf/llava-v1.6-mistral-7b-hf", "llava_next", "LLaVA-NeXT Mistral 7B",
               7_566_747_648, 6_979_321_856, _MISTRAL_7B),
    Checkpoint("llava-hf/llava-v1.6-vicuna-7b-hf", "llava_next", "LLaVA-NeXT Vicuna 7B",
               7_063_431_168, 6_476_005_376, _VICUNA_7B),
    Checkpoint("llava-hf/llava-v1.6-vicuna-13b-hf", "llava_next", "LLaVA-NeXT Vicuna 13B",
               13_351_499_776, 12_687_769_600, _VICUNA_13B, verified=True),
    Checkpoint("llava-hf/LLaVA-NeXT-Video-7B-hf", "llava_next_video", "LLaVA-NeXT-Video 7B",
               7_063_431_168, 6_476_005_376, _VICUNA_7B),
    Checkpoint("LanguageBind/Video-LLaVA-7B-hf", "video_llava", "Video-LLaVA 7B",
               7_366_279_168, 6_476_005_376, _VICUNA_7B),
    Checkpoint("llava-hf/llava-onevision-qwen2-0.5b-ov-hf", "llava_onevision", "LLaVA-OneVision 0.5B",
               893_675_552, 357_826_560, _onevision("0.5B", 152000, True)),
    Checkpoint("llava-hf/llava-onevision-qwen2-7b-ov-hf", "llava_onevision", "LLaVA-OneVision 7B",
               8_030_807_584, 6_525_288_448, _onevision("7B", 152128, False)),
    Checkpoint("OpenGVLab/InternVL3-1B-hf", "internvl", "InternVL3 1B",
               938_193_024, 357_826_560, _internvl("0.5B"), verified=True),
    Checkpoint("OpenGVLab/InternVL3-2B-hf", "internvl", "InternVL3 2B",
               2_088_957_440, 1_310_195_712, _internvl("1.5B")),
    Checkpoint("OpenGVLab/InternVL3-8B-hf", "internvl", "InternVL3 8B",
               7_944_373_760, 6_525_288_448, _internvl("7B")),
    Checkpoint("Qwen/Qwen2.5-VL-3B-Instruct", "qwen2_5_vl", "Qwen2.5-VL 3B",
               3_754_622_976, 2_774_532_096, _qwen25_vl("3B", 151936, True), verified=True),
    Checkpoint("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2_5_vl", "Qwen2.5-VL 7B",
               8_292_166_656, 6_525_288_448, _qwen25_vl("7B", 152064, False), verified=True),
    Checkpoint("Qwen/Qwen3-VL-2B-Instruct", "qwen3_vl", "Qwen3-VL 2B",
               2_127_532_032, 1_409_286_144, _qwen3_vl(2048, 6144, 28, 16, False), verified=True),
    Checkpoint("Qwen/Qwen3-VL-4B-Instruct", "qwen3_vl", "Qwen3-VL 4B",
               4_437_815_808, 3_633_315_840, _qwen3_vl(2560, 9728, 36, 32, False), verified=True),
    Checkpoint("Qwen/Qwen3-VL-8B-Instruct", "qwen3_vl", "Qwen3-VL 8B",
               8_767_123_696, 6_945_767_424, _qwen3_vl(4096, 12288, 36, 32, True), verified=True),
)
# fmt: on


def find(name: str) -> Checkpoint | None:
    """Return the catalogue's entry of a hub name, or None."""
    return next((entry for entry in CATALOG if entry.name == name), None)
