"""One command measures, writes and draws; this is the order, the parts have their own tests."""

from __future__ import annotations

from world.evaluation import __main__ as findings
from world.evaluation import evaluate
from world.evaluation.report import __main__ as report
from world.evaluation.report import figures


def test_what_was_measured_is_written_and_drawn(monkeypatch, capsys, tmp_path):
    found, done = {"weights": "of these"}, []
    monkeypatch.setattr(evaluate, "run", lambda: found)
    monkeypatch.setattr(report, "write_pages", lambda said: done.append(("written", said)))
    monkeypatch.setattr(
        figures, "draw_figures", lambda said: done.append(("drawn", said)) or [tmp_path / "a.svg"]
    )
    monkeypatch.setattr("sys.argv", ["findings"])
    findings.main()
    assert done == [("written", found), ("drawn", found)]
    assert "a.svg" in capsys.readouterr().out
