"""Write benchmarks from files on this machine: a folder of documents and the yaml that lmms-eval finds.

A document is one question:

    id        names it within the benchmark
    media     absolute path of its picture or video
    start     seconds from which the video is shown, or null: from its beginning
    end       seconds up to which it is shown, or null: to its end
    question  as asked, without its options
    options   to choose from, or [] where the answer is open
    answer    the letter of the right option, or the words expected
    kind      of question, in the benchmark's own words
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ...files.atomic_write import replace_file, write_text
from .samples import Segment

FIELDS = ("id", "media", "start", "end", "question", "options", "answer", "kind")
LETTERS = "ABCDE"
INSTRUCTION = "Answer with the option's letter from the given choices directly."
TEMPLATE = Path(__file__).parent / "tasks" / "local.yaml"


def write_task(folder: Path, name: str, documents: Iterable[dict]) -> Path:
    """Write the documents and the task's yaml into a folder for --include_path; return the yaml's path.

    Raises:
        ValueError: no documents, one without its fields, or more options than LETTERS.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with replace_file(folder / "test.jsonl") as part, part.open("w", encoding="utf-8") as file:
        for document in documents:
            if tuple(document) != FIELDS:
                raise ValueError(f"document {count} has the fields {tuple(document)}, not {FIELDS}")
            if len(document["options"]) > len(LETTERS):
                raise ValueError(f"{document['id']} has more options than the letters {LETTERS}")
            file.write(json.dumps(document, ensure_ascii=False) + "\n")
            count += 1
        if not count:
            raise ValueError(f"{name} has no documents: nothing was found to ask")
    task = f"task: {name}\n{TEMPLATE.read_text(encoding='utf-8')}"
    return write_text(folder / f"{name}.yaml", task)


# What the yaml names -------------------------------------------------------------------------------------


def visual(doc: dict) -> list:
    """Return the document's picture or video in a list: its path, or the Segment that is asked about."""
    if doc["start"] is None:
        return [doc["media"]]
    return [Segment(doc["media"], doc["start"], doc["end"])]


def text(doc: dict, lmms_eval_specific_kwargs: dict | None = None) -> str:
    """Write the prompt: the question, and where it has options, these and how to answer."""
    if not doc["options"]:
        return doc["question"]
    options = [f"{letter}. {option}" for letter, option in zip(LETTERS, doc["options"], strict=False)]
    return "\n".join([doc["question"], *options, INSTRUCTION])


def target(doc: dict) -> str:
    """Return the expected answer."""
    return doc["answer"]


def score(doc: dict, results: list[str]) -> dict[str, float]:
    """Score an answer: exact_match is 1 where it is the expected one, 0 also where it names no option."""
    answer = results[0].strip()
    if doc["options"]:
        answer = _match_option(answer, doc["options"])
    return {"exact_match": float(answer.casefold() == doc["answer"].casefold())}


def _match_option(answer: str, options: list[str]) -> str:
    """Return the letter of the option that an answer names, by all of its words or its first letter."""
    letters = LETTERS[: len(options)]
    plain = [option.strip(" .").casefold() for option in options]
    words = answer.strip(" .").casefold()
    if plain.count(words) == 1:
        return letters[plain.index(words)]
    found = re.match(rf"\(?([{letters}])(?:[).:,]|\s*$)", answer)  # "A cat" is no choice of A
    return found[1] if found else ""


def refuse_twice(names: Iterable[str], file: Path) -> None:
    """Raise ValueError where a question is in a file twice; the message names it."""
    name, count = next(iter(Counter(names).most_common(1)))
    if count > 1:
        raise ValueError(f"{file} holds the question {name} {count} times: each may be there once")


def find_videos(folder: Path, ids: Iterable[str]) -> dict[str, str]:
    """Map each id to the absolute path of the video with that name, at any depth of the folder.

    Raises:
        ValueError: no video for some ids, or several for one; the message names one of them.
    """
    wanted = set(ids)
    files = (file for file in folder.rglob("*") if file.suffix.lower() in (".mp4", ".mkv", ".webm", ".avi"))
    there: dict[str, str] = {}
    for file in files:
        if file.stem not in wanted:
            continue
        path = str(file.resolve())
        if there.setdefault(file.stem, path) != path:
            raise ValueError(
                f"{folder} holds two videos named {file.stem}, {there[file.stem]} and {path}: take one away"
            )
    if missing := sorted(wanted - there.keys()):
        raise ValueError(f"{folder} lacks {len(missing)} of {len(wanted)} videos, such as {missing[0]}.mp4")
    return there
