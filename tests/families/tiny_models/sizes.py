"""Models that are given pictures of any size otherwise than as a grid of patches, and the odd ones."""

from __future__ import annotations

import torch

from . import IMAGE, VIDEO, Medium, Tiny, pixels, text, vision
from .grids import LINEAR, MLA, qwen3_5
from .views import GEMMA, HEAD, SIGLIP

PIXTRAL = vision(model_type="pixtral", image_size=112, head_dim=8)
SHAPES = ((56, 42), (28, 56), (42, 42))


def _sized(per: int):
    """Images of several sizes with a token for every `per` x `per` pixels."""

    def make(number: int) -> Medium:
        h, w = SHAPES[number % 3]
        tensors = {"pixel_values": pixels(number, 1, 3, h, w), "image_sizes": torch.tensor([[h, w]])}
        return Medium(tensors, (h // per * (w // per),))

    return make


def _naflex(number: int) -> Medium:
    h, w = ((8, 6), (4, 8), (6, 6))[number % 3]
    return Medium(
        {
            "pixel_values": pixels(number, 1, 64, 147),
            "spatial_shapes": torch.tensor([[h, w]]),
            "pixel_attention_mask": (torch.arange(64) < h * w).long()[None],
        },
        (h * w // 4,),
    )


def _slices(merged: int):
    """Images as MiniCPM-V's packing has them: patches of all images in one row."""

    def make(number: int) -> Medium:
        h, w = ((8, 8), (4, 8), (8, 4))[number % 3]
        return Medium(
            {
                "pixel_values": pixels(number, 1, 3, 7, h * w * 7),
                "target_sizes": torch.tensor([[h, w]]),
            },
            (h * w // merged,),
        )

    return make


def _gemma4(number: int) -> Medium:
    row, col = torch.meshgrid(torch.arange(8), torch.arange(6), indexing="ij")
    places = torch.stack([col.flatten(), row.flatten()], -1)[None]
    return Medium({"pixel_values": pixels(number, 1, 48, 48).sigmoid(), "image_position_ids": places}, (12,))


def _molmo2(number: int) -> Medium:
    """One crop of 8 x 8 patches, 2 x 2 of which are pooled into a token."""
    patch = torch.arange(64).view(4, 2, 4, 2).transpose(1, 2).reshape(16, 4) + 64 * number
    return Medium(
        {
            "pixel_values": pixels(number, 1, 64, 147),
            "image_token_pooling": patch,
            "image_grids": torch.tensor([[4, 4, 0, 0]]),
        },
        (16,),
    )


def _unlimited(number: int) -> Medium:
    return Medium(
        {
            "pixel_values": pixels(number, 1, 3, 256, 256),
            "pixel_values_local": pixels(number + 50, 2, 3, 128, 128),
            "num_local_patches": torch.tensor([2]),
            "patches_grid": torch.tensor([[2, 1]]),
        },
        (4 * 5 + 1 + 2 * (2 * 2 + 1),),
    )


def _radio(number: int) -> Medium:
    h, w = ((8, 6), (4, 8), (6, 6))[number % 3]
    return Medium(
        {"pixel_values": pixels(number, h * w, 147), "image_grid_hw": torch.tensor([[h, w]])}, (h * w // 4,)
    )


def _minicpm(kind: str, downsample: str = "16x") -> dict:
    return {
        "image_token_id": IMAGE,
        "video_token_id": VIDEO,
        "insert_layer_id": 1,
        "downsample_mode": downsample,
        "text_config": text("qwen3_5_text", **LINEAR) if kind != "minicpmv4_7" else qwen3_5("qwen3_5_text"),
        "vision_config": vision(num_hidden_layers=4, insert_layer_id=1),
    }


MODELS = {
    "mistral3": Tiny(
        {
            "image_token_index": IMAGE,
            "text_config": text("mistral", **HEAD, sliding_window=None),
            "vision_config": PIXTRAL,
        },
        _sized(14),
    ),
    "mistral_large4": Tiny(
        {
            "image_token_index": IMAGE,
            "text_config": text(
                "mistral_large4_text",
                **MLA,
                head_dim=8,
                index_topk=512,
                index_head_dim=16,
                index_n_heads=2,
                rope_parameters={"rope_type": "default", "rope_theta": 1e4},
            ),
            "vision_config": PIXTRAL,
        },
        _sized(14),
    ),
    "lighton_ocr": Tiny(
        {"image_token_id": IMAGE, "text_config": text("qwen3", **HEAD), "vision_config": PIXTRAL}, _sized(14)
    ),
    "lfm2_vl": Tiny(
        {
            "image_token_id": IMAGE,
            "projector_hidden_size": 64,
            "text_config": text(
                "lfm2",
                num_hidden_layers=4,
                layer_types=["conv", "conv", "full_attention", "conv"],
                block_auto_adjust_ff_dim=False,
            ),
            "vision_config": {
                "model_type": "siglip2_vision_model",
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "patch_size": 7,
                "num_patches": 64,
            },
        },
        _naflex,
    ),
    "minicpmv4_6": Tiny(_minicpm("minicpmv4_6"), _slices(16), side_by_side=("pixel_values",)),
    "minicpmv4_7": Tiny(
        _minicpm("minicpmv4_7"), _slices(16), side_by_side=("pixel_values",), types="mm_token_type_ids"
    ),
    "minicpm_ocr": Tiny(_minicpm("minicpm_ocr", "4x"), _slices(4), side_by_side=("pixel_values",)),
    "gemma4": Tiny(
        {
            "image_token_id": IMAGE,
            "video_token_id": VIDEO,
            "audio_token_id": 13,
            "audio_config": None,
            "text_config": text(
                "gemma4_text",
                head_dim=16,
                global_head_dim=16,
                hidden_size_per_layer_input=16,
                vocab_size_per_layer_input=200,
                sliding_window=512,
                layer_types=["sliding_attention", "full_attention"],
            ),
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 4,
                "head_dim": 8,
                "patch_size": 4,
                "pooling_kernel_size": 2,
                "position_embedding_size": 64,
            },
        },
        _gemma4,
        types="mm_token_type_ids",
    ),
    "gemma3n": Tiny(
        {
            "image_token_id": IMAGE,
            "audio_token_id": 13,
            "vision_soft_tokens_per_image": 16,
            "text_config": {
                "vocab_size": 200,
                "vocab_size_per_layer_input": 200,
                "hidden_size": 64,
                "intermediate_size": 128,
                "num_hidden_layers": 5,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "head_dim": 16,
                "hidden_size_per_layer_input": 16,
                "num_kv_shared_layers": 0,
                "laurel_rank": 8,
                "sliding_window": 512,
                "layer_types": ["sliding_attention"] * 4 + ["full_attention"],
                "activation_sparsity_pattern": [0.0] * 5,
                "pad_token_id": 0,
                "bos_token_id": 1,
                "eos_token_id": 2,
            },
            "vision_config": {
                "vocab_offset": 200,
                "vocab_size": 16,
                "architecture": "test_resnet",
                "hidden_size": 96,
                "model_args": None,
            },
            "audio_config": {
                "hidden_size": 32,
                "vocab_offset": 216,
                "vocab_size": 16,
                "conf_num_attention_heads": 4,
                "conf_num_hidden_layers": 1,
                "sscp_conv_channel_size": (8, 4),
            },
        },
        lambda number: Medium({"pixel_values": pixels(number, 1, 3, 128, 128)}, (16,)),
        types="token_type_ids",
    ),
    "shieldgemma2": Tiny(
        {
            "image_token_index": IMAGE,
            "mm_tokens_per_image": 16,
            "text_config": text("gemma3_text", **GEMMA),
            "vision_config": SIGLIP,
        },
        lambda number: Medium({"pixel_values": pixels(number, 1, 3, 56, 56)}, (16,)),
        types="token_type_ids",
    ),
    "molmo2": Tiny(
        {
            "image_patch_id": IMAGE,
            "image_token_id": IMAGE,
            "text_config": text("molmo2_text", head_dim=16, additional_vocab_size=8),
            "vision_config": vision(
                num_hidden_layers=4,
                num_key_value_heads=4,
                head_dim=8,
                image_size=[56, 56],
                num_position_embeddings=64,
            ),
            "adapter_config": {
                "vision_feature_layer": [3, 1],
                "hidden_size": 32,
                "num_attention_heads": 4,
                "num_key_value_heads": 4,
                "head_dim": 8,
                "intermediate_size": 64,
                "text_hidden_size": 64,
            },
        },
        _molmo2,
        types="mm_token_type_ids",
    ),
    "unlimited_ocr": Tiny(
        {
            "image_token_id": IMAGE,
            "text_config": text(
                "unlimited_ocr_text",
                n_routed_experts=4,
                n_shared_experts=1,
                num_experts_per_tok=2,
                moe_intermediate_size=32,
                head_dim=16,
                sliding_window=512,
                mlp_layer_types=["dense", "sparse"],
                layer_types=["reference_sliding_attention"] * 2,
            ),
            "vision_config": {
                "sam_config": vision(
                    output_channels=16,
                    image_size=256,
                    patch_size=16,
                    window_size=4,
                    global_attn_indexes=[],
                    mlp_dim=64,
                    downsample_channels=[16, 32],
                ),
                "encoder_config": vision(image_size=64, patch_size=16),
            },
        },
        _unlimited,
        lists=("num_local_patches", "patches_grid"),
    ),
    "nemotron_h_omni": Tiny(
        {
            "image_token_id": IMAGE,
            "video_token_id": VIDEO,
            "audio_token_id": 13,
            "projector_hidden_size": 64,
            "vision_hidden_size": 32,
            "text_config": text(
                "nemotron_h",
                head_dim=16,
                layers_block_type=["linear_attention", "full_attention", "mlp"],
                ssm_state_size=8,
                mamba_num_heads=4,
                mamba_head_dim=16,
                n_groups=1,
                chunk_size=16,
                use_mamba_kernels=False,
            )
            | {"num_hidden_layers": 3},
            "vision_config": {
                "model_type": "radio",
                "hidden_size": 32,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "patch_size": 7,
                "image_size": 56,
                "max_img_size": 112,
                "torch_dtype": "float32",
                "video_temporal_patch_size": 2,
            },
        },
        _radio,
    ),
}
