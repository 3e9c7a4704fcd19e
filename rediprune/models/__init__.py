"""Know transformers: the one folder that loads models and reads their classes, families and checkpoints.

registry         which adapter serves a loaded model; a new family is one file and one line there
adapter          what every family answers; outputs: the records it hands on
families         one file per model family that needs code of its own
generic          every other family, by one declarative line each; unknown ones by tracing
reference        what a pruned prompt must be equal to, by the kind of LLM
geometry         which pixels a visual token saw
vision_encoder   runs the encoder up to the layer that the projector reads; class_attention beside it
transformers_names  what transformers renames between releases
splice           a prompt with the kept tokens in place of all
generate_call    the arguments of `model.generate`, served or refused
checkpoints      getting a model: catalog, memory, download, loading
unsupported      which models cannot be pruned in front of a projector, and why
"""

from __future__ import annotations

from .adapter import Adapter
from .checkpoints.loading import load
from .errors import ModelError
from .outputs import EncodedItem, Prompt
from .registry import FAMILIES, adapter_for

__all__ = ["FAMILIES", "Adapter", "EncodedItem", "ModelError", "Prompt", "adapter_for", "load"]
