"""The names that transformers changes from one release to the next, each looked up in what is installed.

Serves transformers 5.16 to 5.24. The key-value cache is `past_key_values` up to 5.23: as argument of
`generate` and `forward`, in the keyword arguments that hooks are handed, and as field of outputs. From 5.24
on it is `cache`; there the old name still works, with a FutureWarning or a log line, until 5.40. Whoever
touches the cache takes its name from here, and no other file writes the old one.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import transformers
from transformers.generation import RepetitionPenaltyLogitsProcessor
from transformers.modeling_outputs import BaseModelOutputWithPast

#: Major and minor of the installed transformers.
INSTALLED = tuple(int(number) for number in transformers.__version__.split(".")[:2])

# Newest first. State-space models say `cache_params`, which generate takes as `cache` since 5.24.
CACHE_NAMES = ("cache", "past_key_values", "cache_params")

_FIELDS = {field.name for field in dataclasses.fields(BaseModelOutputWithPast)}

#: What the installed transformers calls the cache.
CACHE = next(name for name in CACHE_NAMES if name in _FIELDS)


_IGNORED = inspect.signature(RepetitionPenaltyLogitsProcessor).parameters["prompt_ignore_length"]

#: Whether generate's repetition penalty leaves the padding of each row out; up to 5.20 it counts as text.
PENALTY_SKIPS_PADDING = "Tensor" in str(_IGNORED.annotation)


def cache_argument(cache: Any) -> dict[str, Any]:
    """Return the keyword argument that hands a cache to `forward` or `generate`."""
    return {CACHE: cache}


def caches_in(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the caches among the keyword arguments of a call, by the name that the caller used.

    `arguments` is a plain mapping, such as those of a hook: a ModelOutput of transformers answers to old
    names too, and says so in the log.
    """
    return {name: arguments[name] for name in CACHE_NAMES if arguments.get(name) is not None}


def cached_length(arguments: Mapping[str, Any]) -> int:
    """Return how many tokens the caches among the keyword arguments of a call hold; 0 without a cache."""
    caches = caches_in(arguments).values()
    return max((cache.get_seq_length() for cache in caches if hasattr(cache, "get_seq_length")), default=0)


def cache_of(output: object) -> Any:
    """Return the cache that a forward or a generate call handed back, or None."""
    return getattr(output, CACHE, None)


def without_cache(output: Any) -> Any:
    """Return the output of a generate call with None for its cache, and the output itself if it has none."""
    if cache_of(output) is None:
        return output
    return type(output)(**{**output, CACHE: None})
