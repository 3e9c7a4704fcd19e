"""Tables, card, marks and figures are made of the hits, and writing them twice changes nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rediprune.explainer.model_card import read_card
from world.evaluation import evaluate
from world.evaluation.arms import (
    HARD_RATIO,
    HEADLINE_RATIO,
    KEEP_RATIOS,
    PUBLISHED_QUERY,
    RANDOM,
    REDIPRUNE,
    TOWER_QUERY,
    UNPRUNED,
    alpha_arms,
)
from world.evaluation.report import __main__ as report
from world.evaluation.report import figures, tables
from world.evaluation.results import Results, pack_bits

PER_SCENE, KINDS = "55", ("color", "digit")


def share(mean: float) -> dict:
    return {"mean": mean, "interval": [mean - 0.02, mean + 0.02], "any": 0.5}


def pointing(*rows: tuple[str, str, float]) -> dict:
    return {
        "n": 1100, "k": 29, "chance": 0.031, "random": share(0.03), "ceiling": 0.24,
        "rows": [
            {"query": q, "pointing": p, "top_relevance": share(x), "kept": share(x / 2)} for q, p, x in rows
        ],
    }  # fmt: skip


POINTING = (("prompt-tail", "cosine", 0.07), ("text-tower", "cosine", 0.11), ("text-tower", "value", 0.23))


OVERLAP = {
    "n": 4,
    "in_common": {arm.name: share(0.4) for arm in report.OVERLAP_ARMS},
    "spread": {arm.query: share(0.07) for arm in report.OVERLAP_ARMS if arm.query},
}


def part(plan, frames: int) -> dict:
    """Make a split of ten questions: an arm answers as many as its place in the plan says, some only four."""
    hits, n_visual = (
        {UNPRUNED.name: {"1.0": {"k": 196, "n": 10, "hits": [pack_bits(np.arange(10) < 9)]}}},
        196 * frames,
    )
    for i, trial in enumerate(trial for trials in plan for trial in trials):
        n = 4 if trial.subset_only else 10
        for ratio in trial.ratios:
            row = {
                "k": round(n_visual * ratio),
                "n": n,
                "hits": [pack_bits(np.arange(n) < 1 + i % 7)] * trial.arm.n_masks,
            }
            hits.setdefault(trial.arm.name, {}).setdefault(str(ratio), row)
    return {
        "questions": 10, "questions_of_some": 4, "questions_per_scene": PER_SCENE, "kinds": list(KINDS),
        "kind_of_question": "0101010101", "frames": frames, "visual_tokens": n_visual, "hits": hits,
        "pointing": pointing(*POINTING), "overlap": OVERLAP,
        "rechecked": {"cells": 150, "same_tokens": 149, "agree": 150},
    }  # fmt: skip


@pytest.fixture(scope="module")
def found() -> dict:
    """Make the content of an evaluation.json of ten questions."""
    stills, clips = (
        part(evaluate.SPLITS[name].plan, frames) for name, frames in (("stills", 1), ("clips", 8))
    )
    stills["choosing"] = pointing(("text-tower", "value", 0.2), *POINTING[:2]) | {"n": 300}
    return {"weights": "abc", "versions": {"torch": "2.13"}, "stills": stills, "clips": clips}


@pytest.fixture(scope="module")
def stills(found) -> Results:
    return Results(found["stills"])


@pytest.fixture(scope="module")
def clips(found) -> Results:
    return Results(found["clips"])


def line(table: str, name: str) -> list[str]:
    """Return the cells of the row that begins with the name."""
    (row,) = [row for row in table.splitlines() if row.startswith(f"| {name} |")]
    return row.strip("| ").split(" | ")


def test_the_accuracy_table_has_a_row_an_arm_and_a_column_a_ratio(stills):
    table = tables.build_accuracy_table(stills, report.MAIN_ARMS)
    assert "10 held-out questions about 2 scenes" in table
    assert (
        f"all 196 visual tokens: **{tables.format_accuracy(stills.compute_accuracy(UNPRUNED, 1.0))}**"
        in table
    )
    assert (
        "| method (query) | 50% (K = 98) | 25% (K = 49) | 15% (K = 29) | 10% (K = 20) | 5% (K = 10) |"
        in table
    )
    cells = line(table, "rediprune (prompt-tail)")
    assert (
        cells[1] == f"{tables.format_accuracy(stills.compute_accuracy(REDIPRUNE[PUBLISHED_QUERY], 0.5))} (4)"
    )  # asked fewer
    assert cells[2:] == [
        tables.format_accuracy(stills.compute_accuracy(REDIPRUNE[PUBLISHED_QUERY], ratio))
        for ratio in KEEP_RATIOS[1:]
    ]
    assert line(table, "random")[0] == "random" and "mean of 3 random choices for every scene" in table


def test_differences_carry_their_sign_and_their_number(stills):
    table = tables.build_difference_table(stills, report.MAIN_ARMS)
    name, n, unpruned, random = line(table, "rediprune (prompt-tail)")
    assert n == "10" and name == "rediprune (prompt-tail)"
    assert (
        unpruned
        == tables.format_difference(
            stills.compute_difference(REDIPRUNE[PUBLISHED_QUERY], HEADLINE_RATIO, UNPRUNED, 1.0)
        )
        and unpruned[0] == "-"
    )
    assert (
        random
        == tables.format_difference(
            stills.compute_difference(REDIPRUNE[PUBLISHED_QUERY], HEADLINE_RATIO, RANDOM)
        )
        and random[0] == "+"
    )


def test_kinds_are_told_with_both_comparisons(stills):
    assert line(tables.build_kind_table(stills, report.MAIN_ARMS), "\\*n\\*".replace("\\", "")) == [
        "*n*",
        "*5*",
        "*5*",
    ]
    assert line(tables.build_kind_table(stills, report.MAIN_ARMS), "unpruned") == [
        "unpruned",
        "100.0",
        "80.0",
    ]
    for other, its in ((RANDOM, HEADLINE_RATIO), (UNPRUNED, 1.0)):
        table = tables.build_kind_difference_table(stills, report.HEADLINE_ARMS, other)
        cells = line(table, "rediprune (prompt-tail)")[1:]
        assert cells == [
            tables.format_difference(
                stills.compute_difference(REDIPRUNE[PUBLISHED_QUERY], HEADLINE_RATIO, other, its, k)
            )
            for k in KINDS
        ]


def test_ablations_are_held_against_what_they_vary(stills):
    table = tables.build_ablation_table(stills, report.ABLATIONS["query"])
    _, other, n, *cells = line(table, "rediprune (random vector)")
    assert (other, n) == ("rediprune (prompt-tail)", "10") and len(cells) == 4
    named = {row[0].name for rows in report.ABLATIONS.values() for row in rows}
    for name in (
        "prompt-tail, sign flipped",
        "question's tokens alone",
        "original positions",
        "behind the projector",
    ):
        assert any(name in arm for arm in named)
    assert line(table, "random")[1] == ""


def test_the_weights_of_relevance_go_from_none_to_nothing_else(stills):
    table = tables.build_alpha_table(stills, alpha_arms(TOWER_QUERY))
    labels = [row.split(" | ")[0].strip("| ") for row in table.splitlines() if row.startswith("| ")][1:]
    assert labels == ["0", "0.125", "0.25", "0.5 (published)", "1", "2", "4", "∞ (relevance alone)"]
    assert line(table, "∞ (relevance alone)")[1] == tables.format_accuracy(
        stills.compute_accuracy(alpha_arms(TOWER_QUERY)[-1], HEADLINE_RATIO)
    )


def test_clips_tell_both_budgets_and_who_was_asked_less(clips, found):
    table = tables.build_accuracy_table(clips, report.MAIN_ARMS)
    assert "Every clip has 8 frames" in table and "all 1,568 visual tokens" in table
    assert line(table, "rediprune (prompt-tail), shared budget")[-1].endswith(" (4)")
    budgets = report.build_tables(found)["budget-table"]
    assert line(budgets, "rediprune (text-tower/cosine), shared budget")[1] == "rediprune (text-tower/cosine)"
    assert "bootstrap that redraws whole clips" in tables.build_difference_table(clips, report.MAIN_ARMS)


def test_pointing_and_what_was_generated_again_are_told(found, stills):
    table = tables.build_pointing_table(found["stills"], stills)
    assert "| text-tower (value) | 23.0 [21.0, 25.0] | 11.5 [9.5, 13.5] | 50.0 |" in table
    assert "Chance is 3.1; no choice of 29 tokens can exceed 24.0" in table
    assert "of 150 random cells, 149 kept the same tokens and 150 agreed" in report.describe_recheck(found)
    table = tables.build_overlap_table(found["stills"], stills, report.OVERLAP_ARMS)
    cells = line(table, "rediprune (random vector)")
    assert cells[1:3] == ["40.0 [38.0, 42.0]", "0.070 [0.050, 0.090]"]
    assert line(table, "grid")[2] == ""
    assert report.describe_weights(found).startswith("*20 questions; weights `abc`, torch 2.13")


def test_the_query_that_points_best_becomes_the_default_and_says_why(found, tmp_path):
    model = tmp_path / "tiny-llava"
    model.mkdir()
    (model / "rediprune.json").write_text(json.dumps(report.build_card(found)))
    card = read_card(model)
    assert (card.defaults.query, card.defaults.pointing) == ("text-tower", "value")
    assert card.text_tower == f"local-dir:{tmp_path / 'tiny-clip'}"
    for said in ("points best", "23% of its top 29", "prompt-tail 7%", "chance 3%"):
        assert said in card.why_query
    assert "rendered world" in card.knows


def test_the_command_writes_every_page_and_the_settings(found, stills, tmp_path, monkeypatch):
    model, readme, findings = tmp_path / "tiny-llava", tmp_path / "README.md", tmp_path / "findings.md"
    model.mkdir()
    (model / "evaluation.json").write_text(json.dumps(found))
    made = report.build_tables(found)
    for path, names in (
        (readme, report.README_TABLES),
        (model / "README.md", report.CARD_TABLES),
        (findings, made),
    ):
        path.write_text("# Title\n" + "\n".join(f"<!-- {name} -->" for name in names) + "\n")
    monkeypatch.setattr(
        "sys.argv", ["report", "--model", str(model), "--readme", str(readme), "--findings", str(findings)]
    )
    report.main()
    texts = [readme.read_text(), (model / "README.md").read_text(), findings.read_text()]
    assert tables.build_accuracy_table(stills, report.HEADLINE_ARMS, KEEP_RATIOS[1:]) in texts[0]
    assert tables.build_kind_table(stills, report.MAIN_ARMS) in texts[1]
    assert all(table in texts[2] for table in made.values())
    assert read_card(model).defaults.pointing == "value"
    report.main()
    assert [readme.read_text(), (model / "README.md").read_text(), findings.read_text()] == texts


def test_figures_are_small_name_their_arms_and_do_not_change_by_themselves(found, tmp_path):
    made = figures.draw_figures(found, tmp_path / "one")
    assert {path.name for path in made} == {"accuracy-by-ratio.svg", "accuracy-by-alpha.svg", "ablations.svg"}
    text = {path.name: path.read_text() for path in made}
    for arm in figures.CURVES:
        assert f">{arm.name}<" in text["accuracy-by-ratio.svg"]
    assert "unpruned" in text["accuracy-by-alpha.svg"] and f"{HARD_RATIO:.0%} kept" in text["ablations.svg"]
    assert all(path.stat().st_size < 150_000 for path in made)
    again = figures.draw_figures(found, tmp_path / "two")
    assert [path.read_text() for path in again] == list(text.values())
