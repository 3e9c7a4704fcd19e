"""List public checkpoints: what each is called, takes, is built like, and the small ones for photographs.

No checkpoint could be fetched where this was written; every number was read as text. `Checkpoint.verified`
says of each entry which of two kinds it is:

Verified, against something that quotes this very checkpoint:
  - config.json or the loaded config, quoted in full: LLaVA-1.5 7B, LLaVA-NeXT Vicuna 13B (haotian-liu/LLaVA
    #1378), Qwen2.5-VL 3B, Qwen3-VL 4B; the LLM's part of it: Qwen3-VL 2B, whose encoder is the 4B's;
  - the printed modules: Qwen2.5-VL 7B;
  - the published count of its stored weights, which the dimensions below give to the last digit: LLaVA-1.5 7B
    7,063,427,072, InternVL 1B (2.5, of the same shapes as 3) 938,193,024, Qwen3-VL 8B 8,767,123,696,
    SmolVLM 256M 256,484,928 (and the LLM's part of its config), Qwen3.5 0.8B 852,985,920 (752,393,024 of the
    LLM and 100,592,896 of the encoder; the file holds 20,452,864 more, which predict several tokens at once
    and which transformers leaves out).

Not verified, put together from the defaults of transformers' own configuration classes (CLIP-L/14-336,
SigLIP-so400m, InternViT, ...), the well-known dimensions of the LLM that the checkpoint's name says, and what
the weight converters (convert_*_weights_to_hf.py) say they change: LLaVA-1.5 13B, both VipLLaVA, LLaVA-NeXT
Mistral 7B and Vicuna 7B, LLaVA-NeXT-Video 7B, Video-LLaVA 7B, both LLaVA-OneVision, InternVL3 2B and 8B. Of
SmolVLM 500M, widths and heads are quoted, and its count is published in millions only (507 M). The
converters of the LLaVAs up to NeXT-Video and of Video-LLaVA add placeholders to Vicuna's or Mistral's 32,000
words and pad them to 32,064; LLaVA-OneVision's pads Qwen2's 151,936 and 152,064 to 152,000 and 152,128.

A wrong number here makes an estimate of memory wrong, and nothing else: opening a model reads its own config.
"""

from __future__ import annotations

from typing import Any

from .checkpoint import Checkpoint, Photograph, QuickSettings

__all__ = ["CATALOG", "SMALL", "Checkpoint", "find"]


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


def _smolvlm(width: int, mlp: int, layers: int, heads: int, kv_heads: int) -> dict:
    vision = dict(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        image_size=512,
        patch_size=16,
    )
    return dict(
        text_config=_llm(
            "llama", width, mlp, layers, heads, kv_heads, 49280, head_dim=64, tie_word_embeddings=False
        ),
        vision_config=vision,
        image_token_id=49190,
        scale_factor=4,
        tie_word_embeddings=False,
    )


_QWEN35_08B = dict(
    text_config=_llm(
        "qwen3_5_text",
        1024,
        3584,
        24,
        8,
        2,
        248320,
        head_dim=256,
        linear_num_value_heads=16,
        layer_types=(["linear_attention"] * 3 + ["full_attention"]) * 6,
        tie_word_embeddings=True,
    ),
    vision_config=dict(depth=12, hidden_size=768, intermediate_size=3072, num_heads=12, out_hidden_size=1024),
    tie_word_embeddings=True,
)

# Settings for a CPU, by family. A photograph of several megapixels becomes a dozen tiles or thousands of
# tokens otherwise.
_ONE_TILE = QuickSettings("one tile of 448 x 448 (max_patches=1)", processor=dict(max_patches=1))
_NO_SPLITTING = QuickSettings(
    "one view of 512 x 512 (do_image_splitting=False)", processor=dict(do_image_splitting=False)
)
_OVERVIEW_AND_ONE = QuickSettings(
    "an overview and one tile of 384 x 384 (image_grid_pinpoints=[[384, 384]])",
    processor=dict(image_grid_pinpoints=[[384, 384]]),
    config=dict(image_grid_pinpoints=[[384, 384]]),
)
_VGA = QuickSettings(
    "at most 640 x 480 pixels, in the picture's own shape",
    processor=dict(size={"shortest_edge": 65_536, "longest_edge": 307_200}),
)
_TILE_OF_448 = Photograph(views=1, positions=1025, tokens=256)
_VIEW_OF_512 = Photograph(views=1, positions=1024, tokens=64)
_PIXELS_307200 = Photograph(views=1, positions=1200, tokens=300)


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
               893_675_552, 357_826_560, _onevision("0.5B", 152000, True), licence="Apache-2.0",
               good_at="photographs and short clips; many tokens, so much to prune",
               settings=_OVERVIEW_AND_ONE, photograph=Photograph(views=2, positions=729, tokens=1296)),
    Checkpoint("llava-hf/llava-onevision-qwen2-7b-ov-hf", "llava_onevision", "LLaVA-OneVision 7B",
               8_030_807_584, 6_525_288_448, _onevision("7B", 152128, False)),
    Checkpoint("OpenGVLab/InternVL3-1B-hf", "internvl", "InternVL3 1B",
               938_193_024, 357_826_560, _internvl("0.5B"), verified=True, licence="Apache-2.0",
               good_at="photographs, charts and text in pictures; its 16 x 16 tokens read well as an overlay",
               settings=_ONE_TILE, photograph=_TILE_OF_448),
    Checkpoint("OpenGVLab/InternVL3-2B-hf", "internvl", "InternVL3 2B",
               2_088_957_440, 1_310_195_712, _internvl("1.5B")),
    Checkpoint("OpenGVLab/InternVL3-8B-hf", "internvl", "InternVL3 8B",
               7_944_373_760, 6_525_288_448, _internvl("7B")),
    Checkpoint("Qwen/Qwen2.5-VL-3B-Instruct", "qwen2_5_vl", "Qwen2.5-VL 3B",
               3_754_622_976, 2_774_532_096, _qwen25_vl("3B", 151936, True), verified=True),
    Checkpoint("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2_5_vl", "Qwen2.5-VL 7B",
               8_292_166_656, 6_525_288_448, _qwen25_vl("7B", 152064, False), verified=True),
    Checkpoint("Qwen/Qwen3-VL-2B-Instruct", "qwen3_vl", "Qwen3-VL 2B",
               2_127_532_032, 1_409_286_144, _qwen3_vl(2048, 6144, 28, 16, False), verified=True,
               licence="Apache-2.0", good_at="photographs, documents and clips, in the picture's own shape",
               settings=_VGA, photograph=_PIXELS_307200),
    Checkpoint("Qwen/Qwen3-VL-4B-Instruct", "qwen3_vl", "Qwen3-VL 4B",
               4_437_815_808, 3_633_315_840, _qwen3_vl(2560, 9728, 36, 32, False), verified=True,
               licence="Apache-2.0", good_at="photographs, documents and clips, with better answers than 2B",
               settings=_VGA, photograph=_PIXELS_307200),
    Checkpoint("Qwen/Qwen3-VL-8B-Instruct", "qwen3_vl", "Qwen3-VL 8B",
               8_767_123_696, 6_945_767_424, _qwen3_vl(4096, 12288, 36, 32, True), verified=True,
               licence="Apache-2.0", good_at="photographs, documents and clips, with the best answers here",
               settings=_VGA, photograph=_PIXELS_307200),
    Checkpoint("HuggingFaceTB/SmolVLM-256M-Instruct", "idefics3", "SmolVLM 256M",
               256_484_928, 106_168_320, _smolvlm(576, 1536, 30, 9, 3), verified=True, licence="Apache-2.0",
               good_at="the quickest: short answers about plain photographs; only 8 x 8 tokens a view",
               settings=_NO_SPLITTING, photograph=_VIEW_OF_512, weight_file_bytes=513_028_808),
    Checkpoint("HuggingFaceTB/SmolVLM-500M-Instruct", "idefics3", "SmolVLM 500M",
               507_482_304, 314_572_800, _smolvlm(960, 2560, 32, 15, 5), licence="Apache-2.0",
               good_at="short answers about photographs; only 8 x 8 tokens a view",
               settings=_NO_SPLITTING, photograph=_VIEW_OF_512),
    Checkpoint("Qwen/Qwen3.5-0.8B", "qwen3_5", "Qwen3.5 0.8B",
               852_985_920, 497_614_848, _QWEN35_08B, verified=True, licence="Apache-2.0",
               good_at="photographs in their own shape, without tiles; long answers",
               settings=_VGA, photograph=_PIXELS_307200, weight_file_bytes=1_746_942_600),
)
# fmt: on

# For photographs, from the least able to the most; what fits best is in `small`.
SMALL: tuple[Checkpoint, ...] = tuple(
    entry
    for name in (
        "HuggingFaceTB/SmolVLM-256M-Instruct",
        "HuggingFaceTB/SmolVLM-500M-Instruct",
        "llava-hf/llava-onevision-qwen2-0.5b-ov-hf",
        "Qwen/Qwen3.5-0.8B",
        "OpenGVLab/InternVL3-1B-hf",
        "Qwen/Qwen3-VL-2B-Instruct",
        "Qwen/Qwen3-VL-4B-Instruct",
        "Qwen/Qwen3-VL-8B-Instruct",
    )
    for entry in CATALOG
    if entry.name == name
)


def find(name: str) -> Checkpoint | None:
    """Return the catalogue's entry of a hub name, or None."""
    return next((entry for entry in CATALOG if entry.name == name), None)
