"""Read STAR (Wu et al., NeurIPS 2021) from its authors' json files and the videos of Charades.

This has not been run on the real data, which cannot be downloaded here. A question is about the seconds
start..end of its video; only these are shown. Its kind is the first word of its id: Interaction, Sequence,
Prediction, Feasibility.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from .local import LETTERS, find_videos


def documents(annotations: Path, videos: Path) -> Iterator[dict]:
    """Yield the questions of a split that has answers (train or val).

    Raises:
        ValueError: another file, the test split, or videos missing.
    """
    rows = json.loads(annotations.read_text(encoding="utf-8"))
    needed = {"question_id", "question", "video_id", "start", "end", "choices", "answer"}
    if not isinstance(rows, list) or not rows or not all(needed <= row.keys() for row in rows):
        raise ValueError(
            f"{annotations} is no split of STAR with answers: its questions need {sorted(needed)}"
        )
    paths = find_videos(videos, (row["video_id"] for row in rows))
    for row in rows:
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
