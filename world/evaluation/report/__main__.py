"""`python -m world.evaluation.report`: the measured tables of README, model card and docs/findings.md.

All are made from evaluation.json alone. It also writes the model's `rediprune.json`: the query that points
best at the answer becomes the default.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from rediprune.evaluation.marked_tables import write_marked_tables

from ..arms import (
    AFTER_PROJECTOR,
    FLIPPED_QUERY,
    KEEP_RATIOS,
    NEGATED_QUERY,
    ORIGINAL_POSITIONS,
    OTHER_TAIL_QUERY,
    OTHER_TOWER_QUERY,
    PUBLISHED_QUERY,
    QUERIES,
    QUERY_FREE,
    QUESTION_ONLY_QUERY,
    RANDOM,
    RANDOM_QUERY,
    REDIPRUNE,
    TEMPLATE_ONLY_QUERY,
    TOWER_QUERY,
    UNPRUNED,
    VALUE_QUERY,
    Arm,
    alpha_arms,
)
from ..results import Results
from . import tables

KNOWLEDGE_LIMITS = (
    "The built-in model knows only its own rendered world: coloured shapes, some with a digit, some moving. "
    "On any other picture or clip it will answer, and be wrong."
)
ROOT = Path(__file__).parents[3]
MODEL, README, FINDINGS = ROOT / "assets" / "tiny-llava", ROOT / "README.md", ROOT / "docs" / "findings.md"

HEADLINE_ARMS = (
    REDIPRUNE[PUBLISHED_QUERY],
    REDIPRUNE[TOWER_QUERY],
    REDIPRUNE[TOWER_QUERY].with_shared_budget,
    Arm("relevance", TOWER_QUERY),
    Arm("cdpruner", TOWER_QUERY),
    *QUERY_FREE,
    RANDOM,
)
MAIN_ARMS = (
    *(arm for q in QUERIES for arm in (REDIPRUNE[q], REDIPRUNE[q].with_shared_budget)),
    *(arm for q in QUERIES for arm in (Arm("relevance", q), Arm("relevance", q).with_shared_budget)),
    *(Arm("cdpruner", q) for q in QUERIES),
    *(arm for one in QUERY_FREE for arm in (one, one.with_shared_budget)),
    RANDOM,
)
ABLATIONS: dict[str, tuple[tables.Row, ...]] = {
    "query": (
        (REDIPRUNE[PUBLISHED_QUERY], RANDOM),
        *(
            (Arm("rediprune", q), REDIPRUNE[PUBLISHED_QUERY])
            for q in (QUESTION_ONLY_QUERY, TEMPLATE_ONLY_QUERY, OTHER_TAIL_QUERY, RANDOM_QUERY)
        ),
        (Arm("rediprune", FLIPPED_QUERY), REDIPRUNE[PUBLISHED_QUERY]),
        (Arm("diversity"), REDIPRUNE[PUBLISHED_QUERY]),
        (REDIPRUNE[TOWER_QUERY], RANDOM),
        *(
            (Arm("rediprune", q), REDIPRUNE[TOWER_QUERY])
            for q in (OTHER_TOWER_QUERY, NEGATED_QUERY, VALUE_QUERY)
        ),
        (REDIPRUNE[PUBLISHED_QUERY], REDIPRUNE[TOWER_QUERY]),
        (RANDOM, None),
    ),
    "projector": (
        *((arm, REDIPRUNE[arm.query]) for arm in AFTER_PROJECTOR),
        (Arm("divprune"), Arm("diversity")),
        (RANDOM, None),
    ),
    "positions": (*((arm, REDIPRUNE[arm.query]) for arm in ORIGINAL_POSITIONS), (RANDOM, None)),
    "budget": (
        (REDIPRUNE[TOWER_QUERY].with_shared_budget, REDIPRUNE[TOWER_QUERY]),
        (REDIPRUNE[PUBLISHED_QUERY].with_shared_budget, REDIPRUNE[PUBLISHED_QUERY]),
        (Arm("relevance", TOWER_QUERY).with_shared_budget, Arm("relevance", TOWER_QUERY)),
        (Arm("diversity").with_shared_budget, Arm("diversity")),
        (RANDOM, None),
    ),
}
OVERLAP_ARMS = (
    *(
        Arm("rediprune", q)
        for q in (
            PUBLISHED_QUERY,
            QUESTION_ONLY_QUERY,
            TEMPLATE_ONLY_QUERY,
            OTHER_TAIL_QUERY,
            RANDOM_QUERY,
            FLIPPED_QUERY,
            TOWER_QUERY,
        )
    ),
    *QUERY_FREE,
    RANDOM,
)
README_TABLES = ("accuracy-table", "clip-accuracy-table", "pointing-table")
CARD_TABLES = (
    "full-accuracy-table",
    "kinds-table",
    "pointing-table",
    "clip-full-accuracy-table",
    "clip-kinds-table",
    "clip-pointing-table",
)


def build_tables(found: dict) -> dict[str, str]:
    """Every table by the name of its mark."""
    stills, clips = Results(found["stills"]), Results(found["clips"])
    said = {
        "pointing-table": tables.build_pointing_table(found["stills"], stills),
        "clip-pointing-table": tables.build_pointing_table(found["clips"], clips),
        "alpha-table": "\n\n".join(
            tables.build_alpha_table(stills, alpha_arms(q)) for q in (PUBLISHED_QUERY, TOWER_QUERY)
        ),
        "rechecked-table": describe_recheck(found),
        "weights-table": describe_weights(found),
    }
    for start, results in (("", stills), ("clip-", clips)):
        said[f"{start}accuracy-table"] = tables.build_accuracy_table(results, HEADLINE_ARMS, KEEP_RATIOS[1:])
        said[f"{start}full-accuracy-table"] = tables.build_accuracy_table(results, MAIN_ARMS)
        said[f"{start}differences-table"] = "\n\n".join(
            tables.build_difference_table(results, MAIN_ARMS, ratio) for ratio in KEEP_RATIOS
        )
        said[f"{start}overlap-table"] = tables.build_overlap_table(results.record, results, OVERLAP_ARMS)
        said[f"{start}kinds-table"] = tables.build_kind_table(results, MAIN_ARMS)
        said[f"{start}kind-differences-table"] = "\n\n".join(
            tables.build_kind_difference_table(results, HEADLINE_ARMS, other) for other in (RANDOM, UNPRUNED)
        )
        for name, rows in ABLATIONS.items():
            if name != "budget":
                said[f"{start}{name}-table"] = tables.build_ablation_table(results, rows)
    said["clip-accuracy-table"] += (
        "\n\nEvery arm, differences with their intervals, kinds of question, ablations, and what none of it "
        "shows: [docs/findings.md](docs/findings.md)."
    )
    said["budget-table"] = tables.build_ablation_table(clips, ABLATIONS["budget"], KEEP_RATIOS[1:])
    return said


def describe_recheck(found: dict) -> str:
    """How often one forward and decoding token by token came to the same."""
    lines = []
    for name in ("stills", "clips"):
        said = found[name]["rechecked"]
        lines.append(
            f"{name}: of {said['cells']} random cells, {said['same_tokens']} kept the same tokens and "
            f"{said['agree']} agreed whether the answer is right"
        )
    return "; ".join(lines) + "."


def describe_weights(found: dict) -> str:
    """What was measured, and with what."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    n = sum(found[name]["questions"] for name in ("stills", "clips"))
    return f"*{n:,} questions; weights `{found['weights']}`, {versions}, float32 on a CPU.*"


def find_best_query(found: dict) -> dict:
    """The query whose most relevant tokens lie on the answer most often, by questions kept for choosing."""
    rows = found["stills"]["choosing"]["rows"]
    return max(rows, key=lambda row: row["top_relevance"]["mean"])


def build_card(found: dict) -> dict:
    """rediprune.json of the embedded model."""
    best, p = find_best_query(found), found["stills"]["pointing"]
    on_answer, by_published = (
        next(
            100 * row["top_relevance"]["mean"]
            for row in p["rows"]
            if (row["query"], row["pointing"]) == (query, pointing)
        )
        for query, pointing in ((best["query"], best["pointing"]), QUERIES[PUBLISHED_QUERY])
    )
    why = (
        f"Of those measured it points best, with {on_answer:.0f}% of its top {p['k']} tokens on the answer "
        f"over {p['n']:,} held-out questions (prompt-tail {by_published:.0f}%, chance "
        f"{100 * p['chance']:.0f}%)."
    )
    return {
        "text_tower": "../tiny-clip",
        "default_query": best["query"],
        "default_pointing": best["pointing"],
        "knows": KNOWLEDGE_LIMITS,
        "why_query": why,
    }


def find_table_names(text: str) -> list[str]:
    """The names of the tables that a page has marks for."""
    return re.findall(r"<!-- ((?:\w+-)+table) -->", text)


def write_pages(found: dict, model: Path = MODEL, readme: Path = README, findings: Path = FINDINGS) -> None:
    """Put the tables into the three pages, and the default query into the model's card."""
    (model / "rediprune.json").write_text(json.dumps(build_card(found), indent=2) + "\n")
    said = build_tables(found)
    for path, names in (
        (readme, README_TABLES),
        (model / "README.md", CARD_TABLES),
        (findings, find_table_names(findings.read_text())),
    ):
        path.write_text(write_marked_tables(path.read_text(), {name: said[name] for name in names}))
        print(f"wrote the tables of {path}")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m world.evaluation.report", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--readme", type=Path, default=README)
    parser.add_argument("--findings", type=Path, default=FINDINGS)
    args = parser.parse_args()
    found = json.loads((args.model / "evaluation.json").read_text())
    write_pages(found, args.model, args.readme, args.findings)


if __name__ == "__main__":
    main()
