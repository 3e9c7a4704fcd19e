"""Read lmms-eval's model_args; an argument without a meaning here is an error and never ignored."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path

from ...config import PruneConfig
from ...explainer.explainer import DEFAULT_MODEL

PRUNE_FIELDS = tuple(f.name for f in fields(PruneConfig))


@dataclass(frozen=True)
class Settings:
    """Hold everything that model_args may set.

    Attributes:
        pretrained: a folder or a Hub name.
        prune_settings: the fields of PruneConfig that were given; the others are the model's own defaults.
        n_frames: frames taken of a video, uniformly in time.
        device, dtype, quantise: as `rediprune.load` takes them.
        record: the folder that every answer is written to, and read from when the run is started again.
        batch_size: samples that the LLM answers at once.
    """

    pretrained: str = str(DEFAULT_MODEL)
    prune_settings: dict = field(default_factory=dict)
    n_frames: int = 8
    device: str = "auto"
    dtype: str = "auto"
    quantise: str | None = None
    record: Path = Path("rediprune-record")
    batch_size: int = 1


def read_settings(args: dict) -> Settings:
    """Read the arguments that lmms-eval made of model_args and of its own flags.

    Raises:
        ValueError: an unknown name, or a value that makes no sense; one sentence.
    """
    arguments = {name: value for name, value in args.items() if value is not None}
    arguments.pop("max_batch_size", None)  # lmms-eval hands it to every model; only `auto` would read it
    own = {f.name for f in fields(Settings)} - {"prune_settings"}
    for name in arguments:
        if name not in own and name not in PRUNE_FIELDS:
            known = sorted([*own, *PRUNE_FIELDS])
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"it knows {', '.join(known)}"
            raise ValueError(
                f"model_args has {name}={arguments[name]!r}, which rediprune does not know: {hint}"
            )
    prune_settings = {name: _parse_value(value) for name, value in arguments.items() if name in PRUNE_FIELDS}
    PruneConfig(**prune_settings)
    values = {name: value for name, value in arguments.items() if name in own}
    for name, least in (("n_frames", 1), ("batch_size", 1)):
        if name in values:
            values[name] = _parse_count(name, values[name], least)
    values["pretrained"] = str(values.get("pretrained", DEFAULT_MODEL))
    values["record"] = Path(values.get("record", Settings.record)).expanduser()
    return Settings(**values, prune_settings=prune_settings)


def _parse_value(value: object) -> object:
    """Turn the word "inf" into a number: lmms-eval reads all other numbers itself."""
    return math.inf if value == "inf" else value


def _parse_count(name: str, value: object, least: int) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = least - 1
    if number < least:
        raise ValueError(f"{name}={value!r} is out of range: it must be a whole number of at least {least}")
    return number
