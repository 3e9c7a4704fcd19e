"""Read a task's generation_kwargs: each is honoured or refused with an error."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

# What lmms-eval's own LLaVA decodes at most where a task says nothing.
MAX_NEW_TOKENS = 1024
# Without sampling these settings change nothing, whatever their value.
_SAMPLING_SETTINGS = ("temperature", "top_p", "top_k")
# How LLaVA's own repository prepares pictures; some tasks set it among the settings of decoding. Here the
# checkpoint's processor prepares pictures, and nothing else can.
_PICTURE_SETTINGS = ("image_aspect_ratio",)


@dataclass(frozen=True)
class Decoding:
    """Hold how an answer is decoded: greedily or by beam search.

    Attributes:
        max_new_tokens: >= 1.
        num_beams: >= 1.
        until: an answer ends before the first of these strings that occurs in it.
    """

    max_new_tokens: int = MAX_NEW_TOKENS
    num_beams: int = 1
    until: tuple[str, ...] = ()

    def cut(self, text: str) -> str:
        """Cut an answer before the first stop string and strip it."""
        ends = [at for stop in self.until if (at := text.find(stop)) >= 0]
        return text[: min(ends, default=len(text))].strip()


def read_decoding(kwargs: Mapping[str, object], task: str = "") -> Decoding:
    """Read what a task asks for.

    Raises:
        ValueError: sampling (two runs could not be compared sample by sample), or a setting that would change
            answers and is not known here; one sentence.
    """
    left = dict(kwargs)
    source = f"generation_kwargs of {task or 'the task'}"
    if left.pop("do_sample", False) or (left.get("temperature") or 0) > 0:
        sampling = _format_settings(kwargs, "do_sample", "temperature")
        raise ValueError(
            f"{source} ask for sampling ({sampling}), with which two runs cannot be compared: pass "
            "--gen_kwargs do_sample=False,temperature=0"
        )
    for name in _SAMPLING_SETTINGS:
        left.pop(name, None)
    for name in _PICTURE_SETTINGS:
        if (value := left.pop(name, None)) is not None:
            warnings.warn(
                f"{source} say {name}={value!r}, which has no effect: the checkpoint's own processor "
                "prepares pictures and videos",
                stacklevel=2,
            )
    until = left.pop("until", None) or ()
    until = (until,) if isinstance(until, str) else tuple(until)
    numbers = {name: left.pop(name) for name in ("max_new_tokens", "num_beams") if left.get(name) is not None}
    for name, value in numbers.items():
        if isinstance(value, bool) or int(value) != value or value < 1:
            raise ValueError(f"{source} say {name}={value!r}: it must be a whole number of at least 1")
        numbers[name] = int(value)
    if left := {name: value for name, value in left.items() if value is not None}:
        raise ValueError(
            f"{source} say {_format_settings(left, *left)}, which rediprune does not know and will not "
            "ignore: it knows max_new_tokens, num_beams, until, and temperature=0"
        )
    return Decoding(**numbers, until=tuple(stop for stop in until if stop))


def _format_settings(kwargs: Mapping[str, object], *names: str) -> str:
    return ", ".join(f"{name}={kwargs[name]!r}" for name in names if name in kwargs)
