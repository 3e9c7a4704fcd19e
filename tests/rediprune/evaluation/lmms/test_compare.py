"""Check lmms.results and lmms.compare: two runs are joined sample by sample, or refused."""

import json
from pathlib import Path

import pytest

from rediprune.evaluation.lmms.__main__ import main
from rediprune.evaluation.lmms.compare import compare
from rediprune.evaluation.lmms.record import Record, count_visual_tokens
from rediprune.evaluation.lmms.results import RunError, read_run


def run(folder: Path, scores: list, keep: float = 1.0, task: str = "t", complete: bool = True) -> Path:
    """Write a run as lmms-eval and the record leave it: two questions about each picture."""
    record = Record(folder, {"model": "tiny", "rule": f"keep {keep}", "config": {"keep_ratio": keep}})
    record.add(
        {"key": str(i), "task": task, "doc_id": i, "media": f"picture {i // 2}"}
        | {"n_visual": 100, "n_kept": round(100 * keep)}
        for i in range(len(scores))
    )
    record.describe(complete=complete, observed=count_visual_tokens(record.answers.values()))
    record.close()
    written = folder / "model" / f"20260101_000000_samples_{task}.jsonl"
    written.parent.mkdir(exist_ok=True)
    rows = [
        {"doc_id": i, "doc_hash": f"h{i}", "input": "a\u2028b", "resps": [1.0], "exact_match": score}
        for i, score in enumerate(scores)
    ]
    written.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in reversed(rows)))
    return folder


def test_the_difference_is_paired(tmp_path):
    a = run(tmp_path / "a", [1, 0, 1, 1, 0, 0])
    b = run(tmp_path / "b", [1, 1, 1, 0, 1, 0], keep=0.15)
    (found,) = compare(read_run(a), read_run(b))
    assert (found.n, found.groups, found.better, found.worse) == (6, 3, 2, 1)
    assert found.mean == pytest.approx(1 / 6)
    assert (found.mean_a, found.mean_b) == (pytest.approx(3 / 6), pytest.approx(4 / 6))
    low, high = found.interval
    assert -0.5 <= low < found.mean < high <= 0.5


def test_equal_runs_differ_by_nothing(tmp_path):
    a, b = (run(tmp_path / name, [1, 0, 1, 1]) for name in "ab")
    (found,) = compare(read_run(a), read_run(b))
    assert found.mean == 0 and found.interval == (0, 0)


@pytest.mark.parametrize(
    "scores",
    [
        [True, False],
        [{"score": 1.0, "question_id": 7}, {"score": 0}],  # POPE, MME
        [{"pred": 3, "ground_truth": 3}, {"pred": -1, "ground_truth": 3}],  # EgoSchema's subset
    ],
)
def test_scores_are_read_however_a_task_writes_them(tmp_path, scores):
    assert read_run(run(tmp_path, scores)).scores("t") == {"exact_match": {0: 1.0, 1: 0.0}}


def test_what_has_no_score_for_a_sample_is_not_compared(tmp_path):
    assert read_run(run(tmp_path, [{"prediction": "x"}, {"prediction": "y"}])).scores("t") == {}


def test_a_sample_lost_or_counted_twice_is_an_error(tmp_path):
    folder = run(tmp_path, [1, 0])
    (written,) = folder.rglob("*_samples_*")
    whole = written.read_text()
    written.write_text(whole + whole.split("\n")[0] + "\n")
    with pytest.raises(RunError, match="counts document 1 twice"):
        read_run(folder)
    written.write_text(whole + json.dumps({"doc_id": 9, "doc_hash": "h"}) + "\n")
    with pytest.raises(RunError, match="not on record, such as document 9"):
        read_run(folder)
    written.write_text(whole.split("\n")[0] + "\n")
    with pytest.raises(RunError, match="lacks 1 samples that are on record, such as document 0"):
        read_run(folder)


def test_runs_that_cannot_be_compared_say_why(tmp_path, capsys):
    a = run(tmp_path / "a", [1, 0])
    for name, scores, more, expected_text in (
        ("fewer", [1], {}, "2 and 1, of which 1 are the same"),
        ("other", [1, 0], {"task": "u"}, "no task in common"),
        ("half", [1, 0], {"complete": False}, "did not come to its end"),
    ):
        assert main(["compare", str(a), str(run(tmp_path / name, scores, **more))]) == 2
        assert expected_text in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["compare", str(tmp_path / "empty"), str(a)]) == 2
    assert "holds 0 runs" in capsys.readouterr().err


def test_the_command_prints_and_writes_the_comparison(tmp_path, capsys):
    a, b = run(tmp_path / "a", [1, 0, 1, 1]), run(tmp_path / "b", [1, 1, 1, 0], keep=0.15)
    assert main(["compare", str(a), str(b), "--json", str(tmp_path / "out.json")]) == 0
    output = capsys.readouterr().out
    assert "60 of 400 visual tokens read (15.0%)" in output and "+0.00" in output
    made = json.loads((tmp_path / "out.json").read_text())
    assert made["b"]["config"]["keep_ratio"] == 0.15 and made["differences"][0]["n"] == 4
