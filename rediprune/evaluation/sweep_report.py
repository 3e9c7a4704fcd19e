"""Read results off a sweep: where the answer still holds and which sets agree; as a table and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from itertools import combinations, product
from statistics import fmean

from torch import Tensor

from ..config import kept_all_notes
from .sweep import Line, Point

COLUMNS = (
    "method", "weight", "keep_ratio", "kept", "runs",
    "probability", "probability_low", "probability_high", "full_probability", "kl_first_nats", "same_text",
    "estimated_visual_only", "estimated_prefill", "estimated_end_to_end", "answer",
)  # fmt: skip
HEADER = (
    f"{'method':<20} {'ratio':>6} {'kept':>6}  {'probability (lowest..highest)':<29} {'KL':>7} {'same':>5} "
    f"{'prefill':>8} {'in all':>7}"
)


def smallest_holding_ratio(points: Sequence[Point], line: Line) -> float | None:
    """Return the smallest swept keep ratio from which on the answer holds, or None.

    The answer holds at a ratio where, at this ratio and at EVERY larger one that was swept, every run of the
    line gives the unpruned model's answer word for word. A smaller ratio that gets it right again by luck
    does not count. None: it does not hold at the largest ratio, or the line has no points.
    """
    found = None
    for point in sorted((p for p in points if p.line == line), key=lambda p: -p.ratio):
        if point.same_text < 1:
            break
        found = point.ratio
    return found


def jaccard(a: Tensor, b: Tensor) -> float:
    """Divide the tokens that two sets share by those that either has: 1 if equal, 0 if disjoint."""
    one, other = set(a.tolist()), set(b.tolist())
    return len(one & other) / len(one | other)


def overlaps(points: Sequence[Point], ratio: float) -> dict[tuple[Line, Line], float]:
    """Compute the mean Jaccard overlap, over pairs of runs, of every two lines at one ratio."""
    mine = [point for point in points if point.ratio == ratio]
    return {
        (a.line, b.line): fmean(jaccard(x.kept, y.kept) for x, y in product(a.runs, b.runs))
        for a, b in combinations(mine, 2)
    }


def row_values(p: Point) -> tuple:
    """List one point's values in the order of COLUMNS; the answer is that of the first run."""
    return (
        p.line.method, p.line.weight, p.ratio, p.n_kept, len(p.runs),
        p.probability, *p.probability_spread, p.full_probability, p.kl_first, p.same_text,
        p.savings.visual_only, p.savings.prefill, p.savings.end_to_end, p.runs[0].text,
    )  # fmt: skip


def notes(points: Sequence[Point]) -> list[str]:
    """Return one sentence for each swept ratio below 1 that kept every token."""
    each = (kept_all_notes(p.ratio, p.n_kept, p.savings.n_visual_full) for p in points)
    return list(dict.fromkeys(note for found in each for note in found))


def format_csv(points: Sequence[Point]) -> str:
    """Write one CSV row per point; the weight is empty where a method has none."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([COLUMNS, *map(row_values, points)])
    return out.getvalue()


def format_heading(question: str, n_visual: int, p: Point) -> str:
    """Write the lines above the table from any of its points: question, unpruned answer, columns."""
    return (
        f"Question        {question}\nAll {n_visual:<11} {p.full_text or '(no words)'}\n"
        f"Probability of this answer with all tokens: {p.full_probability:.3f}\n\n{HEADER}"
    )


def format_row(p: Point) -> str:
    """Format one point as a line under HEADER."""
    low, high = p.probability_spread
    spread = f" ({low:.3f}..{high:.3f})" if len(p.runs) > 1 else ""
    return (
        f"{p.line.name:<20} {p.ratio:>6.1%} {p.n_kept:>6}  {f'{p.probability:.3f}{spread}':<29} "
        f"{p.kl_first:>7.3f} {p.same_text:>5.0%} {p.savings.prefill:>7.2f}x {p.savings.end_to_end:>6.2f}x"
    )


def format_summary(points: Sequence[Point]) -> str:
    """Write where the answer of every line holds, and how far its kept sets equal the first line's."""
    lines = list(dict.fromkeys(point.line for point in points))
    out = ["Smallest ratio from which on every answer reads as the unpruned one:"]
    for line in lines:
        ratio = smallest_holding_ratio(points, line)
        out.append(f"  {line.name:<20} {'none' if ratio is None else f'{ratio:.1%}'}")
    out += ["", f"Kept tokens in common with {lines[0].name} (Jaccard, 1 = the same tokens):"]
    ratios = dict.fromkeys(point.ratio for point in points)
    shared = {ratio: overlaps(points, ratio) for ratio in ratios}
    out.append(" " * 22 + "".join(f"{ratio:>8.1%}" for ratio in ratios))
    for line in lines[1:]:
        found = "".join(f"{shared[ratio][lines[0], line]:>8.2f}" for ratio in ratios)
        out.append(f"  {line.name:<20}{found}")
    return "\n".join([*out, *(f"\nNote: {note}" for note in notes(points))])
