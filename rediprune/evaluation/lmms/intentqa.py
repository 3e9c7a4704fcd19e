"""Read IntentQA (Li et al., ICCV 2023) from its authors' csv files and the videos of NExT-QA.

This has not been run on the real data, which cannot be downloaded here. The columns are those of
github.com/JoseponLee/IntentQA: video_id, ..., question, answer (index of the right one), qid, type (CW, CH,
TP, TN), a0 .. a4, ...
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from .local import LETTERS, find_videos


def documents(annotations: Path, videos: Path) -> Iterator[dict]:
    """Yield the questions of a split.

    Raises:
        ValueError: another file, an answer that is no option, or videos missing.
    """
    with annotations.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    needed = {"video_id", "question", "answer", "qid", "type", *(f"a{i}" for i in range(5))}
    if not rows or not needed <= rows[0].keys():
        raise ValueError(
            f"{annotations} is no split of IntentQA: its columns must be {sorted(needed)} and more"
        )
    paths = find_videos(videos, (row["video_id"] for row in rows))
    for row in rows:
        if row["answer"] not in {"0", "1", "2", "3", "4"}:
            raise ValueError(
                f"question {row['qid']} of {row['video_id']}: its answer {row['answer']!r} is not 0..4"
            )
        yield {
            "id": f"{row['video_id']}_{row['qid']}",
            "media": paths[row["video_id"]],
            "start": None,
            "end": None,
            "question": row["question"].strip(),
            "options": [row[f"a{i}"].strip() for i in range(5)],
            "answer": LETTERS[int(row["answer"])],
            "kind": row["type"],
        }
