"""Read JSON that may come from anywhere: bounded, and the same for every reader.

Python's own reader takes NaN, parts that are named twice, and whole numbers of thousands of digits, which
take time quadratic in their length to print or to multiply.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MOST_DIGITS = 20  # of a whole number: more than any of ours (a seed is below 2**64)
MOST_BYTES = 32 * 2**20  # of a file that is read whole, unless its reader says otherwise


class JsonError(ValueError):
    """The text is no JSON as it should be; the message is the predicate of a sentence about "it"."""


def parse_json(text: str | bytes) -> Any:
    """Return the plain values of a JSON text.

    Raises:
        JsonError: no JSON, nested too deeply, a part named twice, or a whole number beyond MOST_DIGITS.
    """
    try:
        return json.loads(
            text, parse_constant=_no_constant, parse_int=_whole_number, object_pairs_hook=_each_name_once
        )
    except JsonError:
        raise
    except (ValueError, RecursionError):
        raise JsonError("it is no JSON, or damaged") from None


def read_object(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        JsonError: what `parse_json` refuses, no object, or a file of more than `most_bytes`.
        OSError: it cannot be read.
    """
    if path.stat().st_size > most_bytes:
        raise JsonError(f"it is larger than {most_bytes >> 20} MiB")
    found = parse_json(path.read_bytes())
    if not isinstance(found, dict):
        raise JsonError("it must be a JSON object")
    return found


def _no_constant(name: str) -> None:
    raise JsonError("it is no JSON, or damaged")


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise JsonError(f"it holds a whole number of {len(digits):,} digits")
    return int(digits)


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that names a part twice: two readers would see two different files."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise JsonError("a part of it is there twice")
    return found
