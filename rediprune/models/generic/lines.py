"""The line of every family that is served by the generic adapter."""

from __future__ import annotations

from .line import Line

_PROJECTOR = "model.multi_modal_projector"
_MERGER = "model.visual.merger"


def _qwen(deepstack: bool = False, **more) -> Line:
    further = {"deepstack": "model.visual.deepstack_merger_list"} if deepstack else {}
    return Line(_MERGER, group=4, layout="grid", mrope=True, video=True, **further | more)


# config.model_type -> line
LINES: dict[str, Line] = {
    # The projector as it is.
    "smolvlm": Line("model.connector.modality_projection"),
    "idefics3": Line("model.connector.modality_projection"),
    "fast_vlm": Line(_PROJECTOR, layout="square"),
    "paligemma": Line(_PROJECTOR, layout="square", first_position=1, causal_type=1),
    "glm4v": Line(_MERGER, layout="grid", mrope=True, video=True),
    "gemma4": Line("model.embed_vision"),
    "video_llama_3": Line("model.projector", layout="grid", video=True),
    "janus": Line("model.aligner", layout="square"),
    "deepseek_vl": Line("model.aligner", layout="square"),
    "ovis2": Line("model.visual_embeddings_table"),
    "got_ocr2": Line(_PROJECTOR + ".multimodal_projector", layout="optimal"),
    "llava": Line(_PROJECTOR, layout="sizes"),
    # An entry inside the projector.
    "gemma3": Line(_PROJECTOR, "mm_soft_emb_norm", layout="square"),
    "gemma3n": Line("model.embed_vision", "soft_embedding_norm", layout="square"),
    "aya_vision": Line(_PROJECTOR, "layernorm", layout="optimal"),
    "cohere2_vision": Line(_PROJECTOR, "linear_1", layout="optimal"),
    "mistral3": Line(_PROJECTOR, "patch_merger.merging_layer", layout="sizes"),
    "lighton_ocr": Line("model.vision_projection", "patch_merger.merging_layer", layout="sizes"),
    "lfm2_vl": Line(_PROJECTOR, "layer_norm"),
    "paddleocr_vl": Line("model.projector", "linear_1", layout="grid", mrope=True),
    "minicpmv4_6": Line("model.merger", "mlp.0", inputs=("pixel_values", "target_sizes")),
    # Several neighbouring rows for each token.
    "qwen2_vl": _qwen(),
    "qwen3_5": _qwen(),
    "qwen3_vl_moe": _qwen(deepstack=True),
}
