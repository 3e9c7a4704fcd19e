"""Two runs of the same tasks -> the difference between them, sample by sample, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..bootstrap import cluster_bootstrap
from .results import EvalRun, RunError


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


def compare(a: EvalRun, b: EvalRun) -> list[Difference]:
    """Return the paired difference of every task and metric that both runs have.

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


def table(a: EvalRun, b: EvalRun, differences: Sequence[Difference]) -> str:
    """Return the comparison as text; scores are multiplied by 100."""
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


def _said(run: EvalRun) -> str:
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
        cluster_bootstrap(gain, groups).interval,
        int((gain > 0).sum()),
        int((gain < 0).sum()),
    )


def _same_samples(a: EvalRun, b: EvalRun, task: str) -> None:
    hashes_a, hashes_b = (
        {doc: sample["doc_hash"] for doc, sample in run.samples[task].items()} for run in (a, b)
    )
    if hashes_a != hashes_b:
        both = sum(hashes_b.get(doc) == said for doc, said in hashes_a.items())
        raise RunError(
            f"the runs answered different samples of {task}: {len(hashes_a)} and {len(hashes_b)}, of which "
            f"{both} are the same: run both on the same data with the same --limit"
        )
