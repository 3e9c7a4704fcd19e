"""Tables go between their marks, writing twice changes nothing, and a mark that is missing is named."""

from __future__ import annotations

import pytest

from rediprune.evaluation.marked_tables import write_marked_tables


def test_a_table_goes_between_its_marks():
    page = "a\n<!-- x -->\nold\n<!-- /x -->\nb"
    assert write_marked_tables(page, {"x": "new"}) == "a\n<!-- x -->\nnew\n<!-- /x -->\nb"


def test_inserting_twice_is_inserting_once_and_the_rest_stays():
    page = "before\n<!-- a-table -->\nafter <!-- other -->\n"
    once = write_marked_tables(page, {"a-table": "| x | \\1 |"})
    assert once == "before\n<!-- a-table -->\n| x | \\1 |\n<!-- /a-table -->\nafter <!-- other -->\n"
    assert write_marked_tables(once, {"a-table": "| x | \\1 |"}) == once
    assert write_marked_tables(once, {"a-table": "new"}).count("<!-- a-table -->") == 1


def test_several_tables_are_written_at_once():
    page = "<!-- a -->\n<!-- /a -->\n<!-- b -->\n"
    found = write_marked_tables(page, {"b": "B", "a": "A"})
    assert found == "<!-- a -->\nA\n<!-- /a -->\n<!-- b -->\nB\n<!-- /b -->\n"


@pytest.mark.parametrize(("page", "count"), [("nothing here", 0), ("<!-- y -->\n<!-- y -->", 2)])
def test_a_page_needs_each_mark_exactly_once(page, count):
    with pytest.raises(ValueError, match=f"{count} places marked <!-- y -->: it needs exactly one"):
        write_marked_tables(page, {"y": "new"})


@pytest.mark.parametrize("page", ["<!-- /y -->\n<!-- y -->", "<!-- y -->\n<!-- /y -->\n<!-- /y -->"])
def test_a_closing_mark_in_the_wrong_place_is_refused(page):
    with pytest.raises(ValueError, match="needs <!-- /y --> exactly once, behind <!-- y -->"):
        write_marked_tables(page, {"y": "new"})
