"""Models that are given pictures of one size: one a picture, or the tiles of it."""

from __future__ import annotations

from . import IMAGE, Medium, Tiny, pixels, text, vision

SIGLIP = vision(model_type="siglip_vision_model")
HEAD = {"head_dim": 16}
GEMMA = HEAD | {"query_pre_attn_scalar": 16, "sliding_window": 512}


def views(count: int, tokens: int, side: int = 56):
    """Images of `count` tiles with so many tokens each."""
    return lambda number: Medium({"pixel_values": pixels(number, count, 3, side, side)}, (tokens,) * count)


def _local(count: int, tokens: int, side: int, local: int, extra: int = 0, near: int = 0):
    """Images of an overview and `count` tiles, which come beside it."""

    def make(number: int) -> Medium:
        import torch

        return Medium(
            {
                "pixel_values": pixels(number, 1, 3, side, side),
                "pixel_values_local": pixels(number + 50, count, 3, local, local),
                "num_local_patches": torch.tensor([count]),
            },
            (count * near + tokens + extra,),
        )

    return make


MODELS = {
    "smolvlm": Tiny(
        {"image_token_id": IMAGE, "scale_factor": 2, "text_config": text("llama"), "vision_config": vision()},
        views(3, 16),
        nested=True,
    ),
    "idefics3": Tiny(
        {"image_token_id": IMAGE, "scale_factor": 2, "text_config": text("llama"), "vision_config": vision()},
        views(3, 16),
        nested=True,
    ),
    "paligemma": Tiny(
        {
            "image_token_index": IMAGE,
            "projection_dim": 64,
            "text_config": text("gemma", **HEAD),
            "vision_config": SIGLIP | {"projection_dim": 64},
        },
        views(1, 64),
        types="token_type_ids",
    ),
    "gemma3": Tiny(
        {
            "image_token_index": IMAGE,
            "mm_tokens_per_image": 16,
            "text_config": text("gemma3_text", **GEMMA),
            "vision_config": SIGLIP,
        },
        views(1, 16),
        types="token_type_ids",
    ),
    "aya_vision": Tiny(
        {"image_token_index": IMAGE, "text_config": text("cohere2", **HEAD), "vision_config": SIGLIP},
        views(2, 16),
    ),
    "cohere2_vision": Tiny(
        {
            "image_token_id": IMAGE,
            "alignment_intermediate_size": 64,
            "text_config": text("cohere2", **HEAD),
            "vision_config": SIGLIP,
        },
        views(2, 16),
    ),
    "janus": Tiny(
        {
            "image_token_id": IMAGE,
            "text_config": text("llama"),
            "vision_config": vision(projection_dim=64, num_image_tokens=64),
            "vq_config": {
                "embed_dim": 8,
                "num_embeddings": 16,
                "latent_channels": 32,
                "base_channels": 32,
                "channel_multiplier": (1, 1),
                "num_res_blocks": 1,
                "projection_dim": 64,
                "image_token_embed_dim": 64,
                "num_patches": 4,
            },
        },
        views(1, 64),
    ),
    "deepseek_vl": Tiny(
        {
            "image_token_id": IMAGE,
            "text_config": text("llama"),
            "vision_config": SIGLIP | {"vision_use_head": False},
        },
        views(1, 64),
    ),
    "ovis2": Tiny(
        {
            "image_token_id": IMAGE,
            "visual_indicator_token_ids": (11, 12, 13, 14, 15),
            "hidden_size": 64,
            "vocab_size": 200,
            "text_config": text("qwen2"),
            "vision_config": vision(vocab_size=40, hidden_stride=2, num_visual_indicator_tokens=5),
        },
        lambda number: Medium({"pixel_values": pixels(number, 2, 3, 56, 56)}, (16, 16), ((11,), (12,))),
    ),
    "got_ocr2": Tiny(
        {
            "image_token_id": IMAGE,
            "text_config": text("qwen2"),
            "vision_config": vision(
                output_channels=16, image_size=112, window_size=4, global_attn_indexes=[1], mlp_dim=64
            ),
        },
        views(1, 16, 112),
    ),
    "pp_chart2table": Tiny(
        {
            "image_token_index": IMAGE,
            "text_config": text("qwen2"),
            "vision_config": vision(
                output_channels=16, image_size=112, window_size=4, global_attn_indexes=[1], mlp_dim=64
            ),
        },
        views(1, 16, 112),
    ),
    "qianfan_ocr": Tiny(
        {
            "image_token_id": IMAGE,
            "text_config": text("qwen3", **HEAD),
            "vision_config": vision(image_size=[56, 56], patch_size=[7, 7]),
        },
        views(2, 16),
    ),
    "fast_vlm": Tiny(
        {
            "image_token_index": IMAGE,
            "text_config": text("qwen2"),
            "vision_config": {
                "model_type": "timm_wrapper",
                "architecture": "fastvit_mci0",
                "do_pooling": True,
                "hidden_size": 128,
                "initializer_range": 0.02,
                "model_args": {"inference_mode": True, "layers": (1, 1, 1, 1), "embed_dims": (8, 16, 32, 64)},
            },
        },
        views(1, 16, 128),
    ),
    "deepseek_vl_hybrid": Tiny(
        {
            "image_token_id": IMAGE,
            "text_config": text("llama"),
            "vision_config": SIGLIP | {"vision_use_head": False},
            "high_res_vision_config": vision(
                model_type="sam_vision_model",
                output_channels=16,
                image_size=112,
                patch_size=7,
                window_size=4,
                global_attn_indexes=[0],
                mlp_dim=64,
                num_pos_feats=8,
            ),
        },
        lambda number: Medium(
            {
                "pixel_values": pixels(number, 1, 3, 56, 56),
                "high_res_pixel_values": pixels(number + 50, 1, 3, 112, 112),
            },
            (64,),
        ),
    ),
    "step3p7": Tiny(
        {
            "image_token_id": IMAGE,
            "text_config": text(
                "step3p5",
                head_dim=16,
                n_routed_experts=4,
                num_experts_per_tok=2,
                moe_intermediate_size=32,
                share_expert_dim=32,
                num_sliding_attention_heads=4,
                layer_types=["full_attention"] * 2,
                sliding_window=512,
            ),
            "vision_config": vision(image_size=112, max_position_embeddings=256, mlp_ratio=2.0),
        },
        _local(2, 16, 112, 112, near=16),
    ),
    "deepseek_ocr2": Tiny(
        {
            "image_token_id": IMAGE,
            "text_config": text(
                "deepseek_ocr2_text",
                n_routed_experts=4,
                n_shared_experts=1,
                num_experts_per_tok=2,
                moe_intermediate_size=32,
                head_dim=16,
                mlp_layer_types=["dense", "sparse"],
            ),
            "vision_config": {
                "sam_config": vision(
                    output_channels=16,
                    image_size=512,
                    patch_size=8,
                    window_size=4,
                    global_attn_indexes=[],
                    mlp_dim=64,
                    downsample_channels=[16, 64],
                ),
                "encoder_config": {
                    "hidden_size": 64,
                    "intermediate_size": 64,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 4,
                    "num_key_value_heads": 4,
                    "layer_types": ["full_attention"] * 2,
                },
            },
        },
        _local(2, 256, 512, 384, extra=1, near=144),
    ),
}
