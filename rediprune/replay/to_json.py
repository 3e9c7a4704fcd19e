"""Convert a Trace to plain JSON values: the exact run, to be stored, compared or drawn elsewhere.

Features and pictures are left out: `replay.file` adds them. `replay.from_json` is the way back.
"""

from __future__ import annotations

import math
import platform
from dataclasses import asdict, fields, is_dataclass
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from ..costs.estimate import definition
from ..costs.stopwatch import Timing
from ..tokens import Geometry
from ..trace import Answer, Trace
from ..version import __version__

FORMAT = 3  # 1 listed kept tokens frame by frame; 2 could not be opened again


def as_dict(trace: Trace, timings: dict[str, Timing] | None = None) -> dict[str, Any]:
    """Return everything in the trace except the visual features and the vectors of the query.

    "kept" holds flat token indices (t * N + n), "order" indices within each group that was selected from,
    and "present" a list of N truth values for each frame, or null if no token is missing. "estimated" holds
    the estimates with the definition of every ratio, "measured" the measurements. NaN (the first pick has no
    distance) becomes null and an infinite alpha "inf", so the result is valid JSON.

    Args:
        timings: "full" and "pruned" timings, whose medians are added to the measurements.
    """
    timed = ("seconds", "first_token_seconds")
    answers = {}
    measured = {}
    for name in ("full", "pruned"):
        parts = {f.name: getattr(getattr(trace, name), f.name) for f in fields(Answer)}
        answers[name] = {part: value for part, value in parts.items() if part not in timed}
        measured[name] = {part: parts[part] for part in timed} | {"runs": 1}
    for name, timing in (timings or {}).items():
        measured[name]["medians"] = timing
    return _plain(
        {
            "format": FORMAT,
            "versions": _versions(),
            "model": trace.model_name,
            "fingerprint": trace.fingerprint,
            "question": trace.question,
            "config": asdict(trace.config) | {"weight": trace.config.weight},
            "frames": [_place(geometry) for geometry in trace.vision.geometry],
            "clip": trace.clip,
            "seconds": trace.seconds,
            "present": trace.vision.valid,
            "query": {
                "name": trace.query.name,
                "sign": trace.query.sign,
                "tokens": trace.query.tokens,
                "weights": trace.query.weights,
            },
            "selection": {
                name: getattr(trace.selection, name)
                for name in ("order", "relevance", "distance", "score", "alphas")
            },
            "kept": trace.kept,
            "answers": answers,
            "agreement": trace.agreement,
            "estimated": {
                **asdict(trace.savings),
                "definitions": {
                    name: definition(name) for name in ("visual_only", "prefill", "end_to_end", "kv_bytes")
                },
            },
            "costs": trace.costs,
            "measured": measured,
            "notes": trace.notes,
        }
    )


def _versions() -> dict[str, str]:
    """Return the Python, torch, transformers and rediprune versions.

    Other versions may change picks and answers in the last bit.
    """
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "rediprune": __version__,
        "transformers": version("transformers"),
    }


def _place(geometry: Geometry) -> dict[str, Any]:
    """Return the geometry of one frame under the names of the file format, which stay as they were."""
    names = {"n_global": "whole", "cell_edges": "uneven"}
    return {names.get(name, name): value for name, value in asdict(geometry).items()}


def _plain(value: Any) -> Any:
    """Convert tensors, records and sequences to plain JSON values, at any depth."""
    if isinstance(value, Tensor):
        value = value.tolist()
    elif is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        if math.isnan(value):
            return None
        if math.isinf(value):
            return "inf" if value > 0 else "-inf"
    return value
