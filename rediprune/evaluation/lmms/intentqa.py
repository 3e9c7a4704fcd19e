"""Read IntentQA (Li et al., ICCV 2023) from its authors' csv files and the videos of NExT-QA.

This has not been run on the real data, which cannot be downloaded here. The columns are those of
github.com/JoseponLee/IntentQA: video_id, ..., question, answer (index of the right one), qid, type (CW, CH,
TP, TN), a0 .. a4, ...
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from .local import LETTERS, find_videos, refuse_twice


def documents(annotations: Path, videos: Path) -> Iterator[dict]:
    """Yield the questions of a split.

    Raises:
        ValueError: another file, a damaged one, an answer that is no option, a question twice, or videos
            missing.
    """
    try:
        with annotations.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{annotations} is no csv file, or damaged ({error}): fetch it again") from None
    needed = {"video_id", "question", "answer", "qid", "type", *(f"a{i}" for i in range(5))}
    if not rows or not needed <= rows[0].keys():
        raise ValueError(
            f"{annotations} is no split of IntentQA: its columns must be {sorted(needed)} and more"
        )
    for number, row in enumerate(rows, 1):
        # Cells that are too many lie under None; missing ones are None.
        if None in row or None in row.values():
            raise ValueError(
                f"question {number} of {annotations} has too few or too many columns: is the file cut off?"
            )
    refuse_twice((f"{row['video_id']}_{row['qid']}" for row in rows), annotations)
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
