"""Write the measured tables of README, model card and docs/findings.md: `python -m world.evaluation.report`.

Every table is made from evaluation.json alone. The command also writes the model's `rediprune.json`, in which
the query that points best at the answer becomes the default.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from rediprune.evaluation.marked_tables import write_marked_tables
from rediprune.files.atomic_write import write_text

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
from ..results import Results, read_evaluation
from . import tables

KNOWLEDGE_LIMITS = (
    "The built-in model knows only its own rendered world: coloured shapes, some with a digit, some moving. "
    "On any other picture or clip it will answer, and be wrong."
)
ROOT = Path(__file__).parents[3]
MODEL = ROOT / "assets" / "tiny-llava"
README = ROOT / "README.md"
FINDINGS = ROOT / "docs" / "findings.md"

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
ABLATIONS: dict[str, tuple[tables.Comparison, ...]] = {
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
README_TABLES = ("accuracy-table",)
CARD_TABLES = (
    "full-accuracy-table",
    "kinds-table",
    "pointing-table",
    "clip-full-accuracy-table",
    "clip-kinds-table",
    "clip-pointing-table",
)


def build_tables(evaluation: dict) -> dict[str, str]:
    """Build every table from the content of evaluation.json, by the name of its mark."""
    stills = Results(evaluation["stills"])
    clips = Results(evaluation["clips"])
    found = {
        "pointing-table": tables.build_pointing_table(stills.record, stills),
        "clip-pointing-table": tables.build_pointing_table(clips.record, clips),
        "alpha-table": "\n\n".join(
            tables.build_alpha_table(stills, alpha_arms(query)) for query in (PUBLISHED_QUERY, TOWER_QUERY)
        ),
        "rechecked-table": describe_recheck(evaluation),
        "weights-table": describe_weights(evaluation),
    }
    for prefix, results in (("", stills), ("clip-", clips)):
        found[f"{prefix}accuracy-table"] = tables.build_accuracy_table(
            results, HEADLINE_ARMS, KEEP_RATIOS[1:]
        )
        found[f"{prefix}full-accuracy-table"] = tables.build_accuracy_table(results, MAIN_ARMS)
        found[f"{prefix}differences-table"] = "\n\n".join(
            tables.build_difference_table(results, MAIN_ARMS, ratio) for ratio in KEEP_RATIOS
        )
        found[f"{prefix}overlap-table"] = tables.build_overlap_table(results.record, results, OVERLAP_ARMS)
        found[f"{prefix}kinds-table"] = tables.build_kind_table(results, MAIN_ARMS)
        found[f"{prefix}kind-differences-table"] = "\n\n".join(
            tables.build_kind_difference_table(results, HEADLINE_ARMS, other) for other in (RANDOM, UNPRUNED)
        )
        for name, comparisons in ABLATIONS.items():
            if name != "budget":
                found[f"{prefix}{name}-table"] = tables.build_ablation_table(results, comparisons)
    found["clip-accuracy-table"] += (
        "\n\nEvery arm, differences with their intervals, kinds of question, ablations, and what none of it "
        "shows: [docs/findings.md](docs/findings.md)."
    )
    found["budget-table"] = tables.build_ablation_table(clips, ABLATIONS["budget"], KEEP_RATIOS[1:])
    return found


def describe_recheck(evaluation: dict) -> str:
    """Return how often one forward pass and decoding token by token gave equal results, as a sentence."""
    lines = []
    for name in ("stills", "clips"):
        counts = evaluation[name]["rechecked"]
        lines.append(
            f"{name}: of {counts['cells']} random cells, {counts['same_tokens']} kept the same tokens and "
            f"{counts['agree']} agreed whether the answer is right"
        )
    return "; ".join(lines) + "."


def describe_weights(evaluation: dict) -> str:
    """Return the number of questions, the fingerprint of the weights and the versions, as one line."""
    versions = ", ".join(f"{name} {version}" for name, version in evaluation["versions"].items())
    n_questions = sum(evaluation[name]["questions"] for name in ("stills", "clips"))
    return f"*{n_questions:,} questions; weights `{evaluation['weights']}`, {versions}, float32 on a CPU.*"


def find_best_query(evaluation: dict) -> dict:
    """Return the row of the query whose most relevant tokens lie on the answer most often.

    Only the validation questions decide, so the reported questions stay independent of the choice.
    """
    rows = evaluation["stills"]["choosing"]["rows"]
    return max(rows, key=lambda row: row["top_relevance"]["mean"])


def build_card(evaluation: dict) -> dict:
    """Build the content of rediprune.json, the card of the built-in model."""
    best = find_best_query(evaluation)
    pointing = evaluation["stills"]["pointing"]

    def get_percent_on_answer(query: str, variant: str) -> float:
        (row,) = [row for row in pointing["rows"] if (row["query"], row["pointing"]) == (query, variant)]
        return 100 * row["top_relevance"]["mean"]

    best_percent = get_percent_on_answer(best["query"], best["pointing"])
    published_percent = get_percent_on_answer(*QUERIES[PUBLISHED_QUERY])
    why = (
        f"Of those measured it points best, with {best_percent:.0f}% of its top {pointing['k']} tokens on "
        f"the answer over {pointing['n']:,} held-out questions (prompt-tail {published_percent:.0f}%, chance "
        f"{100 * pointing['chance']:.0f}%)."
    )
    return {
        "text_tower": "../tiny-clip",
        "default_query": best["query"],
        "default_pointing": best["pointing"],
        "knows": KNOWLEDGE_LIMITS,
        "why_query": why,
    }


def find_table_names(text: str) -> list[str]:
    """Return the names of the tables that a page has marks for."""
    return re.findall(r"<!-- ((?:\w+-)+table) -->", text)


def write_pages(
    evaluation: dict, model: Path = MODEL, readme: Path = README, findings: Path = FINDINGS
) -> None:
    """Write the tables into README, model card and findings, and the default query into rediprune.json.

    Args:
        evaluation: the content of evaluation.json.
        model: folder of the model.
        readme: the README of the project.
        findings: the page with every table.
    """
    write_text(model / "rediprune.json", json.dumps(build_card(evaluation), indent=2) + "\n")
    found = build_tables(evaluation)
    for path, names in (
        (readme, README_TABLES),
        (model / "README.md", CARD_TABLES),
        (findings, find_table_names(findings.read_text())),
    ):
        page = write_marked_tables(path.read_text(), {name: found[name] for name in names})
        write_text(path, page)
        print(f"wrote the tables of {path}")


def main() -> None:
    """Parse the command line and write the pages."""
    parser = argparse.ArgumentParser(
        prog="python -m world.evaluation.report", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--readme", type=Path, default=README)
    parser.add_argument("--findings", type=Path, default=FINDINGS)
    args = parser.parse_args()
    try:
        evaluation = read_evaluation(args.model / "evaluation.json")
        write_pages(evaluation, args.model, args.readme, args.findings)
    except (ValueError, OSError) as error:
        sys.exit(str(error))
    except (KeyError, ArithmeticError) as error:
        sys.exit(f"evaluation.json lacks what the tables are made of ({error}): measure again")


if __name__ == "__main__":
    main()
