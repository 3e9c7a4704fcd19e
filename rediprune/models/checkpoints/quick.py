"""Make a known checkpoint quick on a CPU: fewer or smaller views of a picture, and the quicker numbers.

Without these settings a photograph of several megapixels becomes a dozen tiles or thousands of visual tokens,
and an answer takes minutes. They change what the model is shown, so they are applied only where it is asked.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from ..errors import ModelError
from .catalog import CATALOG
from .checkpoint import Checkpoint, QuickSettings


def known_checkpoint(name: str, folder: Path, family: str) -> Checkpoint | None:
    """Return the catalogue's entry of a checkpoint, or None.

    Args:
        name: a name on the hub, or the path of a folder, whose last part is then compared.
        folder: where its files lie, such as a snapshot in the hub's cache.
        family: its config's model_type.
    """
    parts = {name, Path(name).name, *folder.resolve().parts}
    for entry in CATALOG:
        owner, _, model = entry.name.partition("/")
        if entry.family == family and not parts.isdisjoint({entry.name, model, f"models--{owner}--{model}"}):
            return entry
    return None


def quick_settings_for(entry: Checkpoint | None, target: torch.device) -> QuickSettings | None:
    """Return the catalogue's settings of a checkpoint where it runs on a CPU; None for nothing to apply."""
    if entry is None or target.type != "cpu":
        return None
    return entry.settings


def apply_to_processor(processor: Any, settings: QuickSettings) -> Any:
    """Return the processor with an image processor that has these settings; the given one is not changed.

    Raises:
        ModelError: the image processor has no such setting, which would then change nothing.
    """
    old = processor.image_processor
    if missing := [name for name in settings.processor if not hasattr(old, name)]:
        raise ModelError(
            f"{type(old).__name__} has no setting {', '.join(missing)}, which makes this model quick on a "
            "CPU: open it without the quick settings"
        )
    new = type(old).from_dict({**old.to_dict(), **settings.processor})
    made = copy.copy(processor)
    made.image_processor = new
    return made


def apply_to_config(config: Any, settings: QuickSettings) -> None:
    """Set the fields of a model's config that the model itself reads where the processor was changed."""
    for name, value in settings.config.items():
        setattr(config, name, value)
