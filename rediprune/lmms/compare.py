"""Two runs of the same tasks -> the difference between them, sample by sample, with its interval.

A run is a folder that holds lmms-eval's samples (`--log_samples --output_path FOLDER`) and our record of it
(`record=FOLDER`). Every sample is held against the record: one lost or counted twice is an error.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .record import lines

DRAWS = 2000
# What lmms-eval writes of a sample beside its scores.
_NO_SCORE = {
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
    """A folder that is no complete run, or two that cannot be compared; the message is one sentence."""


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        folder: that it was read from.
        description: what it was made with and what was observed (see record).
        samples: task -> document -> what lmms-eval wrote of it.
        media: (task, document) -> which picture or video it is about, by its pixels.
    """

    folder: Path
    description: dict
    samples: dict[str, dict[int, dict]]
    media: dict[tuple[str, int], str]

    def scores(self, task: str) -> dict[str, dict[int, float]]:
        """Metric -> document -> score, of the metrics that have a score for every single sample."""
        found: dict[str, dict[int, float]] = {}
        for doc, sample in self.samples[task].items():
            for name, value in sample.items():
                if name not in _NO_SCORE and (score := _score(value)) is not None:
                    found.setdefault(name, {})[doc] = score
        return {name: of for name, of in found.items() if len(of) == len(self.samples[task])}


@dataclass(frozen=True)
class Difference:
    """B minus A on the same samples of one task, by one metric.

    Attributes:
        n: samples.
        groups: pictures or videos that they are about; the interval redraws whole groups.
        mean_a, mean_b, mean: of the scores, and of B - A.
        interval: 95%, of the latter.
        better, worse: samples on which B scores higher, lower.
    """

    task: str
    metric: str
    n: int
    groups: int
    mean_a: float
    mean_b: float
    mean: float
    interval: tuple[float, float]
    better: int
    worse: int


def read_run(folder: Path) -> Run:
    """Read a run back.

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
    description = json.loads(described[0].read_text(encoding="utf-8"))
    if not description.get("complete"):
        raise RunError(f"the run in {folder} did not come to its end: start it again, and it goes on")
    files = folder.glob(f"{described[0].stem}.rank*.jsonl")
    answers = [line for file in sorted(files) for line in lines(file)]
    media = {(line["task"], line["doc_id"]): line["media"] for line in answers}
    samples = {}
    for task in {task for task, _ in media}:
        written = sorted(folder.rglob(f"*_samples_{task}.jsonl"))
        if written:  # of several, the latest: their names begin with the date
            samples[task] = _samples(written[-1], task, media)
    if not samples:
        raise RunError(f"{folder} holds no samples: run lmms-eval with --log_samples --output_path {folder}")
    return Run(folder, description, samples, media)


def compare(a: Run, b: Run) -> list[Difference]:
    """The paired difference of every task and metric that both have.

    Raises:
        RunError: no task in common; or a task whose samples differ between the two.
    """
    tasks = sorted(set(a.samples) & set(b.samples))
    if not tasks:
        raise RunError(f"{a.folder} and {b.folder} have no task in common")
    found = []
    for task in tasks:
        _same_samples(a, b, task)
        of_a, of_b = a.scores(task), b.scores(task)
        for metric in sorted(set(of_a) & set(of_b)):
            found.append(_difference(task, metric, of_a[metric], of_b[metric], a.media))
    return found


def paired(values: Sequence[float], groups: Sequence[str], draws: int = DRAWS) -> tuple[float, float]:
    """95% bootstrap interval of the mean of [Q] values, redrawing whole groups; the same call gives the same.

    Questions about one picture share its visual tokens: they are not independent.
    """
    _, group = np.unique(groups, return_inverse=True)
    size = np.bincount(group)
    total = np.bincount(group, weights=np.asarray(values, dtype=float))
    rng, even = np.random.default_rng(0), np.full(len(size), 1 / len(size))
    # One draw at a time: all of them together would fill the memory for a data set of a million questions.
    drawn = (rng.multinomial(len(size), even) for _ in range(draws))
    means = [times @ total / (times @ size) for times in drawn]
    return tuple(np.quantile(means, (0.025, 0.975)).tolist())


def table(a: Run, b: Run, differences: Sequence[Difference]) -> str:
    """The comparison as text; scores times 100."""
    rows = [f"{name}  {_said(run)}" for name, run in (("A", a), ("B", b))]
    rows += [
        "",
        f"{'task':<24} {'metric':<20} {'n':>6} {'media':>6} {'A':>7} {'B':>7}  B - A, 95%   (up, down)",
    ]
    for d in differences:
        low, high = (100 * end for end in d.interval)
        rows.append(
            f"{d.task:<24} {d.metric:<20} {d.n:>6} {d.groups:>6} {100 * d.mean_a:7.2f} {100 * d.mean_b:7.2f}"
            f"  {100 * d.mean:+.2f} [{low:+.2f}, {high:+.2f}]   ({d.better}, {d.worse})"
        )
    return "\n".join(rows)


def _said(run: Run) -> str:
    seen = run.description["observed"].values()
    kept, of = (sum(task[part] for task in seen) for part in ("kept", "visual_tokens"))
    model = run.description["model"]
    return f"{model}, {run.description['rule']}: {kept:,} of {of:,} visual tokens read ({kept / of:.1%})"


def _difference(task: str, metric: str, of_a: dict, of_b: dict, media: dict) -> Difference:
    docs = sorted(of_a)
    scores_a, scores_b = (np.array([of[doc] for doc in docs]) for of in (of_a, of_b))
    groups, gain = [media[task, doc] for doc in docs], scores_b - scores_a
    return Difference(
        task,
        metric,
        len(docs),
        len(set(groups)),
        float(scores_a.mean()),
        float(scores_b.mean()),
        float(gain.mean()),
        paired(gain, groups),
        int((gain > 0).sum()),
        int((gain < 0).sum()),
    )


def _samples(file: Path, task: str, media: dict) -> dict[int, dict]:
    found: dict[int, dict] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        if sample["doc_id"] in found:
            raise RunError(f"{file} counts document {sample['doc_id']} twice")
        found[sample["doc_id"]] = sample
    if lost := [doc for doc in found if (task, doc) not in media]:
        raise RunError(f"{file} holds {len(lost)} samples that are not on record, such as document {lost[0]}")
    return found


def _same_samples(a: Run, b: Run, task: str) -> None:
    hashes_a, hashes_b = (
        {doc: sample["doc_hash"] for doc, sample in run.samples[task].items()} for run in (a, b)
    )
    if hashes_a != hashes_b:
        both = sum(hashes_b.get(doc) == said for doc, said in hashes_a.items())
        raise RunError(
            f"the runs answered different samples of {task}: {len(hashes_a)} and {len(hashes_b)}, of which "
            f"{both} are the same: run both on the same data with the same --limit"
        )


def _score(value: object) -> float | None:
    """The score of one sample, however a task writes it; None where there is none."""
    if isinstance(value, dict):
        if "score" in value:
            value = value["score"]
        elif {"pred", "ground_truth"} <= set(value):
            value = value["pred"] == value["ground_truth"]
    return float(value) if isinstance(value, bool | int | float) else None
