"""Check values of a stranger's JSON: type, shape and range, or one sentence that says what is wrong."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from typing import Any

LONGEST = 20_000  # characters in one text
MOST_TEXTS = 10_000  # texts in one list
MOST_COUNT = 2**40  # limit of counts that nothing else limits: a product of six of them still fits a float


class TraceError(ValueError):
    """Say in one sentence, for the person who gave the file, why it cannot be opened as a trace."""


def get_part(record: Mapping[str, Any], name: str, kind: type) -> Any:
    """Return the value of that name, which must have exactly this type (dict, list, str or bool)."""
    value = record.get(name)
    if type(value) is not kind:
        words = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
        raise TraceError(f"its part {name!r} is missing or not {words[kind]}")
    return value


def get_text(record: Mapping[str, Any], name: str) -> str:
    """Return the text of that name, of at most LONGEST characters."""
    text = get_part(record, name, str)
    if len(text) > LONGEST:
        raise TraceError(f"its part {name!r} is longer than {LONGEST:,} characters")
    return text


def get_texts(record: Mapping[str, Any], name: str) -> list[str]:
    """Return the list of texts of that name: at most MOST_TEXTS, of at most LONGEST characters each."""
    texts = get_part(record, name, list)
    if len(texts) > MOST_TEXTS:
        raise TraceError(f"its part {name!r} holds more than {MOST_TEXTS:,} texts")
    if any(type(text) is not str or len(text) > LONGEST for text in texts):
        raise TraceError(f"its part {name!r} must hold texts, none longer than {LONGEST:,} characters")
    return texts


def to_number(value: object, name: str, least: float = -math.inf, most: float = math.inf) -> float:
    """Convert a number as to_json writes it: null is NaN, which passes all limits, and "inf" is infinity.

    Args:
        name: what the error message calls it.
        least, most: the range.
    """
    spelled = {None: math.nan, "inf": math.inf, "-inf": -math.inf}
    if isinstance(value, str | None) and value in spelled:
        value = spelled[value]
    number = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        with suppress(OverflowError):  # a whole number that is larger than every float
            number = float(value)
    if number is None or number < least or number > most:
        raise TraceError(f"its {name} holds {reprlib.repr(value):.80} where a number belongs")
    return number


def to_finite(value: object, name: str, least: float = -math.inf, most: float = math.inf) -> float:
    """Convert a number within [least, most] that is neither NaN nor infinite."""
    number = to_number(value, name)
    if not math.isfinite(number):
        raise TraceError(f"its {name} is not finite")
    return to_number(number, name, least, most)


def get_fields(kind: type, record: Mapping[str, Any]) -> dict[str, float]:
    """Return one finite number >= 0 for each field of a dataclass."""
    return {f.name: to_finite(record.get(f.name), f.name, 0) for f in fields(kind)}


def to_whole(value: object, name: str, least: int, most: int = MOST_COUNT) -> int:
    """Return a whole number within [least, most]; true and false are refused."""
    if type(value) is not int or not least <= value <= most:
        raise TraceError(f"its {name} holds {reprlib.repr(value):.80}, out of the range that fits")
    return value


def flatten(value: object, shape: Sequence[int], name: str) -> list:
    """Return the entries of nested lists of exactly this shape as one list, row by row."""
    rows: list[Any] = [value]
    for count in shape:
        if any(type(row) is not list or len(row) != count for row in rows):
            raise TraceError(f"its {name} has not the shape {list(shape)} that the rest asks for")
        rows = [entry for row in rows for entry in row]
    return rows
