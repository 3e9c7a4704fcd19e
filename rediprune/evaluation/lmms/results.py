"""Read a run back: lmms-eval's samples, checked against this plug-in's record of them.

A run is a folder that holds lmms-eval's samples (`--log_samples --output_path FOLDER`) and the record
(`record=FOLDER`). A sample that is missing in either or counted twice is an error.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ...files.strict_json import JsonError, read_object
from .record import read_lines

# What lmms-eval writes of a sample beside its scores.
_NOT_SCORES = {
    "doc_id",
    "target",
    "resps",
    "filtered_resps",
    "doc_hash",
    "token_counts",
    "input",
    "input_media",
}


class RunError(ValueError):
    """Report a folder that is no complete run, or runs that cannot be compared, in one sentence."""


@dataclass(frozen=True)
class EvalRun:
    """Hold one evaluated run.

    Attributes:
        folder: the folder that it was read from.
        description: what it was made with and what was observed (see record).
        samples: task -> document -> what lmms-eval wrote of it.
        media: (task, document) -> which picture or video it is about, by its pixels.
    """

    folder: Path
    description: dict
    samples: dict[str, dict[int, dict]]
    media: dict[tuple[str, int], str]

    def scores(self, task: str) -> dict[str, dict[int, float]]:
        """Collect metric -> document -> score, for the metrics that have a score for every single sample."""
        found: dict[str, dict[int, float]] = {}
        for doc, sample in self.samples[task].items():
            for name, value in sample.items():
                if name not in _NOT_SCORES and (score := _read_score(value)) is not None:
                    found.setdefault(name, {})[doc] = score
        return {name: of for name, of in found.items() if len(of) == len(self.samples[task])}


def read_run(folder: Path) -> EvalRun:
    """Read a run back from its folder.

    Raises:
        RunError: no record or several, a run that did not come to its end, no samples, or samples that do not
            agree with the record.
    """
    described = sorted(folder.glob("rediprune-*.json"))
    if len(described) != 1:
        raise RunError(
            f"{folder} holds {len(described)} runs (rediprune-*.json) and should hold one: give every run a "
            "folder of its own, by record= and --output_path"
        )
    try:
        description = read_object(described[0])
    except JsonError as error:
        raise RunError(f"{described[0]} cannot be read, for {error}: start the run again") from None
    if not description.get("complete"):
        raise RunError(f"the run in {folder} did not come to its end: start it again, and it goes on")
    files = folder.glob(f"{described[0].stem}.rank*.jsonl")
    answers = [line for file in sorted(files) for line in read_lines(file)]
    try:
        media = {(line["task"], line["doc_id"]): line["media"] for line in answers}
    except (KeyError, TypeError):
        raise RunError(
            f"a line of {described[0].stem}.rank*.jsonl names no task, document or medium"
        ) from None
    samples = {}
    for task in {task for task, _ in media}:
        written = sorted(folder.rglob(f"*_samples_{task}.jsonl"))
        if written:  # of several, the latest: their names begin with the date
            samples[task] = _read_samples(written[-1], task, media)
    if not samples:
        raise RunError(f"{folder} holds no samples: run lmms-eval with --log_samples --output_path {folder}")
    return EvalRun(folder, description, samples, media)


def _read_samples(file: Path, task: str, media: dict) -> dict[int, dict]:
    found: dict[int, dict] = {}
    *lines, rest = file.read_bytes().split(b"\n")  # not splitlines: a question may hold U+2028
    if rest.strip():
        raise RunError(f"{file} is cut off in its last line, {len(lines) + 1}: run lmms-eval again")
    for number, line in enumerate(lines, 1):
        try:
            sample = json.loads(line)
            sample["doc_id"].__index__()
        except (ValueError, LookupError, TypeError, AttributeError):
            raise RunError(
                f"line {number} of {file} is no sample with a doc_id: run lmms-eval again"
            ) from None
        if sample["doc_id"] in found:
            raise RunError(f"{file} counts document {sample['doc_id']} twice")
        found[sample["doc_id"]] = sample
    if alien := [doc for doc in found if (task, doc) not in media]:
        raise RunError(
            f"{file} holds {len(alien)} samples that are not on record, such as document {alien[0]}"
        )
    if lost := [doc for of, doc in media if of == task and doc not in found]:
        raise RunError(
            f"{file} lacks {len(lost)} samples that are on record, such as document {lost[0]}: start the run "
            "again without --limit, or with another folder for record="
        )
    return found


def _read_score(value: object) -> float | None:
    """Read the score of one sample, however a task writes it; None where there is none."""
    if isinstance(value, dict):
        if "score" in value:
            value = value["score"]
        elif {"pred", "ground_truth"} <= set(value):
            value = value["pred"] == value["ground_truth"]
    return float(value) if isinstance(value, bool | int | float) else None
