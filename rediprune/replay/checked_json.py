"""One value out of a stranger's JSON: its type, shape and range checked, or one sentence on what is wrong."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

LONGEST = 20_000  # characters in one text
MOST_TEXTS = 10_000  # in one list of texts
MOST_COUNT = 2**40  # where nothing says how many there may be: products of six of them still fit a float


class TraceError(ValueError):
    """The file is no trace that can be opened; the message is one sentence for the person who gave it."""


def part(given: Mapping[str, Any], name: str, kind: type) -> Any:
    """The value of that name, of exactly this type."""
    if type(found := given.get(name)) is not kind:
        words = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
        raise TraceError(f"its part {name!r} is missing or not {words[kind]}")
    return found


def text(given: Mapping[str, Any], name: str) -> str:
    """A text that is not too long."""
    if len(found := part(given, name, str)) > LONGEST:
        raise TraceError(f"its part {name!r} is longer than {LONGEST:,} characters")
    return found


def texts(given: Mapping[str, Any], name: str) -> list[str]:
    """A list of texts."""
    found = part(given, name, list)
    if len(found) > MOST_TEXTS:
        raise TraceError(f"its part {name!r} holds more than {MOST_TEXTS:,} texts")
    if any(type(text) is not str or len(text) > LONGEST for text in found):
        raise TraceError(f"its part {name!r} must hold texts, none longer than {LONGEST:,} characters")
    return found


def number(value: object, name: str, least: float = -math.inf, most: float = math.inf) -> float:
    """A float as export spells it: null is NaN, which passes any `least`."""
    spelled = {None: math.nan, "inf": math.inf, "-inf": -math.inf}
    if isinstance(value, str | None) and value in spelled:
        value = spelled[value]
    try:
        found = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    except OverflowError:  # a whole number beyond every float
        found = None
    if found is None or found < least or found > most:
        raise TraceError(f"its {name} holds {reprlib.repr(value)} where a number belongs")
    return found


def finite(value: object, name: str, least: float = -math.inf, most: float = math.inf) -> float:
    """A number within [least, most] that is neither NaN nor infinite."""
    if not math.isfinite(found := number(value, name)):
        raise TraceError(f"its {name} is not finite")
    return number(found, name, least, most)


def all_numbers(kind: type, given: Mapping[str, Any]) -> dict[str, float]:
    """One finite number >= 0 for each field of a dataclass."""
    return {f.name: finite(given.get(f.name), f.name, 0) for f in fields(kind)}


def whole(value: object, name: str, least: int, most: int = MOST_COUNT) -> int:
    """A whole number within [least, most]; true and false are none."""
    if type(value) is not int or not least <= value <= most:
        raise TraceError(f"its {name} holds {reprlib.repr(value)}, out of the range that fits")
    return value


def flat(value: object, shape: Sequence[int], name: str) -> list:
    """The entries of nested lists of exactly this shape."""
    rows: list[Any] = [value]
    for count in shape:
        if any(type(row) is not list or len(row) != count for row in rows):
            raise TraceError(f"its {name} has not the shape {list(shape)} that the rest asks for")
        rows = [entry for row in rows for entry in row]
    return rows
