"""The README's table of families is the one that the tests make, and a tick in it is a case that runs."""

from dataclasses import replace

import pytest
import torch

from rediprune.evaluation.marked_tables import write_marked_tables
from rediprune.models.registry import FAMILIES
from tests.families import __main__ as table
from tests.families import families


@pytest.mark.pinned
def test_the_readme_holds_the_table_that_the_tests_make():
    text = table.README.read_text()
    tables = {table.NAME: table.body(), table.LINES_NAME: table.compact()}
    assert write_marked_tables(text, tables) == text, "write it anew: python -m tests.families"


@pytest.mark.pinned
def test_the_page_of_all_families_is_the_one_that_the_tables_make():
    text = table.DOCS.read_text()
    assert write_marked_tables(text, {table.NAME: table.full()}) == text, (
        "write it anew: python -m tests.families"
    )


def test_every_family_that_can_be_pruned_is_in_it():
    found = {family.model(torch.float32).config.model_type for family in families()}
    assert found == set(FAMILIES)


def test_it_says_which_kinds_a_family_takes():
    for family in families():
        video = "video" in (FAMILIES[family.model(torch.float32).config.model_type].kinds)
        (row,) = (line for line in table.body([family]).splitlines() if line.startswith(f"| {family.name} |"))
        assert ("as several images" in row) is not video


def cell(family, column: str) -> str:
    head, _, row = (line.strip("| ").split(" | ") for line in table.body([family]).splitlines()[:3])
    return row[head.index(column)]


@pytest.mark.parametrize("away", ["not asked", "skipped", "expected to fail"])
def test_a_case_that_is_not_run_has_no_tick(monkeypatch, away):
    both = next(family for family in families() if len(family.kinds) == 2)
    marks = {"skipped": pytest.mark.skip, "expected to fail": pytest.mark.xfail}
    left = [pytest.param(both, "video", marks=marks[away])] if away in marks else []

    @pytest.mark.parametrize(("family", "kind"), [pytest.param(both, "image"), *left])
    @pytest.mark.parametrize("media", [(1,), (2,)])
    def test_asked():
        """Asks nothing."""

    monkeypatch.setitem(table.COLUMNS, "batch", test_asked)
    assert cell(both, "batch") == "image only"
    assert cell(replace(both, name="another"), "batch") == "–"
    assert cell(both, "masked check") == "✓"
    assert "- *batch* (media: (1,), (2,)): Asks nothing." in table.body([both])


def test_a_test_that_is_skipped_has_no_tick(monkeypatch):
    (one, *_) = families()

    @pytest.mark.skip
    @pytest.mark.parametrize(("family", "kind"), [(one, kind) for kind in one.kinds])
    def test_asked():
        """Asks nothing."""

    monkeypatch.setitem(table.COLUMNS, "batch", test_asked)
    assert cell(one, "batch") == "–"
