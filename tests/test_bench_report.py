"""The page about speed says what docs/bench.json holds, table by table and figure by figure."""

import re
from xml.etree import ElementTree

import pytest

from rediprune.bench import PARTS, report
from rediprune.bench.chart import Curve, Panel, chart
from rediprune.bench.record import load
from tests.test_imports import ROOT


@pytest.fixture(scope="module")
def runs():
    return load(ROOT / report.RECORD)


def test_the_page_says_what_the_record_holds(runs):
    page = (ROOT / report.PAGE).read_text(encoding="utf-8")
    assert report.written(page, report.tables(runs)) == page, "run `python -m rediprune.bench.report`"
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


def test_a_table_without_its_mark_is_refused():
    assert report.written("a\n<!-- x -->\nold\n<!-- /x -->\nb", {"x": "new"}) == (
        "a\n<!-- x -->\nnew\n<!-- /x -->\nb"
    )
    with pytest.raises(ValueError, match="0 places marked <!-- y -->"):
        report.written("a", {"y": "new"})


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
