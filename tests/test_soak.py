"""Check the parts of the soak: what it watches, sends and reports; the soak itself is slow."""

import os
from collections import Counter
from contextlib import ExitStack

import pytest

from tests.soak import hostile, report
from tests.soak.__main__ import _short, crossed, main, words
from tests.soak.client import HttpVisitor, PageSchema
from tests.soak.report import Figures
from tests.soak.watch import Held, held

CARDS = {"at": {"question": "What?"}, "full": {"text": "red"}}


def test_an_answer_of_another_visitor_is_seen():
    assert crossed(CARDS, "What?", "red") == ""
    assert "asked 'Who?'" in crossed(CARDS, "Who?", "red")
    assert "expected 'blue'" in crossed(CARDS, "What?", "blue")


def test_what_a_process_holds_is_read_off_it(tmp_path):
    (tmp_path / "x").write_bytes(bytes(3 * 2**20))
    before = held(os.getpid(), tmp_path)
    with ExitStack() as opened:
        for _ in range(7):
            opened.enter_context(open(tmp_path / "x", "rb"))
        after = held(os.getpid(), tmp_path)
    assert (after.files, after.files_mb) == (1, 3.0) and after.memory_mb > 10
    assert after.descriptors == before.descriptors + 7


def test_hostile_files_are_made_from_a_seed(tmp_path):
    first = [path.read_bytes() for path in hostile.files(tmp_path, 1)]
    assert first == [path.read_bytes() for path in hostile.files(tmp_path, 1)]
    assert first != [path.read_bytes() for path in hostile.files(tmp_path, 2)]
    assert sum(map(len, first)) < 2**20


def test_figures_go_between_the_marks_and_nothing_else_changes(tmp_path):
    file = tmp_path / "page.md"
    file.write_text(f"# Words\n<!-- {report.NAME} -->\nold\n<!-- /{report.NAME} -->\nmore words\n")
    figures = Figures({"machine": "this"}, {"scene": [0.1, 0.2, 0.9]}, refusals=Counter({"busy": 3}))
    figures.held.append((5.0, Held(100.0, 20, 5, 1, 0.5)))
    report.write(figures, file)
    text = file.read_text()
    assert text.startswith("# Words\n") and text.endswith("more words\n") and "old" not in text
    assert "| scene | 3 | 0.20 s | 0.90 s | 0.90 s |" in text and "| busy | 3 |" in text
    assert "Answers that were another visitor's: 0 of 3." in text
    report.write(figures, file)
    assert file.read_text() == text
    file.write_text("no marks")
    with pytest.raises(ValueError, match="0 places marked <!-- soak-table -->"):
        report.write(figures, file)


@pytest.mark.parametrize(
    "fault", [{"wrong": ["x"]}, {"bare": ["x"]}, {"tracebacks": 1}, {}], ids=lambda fault: str([*fault])
)
def test_what_may_not_happen_fails_the_soak(fault):
    assert Figures(**fault).passed is not bool(fault)


@pytest.mark.parametrize("given", [["--visitors", "0"], ["--visitors", "101"], ["--seconds", "901"]])
def test_the_soak_is_bounded(given, capsys):
    with pytest.raises(SystemExit):
        words(given)
    assert "not offered" in capsys.readouterr().err


def test_equal_refusals_are_counted_together():
    assert _short("Too many requests: 31 are waiting. Try in 7 s.") == _short(
        "Too many requests: 5 are waiting. Try in 12 s."
    )


def test_a_visitor_applies_differences_and_keeps_what_is_skipped():
    visitor = HttpVisitor(None, PageSchema({"ask": 0}, {"ask": ["a", "b"]}))
    rows = visitor._merge_message([], [{"text": "re"}, 1], "process_generating")
    rows = visitor._merge_message(rows, [[["append", ["text"], "d"]], []], "process_generating")
    assert visitor._keep("ask", rows) == {"a": {"text": "red"}, "b": 1}
    assert visitor._keep("ask", [{"__type__": "update"}, {"__type__": "update", "value": 2}])["b"] == 2
    assert visitor.values["a"] == {"text": "red"}


@pytest.mark.slow
def test_a_short_soak_sees_nothing_that_may_not_happen(tmp_path):
    file = tmp_path / "page.md"
    file.write_text(f"<!-- {report.NAME} -->\n<!-- /{report.NAME} -->\n")
    assert main(["--visitors", "8", "--seconds", "30", "--browsers", "1", "--out", str(file)]) == 0
    assert "SIGKILL" in file.read_text()
