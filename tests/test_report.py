"""Tables, card and marks are made of the evaluation's numbers, and writing them twice changes nothing."""

from __future__ import annotations

import json

import pytest

from rediprune.card import read_card
from world import report


def share(mean: float) -> dict:
    return {"mean": mean, "interval": [mean - 0.02, mean + 0.02], "any": 0.5}


def row(arm: str, keep_ratio: float, k: int, accuracy: float) -> dict:
    kinds = {"color": {"n": 60, "accuracy": accuracy}, "digit": {"n": 40, "accuracy": 0.25}}
    made = {"arm": arm, "keep_ratio": keep_ratio, "k": k, "n": 100, "accuracy": accuracy, "by_kind": kinds}
    made["interval"] = [accuracy - 0.03, accuracy + 0.02]
    if arm != "unpruned":
        made["minus_unpruned"] = {"mean": accuracy - 0.9, "interval": [accuracy - 0.93, accuracy - 0.88]}
        made["minus_random"] = {"mean": accuracy - 0.5, "interval": [accuracy - 0.54, accuracy - 0.46]}
    return made


def pointing(*rows: tuple[str, str, float]) -> dict:
    return {
        "n": 1100,
        "k": 29,
        "chance": 0.031,
        "random": share(0.03),
        "ceiling": 0.24,
        "rows": [
            {"query": q, "pointing": p, "top_relevance": share(x), "kept": share(x / 2)} for q, p, x in rows
        ],
    }


POINTING = (("prompt-tail", "cosine", 0.07), ("text-tower", "cosine", 0.11), ("text-tower", "value", 0.23))


@pytest.fixture
def stills() -> dict:
    """What an evaluation of 100 questions might have found."""
    return {
        "questions": 100,
        "scenes": 180,
        "first_seed": 500_000,
        "visual_tokens": 196,
        "alpha": 0.5,
        "accuracy": [
            row("unpruned", 1.0, 196, 0.9),
            row("rediprune (prompt-tail)", 0.5, 98, 0.87),
            row("random", 0.5, 98, 0.8),
            row("rediprune (prompt-tail)", 0.15, 29, 0.75),
            row("random", 0.15, 29, 0.5),
        ],
        "pointing": pointing(*POINTING),
        "choosing": pointing(("text-tower", "value", 0.2), *POINTING[:2]) | {"n": 300},
    }


@pytest.fixture
def clips() -> dict:
    """Of clips: two arms on all questions, two on some."""
    rows = [
        row("unpruned", 1.0, 1568, 0.9),
        row("rediprune (text-tower/cosine)", 0.15, 232, 0.8),
        row("random", 0.15, 232, 0.5),
        row("diversity", 0.15, 232, 0.6) | {"n": 40},
        row("rediprune (text-tower/cosine), shared budget", 0.15, 235, 0.85),
        row("diversity, shared budget", 0.15, 235, 0.7) | {"n": 40},
        row("random", 0.05, 80, 0.4),
        row("random", 0.5, 784, 0.8) | {"n": 40},
    ]
    for shared in (4, 5):
        rows[shared]["minus_frame"] = {"mean": 0.05, "interval": [0.01, 0.09]}
    return {
        "questions": 100,
        "questions_of_some": 40,
        "unpruned_of_some": 0.91,
        "clips": 15,
        "frames": 8,
        "visual_tokens": 1568,
        "alpha": 0.5,
        "accuracy": rows,
        "pointing": pointing(*POINTING[:2]),
    }


@pytest.fixture
def found(stills, clips) -> dict:
    return {"stills": stills, "clips": clips}


def test_the_accuracy_table_has_a_row_an_arm_and_a_column_a_ratio(stills):
    table = report.accuracy_table(stills)
    assert "100 held-out questions about 180 scenes" in table
    assert "all 196 visual tokens: **90.0 [87.0, 92.0]**" in table
    assert "| method (query) | 50% (K = 98) | 15% (K = 29) |\n|---|---|---|" in table
    assert "| rediprune (prompt-tail) | 87.0 [84.0, 89.0] | 75.0 [72.0, 77.0] |" in table
    assert "| random | 80.0 [77.0, 82.0] | 50.0 [47.0, 52.0] |" in table


def test_differences_carry_their_sign(stills):
    table = report.difference_table(stills)
    assert "| rediprune (prompt-tail) | -15.0 [-18.0, -13.0] | +25.0 [+21.0, +29.0] |" in table


def test_kinds_and_pointing_are_told(stills):
    assert "| *n* | *60* | *40* |" in report.kinds_table(stills)
    assert "| unpruned | 90.0 | 25.0 |" in report.kinds_table(stills)
    table = report.pointing_table(stills)
    assert "| text-tower (value) | 23.0 [21.0, 25.0] | 11.5 [9.5, 13.5] | 50.0 |" in table
    assert "Chance is 3.1; no choice of 29 tokens can exceed 24.0" in table


def test_clips_tell_both_budgets_and_who_was_asked_less(clips):
    table = report.accuracy_table(clips)
    assert "100 held-out questions about 15 clips" in table
    assert "all 1,568 visual tokens: **90.0 [87.0, 92.0]**" in table
    assert "the first 40 of these questions only, where unpruned is 91.0" in table
    names = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| ")]
    assert names == [
        "| method (query)",
        "| rediprune (text-tower/cosine)",
        "| rediprune (text-tower/cosine), shared budget",
        "| random",
        "| diversity \\*",
        "| diversity, shared budget \\*",
    ]
    assert "| method (query) | 50% (K = 784) \\* | 15% (K = 232) | 5% (K = 80) |" in table
    assert "| random | 80.0 [77.0, 82.0] | 50.0 [47.0, 52.0] | 40.0 [37.0, 42.0] |" in table
    differences = report.difference_table(clips)
    assert (
        "| diversity, shared budget \\* | -20.0 [-23.0, -18.0] | +20.0 [+16.0, +24.0] | +5.0 [+1.0, +9.0] |"
        in differences
    )
    assert "| random | -40.0 [-43.0, -38.0] | +0.0 [-4.0, +4.0] |  |" in differences
    assert "bootstrap over clips" in differences
    assert "questions about clips" in report.kinds_table(clips)


def test_the_query_that_points_best_becomes_the_default_and_says_why(found, tmp_path):
    model = tmp_path / "tiny-llava"
    model.mkdir()
    (model / "rediprune.json").write_text(json.dumps(report.card(found)))
    card = read_card(model)
    assert (card.defaults.query, card.defaults.pointing) == ("text-tower", "value")
    assert card.text_tower == f"local-dir:{tmp_path / 'tiny-clip'}"
    for part in ("points best", "23% of its top 29", "prompt-tail 7%", "chance 3%"):
        assert part in card.why_query
    assert "rendered world" in card.knows


def test_inserting_twice_is_inserting_once_and_the_rest_stays():
    text = "before\n<!-- a-table -->\nafter <!-- other -->\n"
    once = report.insert(text, "a-table", "| x | \\1 |")
    assert once == "before\n<!-- a-table -->\n| x | \\1 |\n<!-- /a-table -->\nafter <!-- other -->\n"
    assert report.insert(once, "a-table", "| x | \\1 |") == once
    assert report.insert(once, "a-table", "new").count("<!-- a-table -->") == 1


def test_a_text_without_the_mark_is_refused():
    with pytest.raises(ValueError, match="no <!-- a-table -->"):
        report.insert("nothing here", "a-table", "body")


def test_the_command_writes_readme_model_card_and_settings(found, stills, tmp_path, monkeypatch, capsys):
    model, readme = tmp_path / "tiny-llava", tmp_path / "README.md"
    model.mkdir()
    (model / "evaluation.json").write_text(json.dumps(found))
    marks = "\n".join(f"<!-- {name} -->" for name in report.tables(found))
    readme.write_text(f"# Title\n{marks}\n")
    (model / "README.md").write_text(f"# Card\n{marks}\n")
    monkeypatch.setattr("sys.argv", ["report", "--model", str(model), "--readme", str(readme)])
    report.main()
    texts = [readme.read_text(), (model / "README.md").read_text()]
    assert all(report.accuracy_table(stills) in text for text in texts)
    assert report.kinds_table(stills) in texts[1]
    assert read_card(model).defaults.pointing == "value"
    report.main()
    assert [readme.read_text(), (model / "README.md").read_text()] == texts
