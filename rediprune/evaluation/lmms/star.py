"""Read STAR (Wu et al., NeurIPS 2021) from its authors' json files and the videos of Charades.

This has not been run on the real data, which cannot be downloaded here. A question is about the seconds
start..end of its video; only these are shown. Its kind is the first word of its id: Interaction, Sequence,
Prediction, Feasibility.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...files.strict_json import JsonError, parse_json
from .local import LETTERS, find_videos, refuse_twice

# What a question must hold, and of which type.
NEEDED = {
    "question_id": str,
    "question": str,
    "video_id": str,
    "start": int | float,
    "end": int | float,
    "choices": list,
    "answer": str,
}


def _is_question(row: object) -> bool:
    """Return whether a row of the file holds all that a question needs."""
    if not isinstance(row, dict):
        return False
    has_all = all(isinstance(row.get(name), kind) for name, kind in NEEDED.items())
    return has_all and all(
        isinstance(one, dict) and isinstance(one.get("choice"), str) and isinstance(one.get("choice_id"), int)
        for one in row["choices"]
    )


def documents(annotations: Path, videos: Path) -> Iterator[dict]:
    """Yield the questions of a split that has answers (train or val).

    Raises:
        ValueError: another file, a damaged one, the test split, a question twice, or videos missing.
    """
    try:
        rows = parse_json(annotations.read_bytes())
    except JsonError as error:
        raise ValueError(f"{annotations} cannot be read, for {error}: fetch it again") from None
    if not isinstance(rows, list) or not rows or not all(map(_is_question, rows)):
        raise ValueError(
            f"{annotations} is no split of STAR with answers: its questions need {sorted(NEEDED)}"
        )
    refuse_twice((row["question_id"] for row in rows), annotations)
    paths = find_videos(videos, (row["video_id"] for row in rows))
    for row in rows:
        if row["start"] > row["end"]:
            raise ValueError(
                f"{row['question_id']}: it ends at {row['end']} s, before it begins at {row['start']} s"
            )
        options = [one["choice"].strip() for one in sorted(row["choices"], key=lambda one: one["choice_id"])]
        if row["answer"].strip() not in options[: len(LETTERS)]:
            raise ValueError(f"{row['question_id']}: the answer {row['answer']!r} is not in {options[:5]}")
        yield {
            "id": row["question_id"],
            "media": paths[row["video_id"]],
            "start": float(row["start"]),
            "end": float(row["end"]),
            "question": row["question"].strip(),
            "options": options,
            "answer": LETTERS[options.index(row["answer"].strip())],
            "kind": row["question_id"].partition("_")[0],
        }
