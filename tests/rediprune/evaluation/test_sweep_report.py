"""Check what is read off a sweep, each number from points made by hand."""

from __future__ import annotations

import csv
import io
import math

import pytest
import torch

from rediprune.costs.estimate import ModelShapes, estimate
from rediprune.evaluation.sweep import Line, Point, SweepRun
from rediprune.evaluation.sweep_report import (
    HEADER,
    format_csv,
    format_row,
    format_summary,
    jaccard,
    notes,
    overlaps,
    smallest_holding_ratio,
)

SHAPES = ModelShapes(*[8] * 16)
A, RANDOM = Line("rediprune", 1 / 3), Line("random")


def point(line: Line, ratio: float, *runs: tuple[list[int], bool, float]) -> Point:
    made = [SweepRun(torch.tensor(kept), 'red, "or" blue', math.log(p), 0.25, same) for kept, same, p in runs]
    return Point(line, ratio, tuple(made), "red", 0.9, estimate(SHAPES, 10, len(made[0].kept), 5))


POINTS = [
    point(A, 0.2, ([0, 1], True, 0.5)),
    point(RANDOM, 0.2, ([0, 1], True, 0.2), ([4, 5], False, 0.4)),
    point(A, 0.3, ([0, 1, 2], False, 0.5)),
    point(RANDOM, 0.3, ([0, 1, 5], True, 0.2), ([4, 5, 6], True, 0.4)),
    point(A, 0.4, ([0, 1, 2, 3], True, 0.5)),
    point(RANDOM, 0.4, ([0, 1, 2, 3], True, 0.2), ([0, 1, 2, 3], True, 0.4)),
]


def test_a_ratio_that_kept_everything_by_rounding_is_noted_once():
    every = ([*range(10)], True, 0.5)
    points = [point(A, 0.97, every), point(RANDOM, 0.97, every), *POINTS]
    (note,) = notes(points)
    assert note.startswith("keep_ratio=0.97 keeps all 10 visual tokens, so nothing was pruned")
    assert format_summary(points).endswith(f"Note: {note}")
    assert notes(POINTS) == [] and "Note:" not in format_summary(POINTS)


def test_the_answer_holds_from_where_no_larger_ratio_breaks_it():
    assert smallest_holding_ratio(POINTS, A) == 0.4  # right again at 0.2, but not at 0.3 between
    assert smallest_holding_ratio(POINTS, RANDOM) == 0.3  # one seed of two is not enough at 0.2
    assert smallest_holding_ratio(POINTS[::-1], RANDOM) == 0.3
    assert (
        smallest_holding_ratio(POINTS[:4], A) is None and smallest_holding_ratio(POINTS, Line("grid")) is None
    )


def test_overlap_is_shared_over_all_and_the_mean_over_runs():
    assert jaccard(torch.tensor([1, 2]), torch.tensor([2, 3])) == pytest.approx(1 / 3)
    assert overlaps(POINTS, 0.2) == {(A, RANDOM): 0.5}
    assert overlaps(POINTS, 0.3) == {(A, RANDOM): pytest.approx((0.5 + 0) / 2)}
    assert overlaps(POINTS, 0.4) == {(A, RANDOM): 1} and overlaps(POINTS, 0.9) == {}


def test_csv_reads_back_what_was_swept():
    rows = list(csv.DictReader(io.StringIO(format_csv(POINTS))))
    assert len(rows) == 6 and rows[0]["answer"] == 'red, "or" blue'
    assert float(rows[0]["weight"]) == 1 / 3 and rows[1]["weight"] == ""
    one = rows[1]
    numbers = [float(one[name]) for name in ("probability", "probability_low", "probability_high")]
    assert numbers == pytest.approx([0.3, 0.2, 0.4])
    assert (one["kept"], one["runs"], float(one["same_text"])) == ("2", "2", 0.5)
    assert float(one["estimated_end_to_end"]) == POINTS[1].savings.end_to_end


def test_the_table_lines_up_and_says_what_was_found():
    assert {len(format_row(p)) for p in POINTS} == {len(HEADER)}
    assert "0.300 (0.200..0.400)" in format_row(POINTS[1]) and "(0." not in format_row(POINTS[0])
    output = format_summary(POINTS)
    assert "rediprune w=0.33     40.0%" in output and "random               30.0%" in output
    assert "common with rediprune w=0.33" in output
    assert output.splitlines()[-1].split() == ["random", "0.50", "0.25", "1.00"]
    assert "random               none" in format_summary(POINTS[:2])
