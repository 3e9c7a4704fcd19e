"""Turn the arguments of an endpoint into media and settings, and settings into plain data."""

from __future__ import annotations

from torch import Tensor

from rediprune import Explainer, PruneConfig
from rediprune.draw import picture_index
from rediprune.explainer.encode import MediaInput
from rediprune.tokens import VisionTokens

from ..state.options import QUERIES, default_query, query_name, to_prune_config
from ..state.sources import file_source, load_frames

MODELS_OWN = "default"  # whichever query is the open model's default


def load_media_argument(media: object, n_frames: object) -> tuple[MediaInput, tuple[str, ...]]:
    """Return the picture or the frames, and sentences on what had to be done to them.

    Raises:
        ValueError: no uploaded file, one that cannot be read, or n_frames out of range.
    """
    return load_frames(file_source(media, n_frames))


def checked_settings(
    explainer: Explainer, keep_ratio: object, weight: object, method: object, query: object, budget: object
) -> PruneConfig:
    """Return the settings after checking them; the query MODELS_OWN is `explainer`'s default.

    Raises:
        ValueError: anything out of range or unknown.
    """
    for name, value in (("method", method), ("query", query), ("budget", budget)):
        if not isinstance(value, str):
            raise ValueError(f"{name}={value!r} is unknown: it must be text.")
    if query not in (known := (MODELS_OWN, *QUERIES)):
        raise ValueError(f"query={query!r} is unknown: choose one of {', '.join(known)}.")
    query = default_query(explainer) if query == MODELS_OWN else query
    return to_prune_config(explainer, {"keep": keep_ratio, "weight": weight}, method, query, budget)


def settings_dict(config: PruneConfig) -> dict:
    """Return the settings that were used, in the form that an endpoint takes."""
    return {
        "keep_ratio": config.keep_ratio,
        "weight": config.weight,
        "method": config.method,
        "query": query_name(config),
        "budget": config.budget,
    }


def describe_frames(media: MediaInput, vision: VisionTokens, kept: Tensor) -> list[dict]:
    """Return for each frame (or part) when it is shown, and how many of its tokens were kept."""
    each = zip(picture_index(len(media.frames), vision), vision.counts, vision.per_frame(kept), strict=True)
    return [
        {"second": media.seconds[i] if media.seconds else None, "tokens": count, "kept": len(tokens)}
        for i, count, tokens in each
    ]
