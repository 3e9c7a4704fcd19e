"""Models that are given patches of pictures of any size, and how many rows and columns there are."""

from __future__ import annotations

from typing import Any

import torch

from . import IMAGE, VIDEO, Medium, Tiny, pixels, rope, text

GRIDS = ((1, 8, 6), (1, 4, 8), (1, 6, 6))
HEAD = {"head_dim": 16}
MARKS = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "vision_start_token_id": 9,
    "vision_end_token_id": 10,
}
GLM = {
    "image_token_id": IMAGE,
    "video_token_id": VIDEO,
    "image_start_token_id": 9,
    "image_end_token_id": 10,
    "video_start_token_id": 11,
    "video_end_token_id": 12,
}
DEEP = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "patch_size": 7}
LINEAR = {
    "head_dim": 16,
    "num_hidden_layers": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 4,
    "linear_num_value_heads": 8,
    "layer_types": ["linear_attention"] * 3 + ["full_attention"],
}
MOE = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
}


def grid(
    patch: int = 3 * 2 * 49,
    name: str = "image",
    moments: int = 1,
    shape: tuple[int, ...] = (),
    around: tuple[tuple[int, ...], tuple[int, ...]] = ((9,), (10,)),
    merge: int = 2,
    apart: bool = False,
):
    """Images (or clips) of several sizes.

    Args:
        patch: numbers in a patch; `shape` is that of a patch where it is no plain row of numbers.
        apart: whether each moment of a clip has placeholders of its own.
    """

    def make(number: int) -> Medium:
        _, h, w = GRIDS[number % len(GRIDS)]
        t = moments
        size = shape or (patch,)
        of = "pixel_values" if name == "image" else "pixel_values_videos"
        tensors = {of: pixels(number, t * h * w, *size), f"{name}_grid_thw": torch.tensor([[t, h, w]])}
        n = h * w // merge**2
        return Medium(tensors, (n,) * t if apart else (t * n,), around)

    return make


CLIP = grid(name="video", moments=2)
GLM_CLIP = grid(name="video", moments=2, apart=True, around=((11,), (12,)))
CLIP_APART = grid(name="video", moments=2, apart=True)


def _with_seconds(clip):
    def make(number: int) -> Medium:
        one = clip(number)
        return Medium(one.tensors | {"video_second_per_grid": torch.tensor([1.0])}, one.views, one.around)

    return make


def qwen3_5(kind: str, **more: Any) -> dict[str, Any]:
    turn = rope(1, 1, 0, partial_rotary_factor=0.25, mrope_interleaved=True)
    return text(kind, rope_parameters=turn, **LINEAR | more)


QWEN3_VISION = DEEP | {"out_hidden_size": 64, "num_position_embeddings": 64}
QWEN2_5_VISION = DEEP | {"out_hidden_size": 64, "window_size": 56, "fullatt_block_indexes": [1]}
INTERLEAVED = {"rope_parameters": rope(2, 3, 3, mrope_interleaved=True)}
GLM_VISION = DEEP | {"image_size": 56, "out_hidden_size": 64}
GLM_TURN = {"rope_parameters": rope(2, 1, 1, partial_rotary_factor=0.5)}
MLA = {
    "q_lora_rank": 32,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 16,
    "num_key_value_heads": 4,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "n_group": 1,
    "topk_group": 1,
}

MODELS = {
    "qwen2_vl": Tiny(
        MARKS
        | {
            "text_config": text("qwen2_vl_text", rope_parameters=rope(2, 3, 3)),
            "vision_config": {
                "depth": 2,
                "embed_dim": 32,
                "hidden_size": 64,
                "num_heads": 4,
                "mlp_ratio": 2,
                "patch_size": 7,
            },
        },
        grid(),
        CLIP,
        "mm_token_type_ids",
    ),
    "qwen3_5": Tiny(
        MARKS | {"text_config": qwen3_5("qwen3_5_text"), "vision_config": QWEN3_VISION},
        grid(),
        CLIP_APART,
        "mm_token_type_ids",
    ),
    "qwen3_5_moe": Tiny(
        MARKS | {"text_config": qwen3_5("qwen3_5_moe_text", **MOE), "vision_config": QWEN3_VISION},
        grid(),
        CLIP_APART,
        "mm_token_type_ids",
    ),
    "qwen4_exp": Tiny(
        MARKS
        | {
            "text_config": text(
                "qwen4_exp_text",
                **LINEAR | MOE,
                rope_parameters=rope(2, 3, 3),
                hc_lowrank=8,
                indexer_n_heads=2,
                indexer_kv_heads=1,
                indexer_head_dim=16,
                indexer_budget=512,
                indexer_compress_ratio=4,
            ),
            "vision_config": QWEN3_VISION,
        },
        grid(),
        CLIP_APART,
        "mm_token_type_ids",
    ),
    "qwen3_vl_moe": Tiny(
        MARKS
        | {
            "text_config": text("qwen3_vl_moe_text", **HEAD | MOE | INTERLEAVED),
            "vision_config": QWEN3_VISION | {"deepstack_visual_indexes": [0, 1]},
        },
        grid(),
        CLIP_APART,
        "mm_token_type_ids",
    ),
    "cosmos3_omni": Tiny(
        MARKS
        | {
            "text_config": text("qwen3_vl_text", **HEAD | INTERLEAVED),
            "vision_config": QWEN3_VISION | {"deepstack_visual_indexes": [0, 1]},
        },
        grid(),
        CLIP_APART,
        "mm_token_type_ids",
    ),
    "cohere_compass": Tiny(
        MARKS
        | {
            "text_config": text(
                "cohere_compass_text",
                **HEAD,
                sliding_window=512,
                layer_types=["full_attention", "sliding_attention"],
                rope_parameters={name: rope(2, 3, 3) for name in ("full_attention", "sliding_attention")},
            ),
            "vision_config": QWEN3_VISION | {"deepstack_visual_indexes": [0, 1]},
        },
        grid(),
        CLIP_APART,
        "mm_token_type_ids",
    ),
    "cosmos3_edge": Tiny(
        MARKS
        | {
            "projector_hidden_size": 64,
            "text_config": text("cosmos3_edge_text", **HEAD, rope_parameters=rope(2, 3, 3)),
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "patch_size": 7,
                "num_patches": 64,
                "spatial_merge_size": 2,
            },
        },
        grid(3 * 49),
        grid(3 * 49, "video", 2, apart=True),
        "mm_token_type_ids",
    ),
    "qwen2_5_omni_thinker": Tiny(
        {
            "image_token_index": IMAGE,
            "video_token_index": VIDEO,
            "audio_token_index": 13,
            "vision_start_token_id": 9,
            "vision_end_token_id": 10,
            "audio_start_token_id": 14,
            "audio_end_token_id": 15,
            "user_token_id": 16,
            "text_config": text("qwen2_5_omni_text", rope_parameters=rope(2, 3, 3)),
            "vision_config": QWEN2_5_VISION,
            "audio_config": {
                "encoder_layers": 1,
                "encoder_attention_heads": 2,
                "encoder_ffn_dim": 32,
                "d_model": 16,
                "output_dim": 64,
                "num_mel_bins": 16,
            },
        },
        grid(),
        _with_seconds(CLIP),
    ),
    "qwen3_omni_moe_thinker": Tiny(
        {
            "image_token_id": IMAGE,
            "video_token_id": VIDEO,
            "audio_token_id": 13,
            "vision_start_token_id": 9,
            "vision_end_token_id": 10,
            "audio_start_token_id": 14,
            "user_token_id": 16,
            "text_config": text("qwen3_omni_moe_text", **HEAD | MOE | INTERLEAVED),
            "vision_config": QWEN3_VISION | {"deepstack_visual_indexes": [0, 1]},
            "audio_config": {
                "encoder_layers": 1,
                "encoder_attention_heads": 2,
                "encoder_ffn_dim": 32,
                "d_model": 16,
                "output_dim": 64,
                "num_mel_bins": 16,
                "downsample_hidden_size": 8,
            },
        },
        grid(),
        _with_seconds(CLIP),
    ),
    **{
        kind: Tiny(
            GLM | {"text_config": text("glm4v_text", **GLM_TURN), "vision_config": GLM_VISION},
            grid(),
            GLM_CLIP,
            "mm_token_type_ids",
            shared_placeholder=True,
        )
        for kind in ("glm4v", "glm46v", "glmga")
    },
    "glm_ocr": Tiny(
        GLM | {"text_config": text("glm_ocr_text", **HEAD | GLM_TURN), "vision_config": GLM_VISION},
        grid(),
        GLM_CLIP,
        "mm_token_type_ids",
        shared_placeholder=True,
    ),
    "glm4v_moe": Tiny(
        GLM
        | {
            "text_config": text(
                "glm4v_moe_text",
                **GLM_TURN,
                moe_intermediate_size=32,
                num_experts_per_tok=2,
                n_routed_experts=4,
                n_shared_experts=1,
            ),
            "vision_config": GLM_VISION,
        },
        grid(),
        GLM_CLIP,
        "mm_token_type_ids",
        shared_placeholder=True,
    ),
    "glm5_next": Tiny(
        GLM
        | {
            "text_config": text(
                "glm5_next_text",
                **MLA | {"qk_rope_head_dim": 0, "qk_nope_head_dim": 16, "num_key_value_heads": 4},
                index_topk=512,
                index_head_dim=16,
                index_n_heads=2,
                linear_head_dim=16,
                linear_num_heads=4,
                hc_mult=2,
                num_hidden_layers=4,
            ),
            "vision_config": GLM_VISION | {"projection_intermediate_size": 64},
        },
        grid(),
        GLM_CLIP,
        "mm_token_type_ids",
        shared_placeholder=True,
    ),
    "video_llama_3": Tiny(
        {
            "image_token_id": IMAGE,
            "video_token_id": VIDEO,
            "text_config": text("qwen2"),
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "patch_size": 7,
            },
        },
        lambda number: (
            lambda one: Medium(one.tensors | {"image_merge_sizes": torch.tensor([2])}, one.views)
        )(grid(3 * 49)(number)),
        lambda number: (
            lambda one: Medium(
                one.tensors | {"video_merge_sizes": torch.tensor([2])},
                one.views,
            )
        )(grid(3 * 49, "video", 2)(number)),
    ),
    "paddleocr_vl": Tiny(
        MARKS
        | {
            "text_config": text("paddleocr_vl_text", **HEAD, rope_parameters=rope(2, 3, 3)),
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "image_size": 56,
                "patch_size": 7,
            },
        },
        grid(shape=(3, 7, 7)),
        types="mm_token_type_ids",
    ),
    "hyperclovax_vision_v2": Tiny(
        {
            "image_token_id": IMAGE,
            "video_token_id": VIDEO,
            "text_config": text("hyperclovax", head_dim=16, attention_multiplier=0.25),
            "vision_config": QWEN2_5_VISION | {"model_type": "qwen2_5_vl_vision"},
        },
        grid(),
        CLIP,
    ),
    "exaone4_5": Tiny(
        {
            "image_token_id": IMAGE,
            "video_token_id": VIDEO,
            "text_config": text("exaone4", sliding_window=512),
            "vision_config": QWEN2_5_VISION | {"num_key_value_heads": 2},
        },
        grid(),
        CLIP,
    ),
    "dots3_note": Tiny(
        {
            "image_token_id": IMAGE,
            "video_token_id": VIDEO,
            "audio_token_id": 13,
            "text_config": text(
                "dots3_note_text",
                **MLA,
                index_topk=512,
                index_head_dim=16,
                index_n_heads=2,
                per_layer_config={},
            ),
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "patch_size": 7,
                "moe_intermediate_size": 32,
                "num_local_experts": 4,
                "num_experts_per_tok": 2,
                "adapter_in_dim": 32,
                "adapter_out_dim": 64,
                "per_layer_config": {},
            },
            "audio_config": {
                "hidden_size": 16,
                "intermediate_size": 32,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "head_dim": 8,
                "downsample_hidden_size": 8,
                "adapter_input_size": 16,
                "adapter_out_dim": 64,
                "feature_size": 16,
                "conv_output_size": 16,
            },
        },
        grid(3 * 49),
        grid(3 * 49, "video", 2),
    ),
    "minimax_m3_vl": Tiny(
        {
            "image_token_index": IMAGE,
            "video_token_index": VIDEO,
            "projector_hidden_size": 64,
            "merged_hidden_size": 256,
            "text_config": text(
                "minimax_m3_vl_text",
                head_dim=16,
                rotary_dim=8,
                num_experts_per_tok=2,
                num_local_experts=4,
                dense_intermediate_size=64,
                shared_intermediate_size=32,
                index_n_heads=2,
                index_head_dim=16,
            ),
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "patch_size": 7,
                "image_size": 56,
            },
        },
        grid(),
        CLIP,
    ),
    "kimi_k25": Tiny(
        MARKS
        | {
            "projection_hidden_size": 32,
            "text_config": text("deepseek_v3", **MLA, first_k_dense_replace=1),
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "patch_size": 7,
                "pos_emb_height": 8,
                "pos_emb_width": 8,
            },
        },
        grid(shape=(3, 7, 7)),
    ),
    **{
        kind: Tiny(
            {
                "image_token_id": IMAGE,
                "text_config": text(
                    f"{kind}_text",
                    unpadded_vocab_size=200,
                    head_dim=16,
                    swa_num_attention_heads=4,
                    swa_num_key_value_heads=2,
                    swa_head_dim=16,
                    sliding_window_size=512,
                    moe_intermediate_size=32,
                    n_routed_experts=4,
                    num_experts_per_tok=2,
                    n_layers_per_attn_res_block=1,
                    num_hidden_layers=4,
                    **more,
                ),
                "vision_config": {
                    "model_type": "inkling2_vision",
                    "hidden_size": 32,
                    "intermediate_size": 64,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 4,
                    "patch_size": 7,
                    "mlp_ratio": 2.0,
                    "posemb_grid_size": 8,
                    "projection_hidden_dim": 64,
                    "text_hidden_size": 64,
                },
            },
            grid(shape=(14, 14, 3), merge=1),
        )
        for kind, more in {
            "inkling2": {},
            "inkling2_loop": {"loop_layer_index_start": 1, "loop_layer_index_end": 3, "loop_gate_rank": 8},
        }.items()
    },
    "lfm3_vl": Tiny(
        MARKS
        | {
            "projector_hidden_size": 64,
            "text_config": text("lfm3", head_dim=16, sliding_window=512, num_hidden_layers=4),
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 2,
                "patch_size": 7,
            },
        },
        grid(),
        CLIP,
    ),
    **{
        kind: Tiny(
            {
                "image_token_id": IMAGE,
                "video_token_id": VIDEO,
                "out_hidden_size": 128,
                "projector_hidden_size": 64,
                "text_config": text(f"{kind}_text", head_dim=16, sliding_window=512, **more),
                "vision_config": {
                    "hidden_size": 32,
                    "intermediate_size": 64,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 4,
                    "patch_size": 7,
                    "pos_emb_height": 8,
                    "pos_emb_width": 8,
                },
            }
            | wide,
            grid(),
            CLIP,
        )
        for kind, more, wide in (
            ("muse_glimmer", {}, {}),
            (
                "muse_spark",
                {
                    "moe_intermediate_size": 32,
                    "num_local_experts": 4,
                    "num_experts_per_tok": 2,
                    "moe_hidden_size": 32,
                },
                {
                    "audio_token_id": 13,
                    "audio_config": {
                        "hidden_sizes": [8, 8, 8, 16],
                        "depths": [1, 1, 1, 1],
                        "out_hidden_size": 64,
                    },
                },
            ),
        )
    },
    "ernie4_5_vl_moe": Tiny(
        GLM
        | {
            "text_config": text(
                "ernie4_5_vl_moe_text",
                moe_intermediate_size=[32, 32],
                moe_k=2,
                moe_num_experts=4,
                moe_num_shared_experts=1,
                rope_parameters=rope(3, 3, 2),
            ),
            "vision_config": {
                "depth": 2,
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_heads": 4,
                "patch_size": 7,
            },
        },
        grid(3 * 49),
        types="mm_token_type_ids",
    ),
    "hunyuan_vl": Tiny(
        {
            "image_token_id": IMAGE,
            "im_start_id": 9,
            "im_end_id": 10,
            "im_newline_id": 12,
            "text_config": text("hunyuan_vl_text", head_dim=16, rope_parameters=rope(2, 2, 2, 2)),
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 4,
                "out_hidden_size": 64,
                "text_hidden_size": 64,
                "patch_size": 7,
                "max_image_size": 56,
            },
        },
        lambda number: (lambda one, h, w: Medium(one.tensors, (h // 2 * (w // 2 + 1) + 2,), ((9,), (10,))))(
            grid(3 * 49)(number), *GRIDS[number % 3][1:]
        ),
        types="mm_token_type_ids",
    ),
    "hy_v4_vl": Tiny(
        {
            "image_token_id": IMAGE,
            "video_token_id": VIDEO,
            "text_config": text(
                "hy_v4_vl_text",
                **MLA,
                head_dim=8,
                index_topk=512,
                index_head_dim=16,
                index_n_heads=2,
                hc_mult=2,
                rope_parameters=rope(2, 1, 1),
            ),
            "vision_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 4,
                "out_hidden_size": 64,
                "patch_size": 7,
                "max_image_size": 56,
            },
        },
        lambda number: (lambda one, h, w: Medium(one.tensors, (h // 2 * (w // 2 + 1),)))(
            grid(3 * 49)(number), *GRIDS[number % 3][1:]
        ),
        types="mm_token_type_ids",
    ),
}
