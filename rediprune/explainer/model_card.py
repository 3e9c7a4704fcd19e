"""What a model folder says about itself for this project: `rediprune.json` beside the weights, optional."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..config import PruneConfig
from ..files.strict_json import JsonError, read_object

FILE = "rediprune.json"
MOST_BYTES = 2**16  # some sentences


@dataclass(frozen=True)
class Card:
    """Facts that no config.json holds.

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
    """The card in a model folder; an empty one where there is no such file (a Hub name, or another's model).

    In the file, `text_tower` is a folder relative to the model's own; the other keys are `default_query`,
    `default_pointing`, `knows` and `why_query`, all optional strings.

    Raises:
        ValueError: the file is not a JSON object, or holds a key or value that means nothing here.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return Card()
    try:
        said = read_object(path, MOST_BYTES)
    except JsonError as error:
        raise ValueError(f"{path} is not readable as JSON: {error}") from None
    known = {"text_tower", "default_query", "default_pointing", "knows", "why_query"}
    if not known.issuperset(said) or not all(isinstance(v, str) for v in said.values()):
        raise ValueError(
            f"{path} must be a JSON object of strings with keys among {', '.join(sorted(known))}"
        )
    try:
        dials = {k: said[f"default_{k}"] for k in ("query", "pointing") if f"default_{k}" in said}
        defaults = PruneConfig(**dials)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    tower = f"local-dir:{(path.parent / said['text_tower']).resolve()}" if "text_tower" in said else None
    return Card(defaults, tower, said.get("knows", ""), said.get("why_query", ""))
