"""List what the model menu offers: every public checkpoint as plain data, and which of them fit now."""

from __future__ import annotations

import json

from rediprune.explainer.explainer import DEFAULT_MODEL
from rediprune.models.checkpoints.catalog import CATALOG, Checkpoint
from rediprune.models.checkpoints.memory import FORMS, Room, fit, needed_bytes, room
from rediprune.models.checkpoints.placement import why_not_quantised

BUILT_IN = "built-in"  # in the field for names: the model that comes with the repository
# Number formats of the weights: arguments of ModelHolder.open, column of the estimates, and label.
PRECISIONS = {
    "stored": ({}, "bf16", "as stored"),
    "bf16": ({"dtype": "bfloat16"}, "bf16", "bfloat16"),
    "int8": ({"quantise": "int8"}, "int8", "int8"),
    "int4": ({"quantise": "int4"}, "int4", "int4"),
}
OFFERED = CATALOG


def rows() -> str:
    """Return what never changes, as JSON for the browser: every checkpoint, and the number formats."""
    models = [
        {
            "name": entry.name,
            "title": entry.title,
            "takes": entry.takes,
            "parameters": parameters(entry.parameters),
            "unverified": not entry.verified,
        }
        for entry in OFFERED
    ]
    precisions = {name: {"column": column, "said": label} for name, (_, column, label) in PRECISIONS.items()}
    built_in = BUILT_IN if DEFAULT_MODEL.is_dir() else ""
    return json.dumps({"models": models, "precisions": precisions, "built_in": built_in})


def fits(device: str, freed: int) -> str:
    """Return as JSON one estimate per checkpoint and number format, and what is free on the device.

    Args:
        device: "cpu", "cuda", "cuda:1" or "mps".
        freed: bytes that come free when the open model is closed.
    """
    here = room(device, freed)
    free = (
        f"{here.free / 2**30:.1f} GiB are free for a model on {device} now." if here.free is not None else ""
    )
    return json.dumps(
        {
            "room": free,
            "quantised": why_not_quantised(device),
            "models": {entry.name: _estimates(entry, here) for entry in OFFERED},
        }
    )


def parameters(count: int) -> str:
    """Return a count of parameters as text: 7063427072 -> "7.06 B", 3421696 -> "3.4 M"."""
    return f"{count / 1e9:.2f} B" if count >= 1e8 else f"{count / 1e6:.1f} M"


def _estimates(entry: Checkpoint, here: Room) -> dict:
    found = {form: fit(entry, form, here) for form in FORMS}
    return {
        form: {
            "need": f"{needed_bytes(entry, form) / 2**30:.1f}",
            "verdict": made.verdict,
            "sentence": made.sentence,
        }
        for form, made in found.items()
    }
