"""The page about speed says what docs/bench.json holds, table by table and figure by figure."""

import re
from xml.etree import ElementTree

import pytest

from rediprune.evaluation.bench import PARTS, report
from rediprune.evaluation.bench.answer_tables import answer_seconds
from rediprune.evaluation.bench.chart import Curve, Panel, chart
from rediprune.evaluation.bench.record import load
from rediprune.evaluation.marked_tables import write_marked_tables
from tests.test_imports import ROOT


@pytest.fixture(scope="module")
def runs():
    return load(ROOT / report.RECORD)


def test_the_page_says_what_the_record_holds(runs):
    page = (ROOT / report.PAGE).read_text(encoding="utf-8")
    assert write_marked_tables(page, report.tables(runs)) == page, (
        "run `python -m rediprune.evaluation.bench.report`"
    )
    marked = set(re.findall(r"<!-- ([a-z-]+) -->", page))
    assert marked == set(report.tables(runs)), "a mark without a table, or a table without a mark"


def test_the_figures_are_those_of_the_record_and_shown_on_the_page(runs):
    page = (ROOT / report.PAGE).read_text(encoding="utf-8")
    for name, svg in report.figures(runs).items():
        assert (ROOT / report.FIGURES / name).read_text(encoding="utf-8") == svg
        assert f"figures/{name})" in page


def test_every_part_was_run_and_none_of_them_in_haste(runs):
    assert set(runs) == set(PARTS)
    assert not any(run.quick for run in runs.values())
    page = (ROOT / report.PAGE).read_text(encoding="utf-8")
    for run in (run for run in runs.values() if run.measured):
        assert f"*Measured on {run.machine}" in page


def test_a_chart_draws_every_point_inside_itself_and_escapes_its_words():
    curve = Curve(((0, 1), (4, 8)), "#123456", dashed=True)
    svg = chart(
        "a < b", [Panel("p", (curve,), claim=6), Panel("q", (curve,))], [("k", "#123456")], "n", ("x", "y")
    )
    tree = ElementTree.fromstring(svg)
    _, _, width, height = map(float, tree.get("viewBox").split())
    lines = [node for node in tree.iter() if node.tag.endswith("polyline")]
    assert len(lines) == 2
    for line in lines:
        for x, y in (map(float, point.split(",")) for point in line.get("points").split()):
            assert 0 <= x <= width and 0 <= y <= height
    assert "a &lt; b" in svg and svg.count("stroke-dasharray='2 4'") == 1


def test_what_is_written_by_hand_of_7b_is_what_the_record_holds(runs):
    """Prefill and whole answers of 128 tokens at 15% kept, times quicker."""
    run, shown = runs["large"], ("image", "8 frames", "16 frames", "32 frames")

    def quicker(seconds) -> list[float]:
        full, few = (
            [run.figure("prefill", shown=what, keep=ratio) for what in shown] for ratio in (1.0, 0.15)
        )
        return [seconds(a) / seconds(b) for a, b in zip(full, few, strict=True)]

    def found(name: str) -> str:
        return " ".join((ROOT / name).read_text(encoding="utf-8").split())

    still, *clips = quicker(lambda prefill: prefill.median)
    answered, *films = quicker(lambda prefill: answer_seconds(run, prefill.case, 128))
    assert (
        f"the prefill was {still:.1f} times quicker for a picture and {min(clips):.1f} to {max(clips):.1f} "
        "times for clips; an answer of 128 tokens, with its encoder and its decoding, "
        f"{answered:.1f} times for a picture and {min(films):.1f} to {max(films):.1f} times for clips."
    ) in found("README.md")
    said = [run.estimate("prefill ratio", shown=what, keep=0.15).value for what in shown]
    assert (
        f"{still:.1f} times quicker for a picture (FLOPs say {said[0]:.1f}), {clips[0]:.1f} for 8 frames "
        f"({said[1]:.1f}), {clips[1]:.1f} for 16 ({said[2]:.1f}) and {clips[2]:.1f} for 32 ({said[3]:.1f})"
    ) in found("docs/speed.md")
