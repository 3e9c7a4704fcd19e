"""The line of every family that is served by the generic adapter."""

from __future__ import annotations

from .line import Line

# config.model_type -> line
LINES: dict[str, Line] = {
    "smolvlm": Line("model.connector.modality_projection"),
    "idefics3": Line("model.connector.modality_projection"),
    "fast_vlm": Line("model.multi_modal_projector", layout="square"),
    "paligemma": Line("model.multi_modal_projector", layout="square", first_position=1, causal_type=1),
    "qwen2_vl": Line("model.visual.merger", group=4, layout="grid", mrope=True, video=True),
}
