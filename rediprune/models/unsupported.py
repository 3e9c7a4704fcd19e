"""Models that cannot be pruned in front of a projector, and why."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .adapter import Adapter
from .errors import ModelError
from .generic.lines import LINES

# Why these cannot be pruned before a projector, by config.model_type.
_CROSS_ATTENTION = "its visual tokens pass a Perceiver resampler and enter the LLM through cross-attention"
_Q_FORMER = "a Q-Former mixes all visual tokens where the projector would be"
_NO_SEPARATE_PROJECTOR = {
    "mllama": "its visual tokens enter the LLM through cross-attention layers, not through the prompt",
    "idefics": _CROSS_ATTENTION,
    "flamingo": _CROSS_ATTENTION,
    "idefics2": "a Perceiver resampler mixes all visual tokens where the projector would be",
    "blip-2": _Q_FORMER,
    "instructblip": _Q_FORMER,
    "instructblipvideo": _Q_FORMER,
    "fuyu": "it has no vision encoder: image patches enter the LLM directly",
    "chameleon": "its images become discrete words of the LLM's own vocabulary",
}
# Served, never published. Without an owner or with the maker's: someone's own model may carry such a name.
_CLOSED = re.compile(r"((openai|google)/)?(gpt-?[4-9]|gemini)(\W.*|v.*|o.*|)", re.IGNORECASE)
_OPEN_FLAMINGO = re.compile(r"open[-_]?flamingo", re.IGNORECASE)


def refuse_name(name: str) -> None:
    """Raise ModelError where a model's name alone says that it cannot be pruned here."""
    if _CLOSED.fullmatch(name):
        raise ModelError(
            f"{name} has closed weights: it is reached only through its maker's service, where no visual "
            "token can be seen or dropped"
        )
    if _OPEN_FLAMINGO.search(name):
        raise ModelError(f"{name} has no separate projector to prune in front of: {_CROSS_ATTENTION}")


def refuse_class(class_name: str, config: object, families: Mapping[str, type[Adapter]]) -> None:
    """Raise ModelError, naming the class, unless `config` is of a known family with a separate projector."""
    kind = "flamingo" if class_name == "Flamingo" else getattr(config, "model_type", None)
    if kind in _NO_SEPARATE_PROJECTOR:
        raise ModelError(
            f"{class_name} has no separate projector to prune in front of: {_NO_SEPARATE_PROJECTOR[kind]}"
        )
    if not hasattr(config, "vision_config"):
        raise ModelError(
            f"{class_name} has no vision encoder and no projector: pruning needs a transformers "
            f"vision-language model of a family known here ({', '.join(families)})"
        )
    if kind in LINES:
        return
    if kind not in families:
        raise ModelError(f"{class_name} is of a family not known here yet: known are {', '.join(families)}")
    tower = config.vision_config.model_type
    if tower not in families[kind].vision_types:
        raise ModelError(
            f"{class_name} with a vision encoder of type {tower} is not known here: its tokens may not lie "
            "on one fixed grid"
        )
