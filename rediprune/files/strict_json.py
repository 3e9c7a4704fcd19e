"""Read untrusted JSON within bounds, so that every reader sees the same values.

Python's own reader accepts NaN, names that occur twice in an object, and integers of thousands of digits,
which take time quadratic in their length to print or to multiply.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

MOST_DIGITS = 20  # of an integer; the largest that this project writes is a seed below 2**64
MOST_BYTES = 32 * 2**20  # of a file, unless its reader sets another limit


class JsonError(ValueError):
    """Report text that is not valid JSON; the message is a clause about "it", for the caller's sentence."""


def parse_json(text: str | bytes) -> Any:
    """Parse a JSON text to plain values.

    Raises:
        JsonError: no JSON, nested too deeply, a name twice in an object, or an integer beyond MOST_DIGITS.
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
    """Read the object in a JSON file.

    Raises:
        JsonError: text that `parse_json` refuses, no object, or a file of more than `most_bytes`.
        OSError: the file cannot be read.
    """
    if path.stat().st_size > most_bytes:
        raise JsonError(f"it is larger than {most_bytes >> 20} MiB")
    value = parse_json(path.read_bytes())
    if not isinstance(value, dict):
        raise JsonError("it must be a JSON object")
    return value


def _no_constant(name: str) -> None:
    """Refuse NaN and the infinities, which are no JSON."""
    raise JsonError("it is no JSON, or damaged")


def _whole_number(digits: str) -> int:
    """Convert the digits of an integer, if they are not too many."""
    if len(digits) > MOST_DIGITS:
        raise JsonError(f"it holds a whole number of {len(digits):,} digits")
    return int(digits)


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object, but refuse one with a name twice, of which two readers may see different values."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise JsonError("a part of it is there twice")
    return members
