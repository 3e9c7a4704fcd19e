"""Read what a model folder says about itself for this project, and identify a model by its weights.

The optional file `rediprune.json` beside the weights is the card.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from ..config import PruneConfig
from ..files.strict_json import JsonError, read_object

FILE = "rediprune.json"
MOST_BYTES = 2**16  # some sentences
SAMPLED = 32  # numbers that are read of every parameter: all of a large model would take minutes


@dataclass(frozen=True)
class Card:
    """Hold facts about a model that its config.json does not state.

    Attributes:
        defaults: query and pointing that were measured to point best with this model; else PruneConfig's own.
        text_tower: what TextTower.load takes ("local-dir:/folder" or "ViT-L-14.../openai"); None if not said.
        knows: one sentence on what the model can be asked about; empty if not said.
        why_query: one sentence on why the default query is the default; empty if not said.
    """

    defaults: PruneConfig = field(default_factory=PruneConfig)
    text_tower: str | None = None
    knows: str = ""
    why_query: str = ""


def read_card(folder: str | Path) -> Card:
    """Read the card of a model folder; return an empty card if there is no such file (or for a Hub name).

    In the file, `text_tower` is a folder relative to the model's own; the other keys are `default_query`,
    `default_pointing`, `knows` and `why_query`. All are optional texts.

    Raises:
        ValueError: the file is not a JSON object, or holds an unknown key or a value out of range.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return Card()
    try:
        card = read_object(path, MOST_BYTES)
    except JsonError as error:
        raise ValueError(f"{path} is not readable as JSON: {error}") from None
    known = {"text_tower", "default_query", "default_pointing", "knows", "why_query"}
    if not known.issuperset(card) or not all(isinstance(value, str) for value in card.values()):
        raise ValueError(
            f"{path} must be a JSON object of strings with keys among {', '.join(sorted(known))}"
        )
    changes = {name: card[f"default_{name}"] for name in ("query", "pointing") if f"default_{name}" in card}
    try:
        defaults = PruneConfig(**changes)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    tower = None
    if "text_tower" in card:
        tower = f"local-dir:{(path.parent / card['text_tower']).resolve()}"
    return Card(defaults, tower, card.get("knows", ""), card.get("why_query", ""))


@torch.no_grad()
def weights_fingerprint(model: nn.Module) -> str:
    """Return a hash of a model's parameters: their names, shapes, number formats and samples of their values.

    It tells apart two models of the same name. The device plays no part. Weights that differ only between
    the samples get the same hash: training changes all weights, so this is enough to tell models apart, but
    it is no proof against forgery. The values of weights that are offloaded to disk are not read.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, weight in model.named_parameters():
        digest.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        if weight.is_meta or not weight.numel():
            continue
        digest.update(_sample(weight).numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def find_not_finite(model: nn.Module) -> str:
    """Return the name of a parameter of which a sampled value is NaN or infinite; "" if there is none."""
    for name, weight in model.named_parameters():
        is_read = not weight.is_meta and weight.numel() and weight.is_floating_point()
        if is_read and not _sample(weight).isfinite().all():
            return name
    return ""


def _sample(weight: torch.Tensor) -> torch.Tensor:
    """Return SAMPLED evenly spaced entries of a flattened parameter, as float32 on the CPU."""
    flat = weight.detach().flatten()
    count = min(SAMPLED, flat.numel())
    places = torch.linspace(0, flat.numel() - 1, count, dtype=torch.float64).long()
    return flat[places.to(flat.device)].float().cpu()


def quantisation(model: nn.Module) -> str | None:
    """Return "int8" or "int4" if the weights are held in that format, else None."""
    for name, bits in (("int8", 8), ("int4", 4)):
        if getattr(model, f"is_loaded_in_{bits}bit", False):
            return name
    return None
