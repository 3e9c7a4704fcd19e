"""List the line of every family that is served by the generic adapter."""

from __future__ import annotations

from dataclasses import replace

from .line import Line

_PROJECTOR = "model.multi_modal_projector"
_MERGER = "model.visual.merger"


def _grid(projector: str, group: int = 1, mrope: bool = False) -> Line:
    """Return the line of a family that reads images and clips as one grid of tokens for each frame."""
    return Line(projector, group=group, layout="grid", mrope=mrope, video=True)


_MUSE = Line(
    "model.vision_adapter",
    behind=("model.vision_projection", "model.perception_emb_norm"),
    layout="grid",
    video=True,
)


def _qwen(deepstack: bool | str = False) -> Line:
    path = "model.visual.deepstack_merger_list" if deepstack is True else deepstack or ""
    return replace(_grid(_MERGER, group=4, mrope=True), deepstack=path)


_GLM = replace(_grid(_MERGER, mrope=True), shared_placeholder=True)

# config.model_type -> line
LINES: dict[str, Line] = {
    # The projector as it is: one row for each token.
    "smolvlm": Line("model.connector.modality_projection", layout="splits", since=(5, 24)),
    "idefics3": Line("model.connector.modality_projection", layout="splits"),
    "fast_vlm": Line(_PROJECTOR, layout="square"),
    "paligemma": Line(_PROJECTOR, layout="square", first_position=1, causal_type=1),
    "glm4v": _GLM,
    "glm46v": _GLM,
    "glmga": _GLM,
    "glm4v_moe": _GLM,
    "glm_ocr": _GLM,
    "glm5_next": replace(_GLM, mrope=False),
    "gemma4": Line("model.embed_vision", layout="places"),
    "video_llama_3": _grid("model.projector"),
    "janus": Line("model.aligner", layout="square"),
    "deepseek_vl": Line("model.aligner", layout="square"),
    "ovis2": Line("model.visual_embeddings_table", layout="covering"),
    "got_ocr2": Line(_PROJECTOR + ".multimodal_projector", layout="optimal"),
    "pp_chart2table": Line(_PROJECTOR + ".multimodal_projector", layout="optimal"),
    "qianfan_ocr": Line(_PROJECTOR, layout="optimal"),
    "nemotron_h_omni": Line("multi_modal_projector", layout="unknown"),
    "hyperclovax_vision_v2": _grid("model.projector"),
    "step3p7": Line(_PROJECTOR),
    "deepseek_ocr2": Line(_PROJECTOR),
    "unlimited_ocr": Line(_PROJECTOR),
    "molmo2": Line(_PROJECTOR + ".image_projector"),
    "llava": Line(_PROJECTOR, layout="plain"),
    # An entry inside the projector.
    "gemma3": Line(_PROJECTOR, "mm_soft_emb_norm", layout="square"),
    "shieldgemma2": Line(_PROJECTOR, "mm_soft_emb_norm", layout="square"),
    "gemma3n": Line("model.embed_vision", "soft_embedding_norm", layout="square"),
    "aya_vision": Line(_PROJECTOR, "layernorm", layout="optimal"),
    "cohere2_vision": Line(_PROJECTOR, "linear_1", layout="optimal-lines"),
    "mistral3": Line(_PROJECTOR, "patch_merger.merging_layer", layout="sizes"),
    "mistral_large4": Line(_PROJECTOR, "patch_merger.merging_layer", layout="sizes"),
    "lighton_ocr": Line("model.vision_projection", "patch_merger.merging_layer", layout="sizes"),
    "lfm2_vl": Line(_PROJECTOR, "layer_norm", layout="natural"),
    "paddleocr_vl": Line("model.projector", "linear_1", layout="grid", mrope=True),
    "minicpmv4_6": Line("model.merger", "mlp.0", inputs=("pixel_values", "target_sizes")),
    "minicpmv4_7": Line("model.merger", "mlp.0", mrope=True, inputs=("pixel_values", "target_sizes")),
    "minicpm_ocr": Line("model.merger", "mlp.0", inputs=("pixel_values", "target_sizes")),
    "muse_glimmer": _MUSE,
    "muse_spark": _MUSE,
    "ernie4_5_vl_moe": Line("model.resampler_model", "temporal_linear", layout="grid", mrope=True),
    "hunyuan_vl": Line(
        "model.vision_tower.patch_merger.mlp",
        behind=("model.vision_tower.patch_merger.after_rms",),
        mrope=True,
        since=(5, 24),
    ),
    "hy_v4_vl": Line(
        "model.vision_tower.patch_merger.proj_out", channels_first=True, mrope=True, layout="grid"
    ),
    "deepseek_vl_hybrid": Line("model.aligner", joined=True, layout="square"),
    # Several neighbouring rows for each token.
    "qwen2_vl": _qwen(),
    "qwen3_5": replace(_qwen(), since=(5, 24)),
    "qwen3_5_moe": _qwen(),
    "qwen4_exp": _qwen(),
    "qwen2_5_omni_thinker": replace(_qwen(), since=(5, 24)),
    "qwen3_vl_moe": _qwen(deepstack=True),
    "qwen3_omni_moe_thinker": replace(_qwen(deepstack="model.visual.merger_list"), since=(5, 24)),
    "cohere_compass": _qwen(deepstack=True),
    "cosmos3_omni": _qwen(deepstack=True),
    "cosmos3_edge": _grid("model.projector", group=4, mrope=True),
    "exaone4_5": _grid(_MERGER, group=4),
    "dots3_note": _grid("model.vision_tower.merger", group=4),
    "minimax_m3_vl": replace(_grid(_PROJECTOR, group=4), since=(5, 24)),
    "kimi_k25": Line("model.mm_projector", group=4, layout="grid"),
    "inkling2": Line("model.vision_tower.merger", layout="grid"),
    "inkling2_loop": Line("model.vision_tower.merger", layout="grid"),
    "lfm3_vl": _grid(_PROJECTOR, group=4),
}
