"""`python -m world.evaluation.report`: the measured tables of README, model card and docs/findings.md.

All are made from evaluation.json alone. It also writes the model's `rediprune.json`: the query that points
best at the answer becomes the default.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

from rediprune.files.atomic_write import write_text

from ..arms import (
    ARBITRARY,
    BEHIND,
    BLIND,
    FLIPPED,
    IN_PLACE,
    KEEP_RATIOS,
    NEGATED,
    OTHER_TAIL,
    OTHER_TOWER,
    OURS,
    PUBLISHED,
    QUERIES,
    QUESTION,
    RANDOM,
    TEMPLATE,
    TOWER,
    UNPRUNED,
    VALUE,
    Arm,
    alpha_arms,
)
from ..results import Results, read_evaluation
from . import tables

KNOWS = (
    "The built-in model knows only its own rendered world: coloured shapes, some with a digit, some moving. "
    "On any other picture or clip it will answer, and be wrong."
)
ROOT = Path(__file__).parents[3]
MODEL, README, FINDINGS = ROOT / "assets" / "tiny-llava", ROOT / "README.md", ROOT / "docs" / "findings.md"
MARK = "<!-- {name} -->"
END = "<!-- /{name} -->"

HEADLINE_ARMS = (
    OURS[PUBLISHED], OURS[TOWER], OURS[TOWER].shared, Arm("relevance", TOWER), Arm("cdpruner", TOWER),
    *BLIND, RANDOM,
)  # fmt: skip
MAIN_ARMS = (
    *(arm for q in QUERIES for arm in (OURS[q], OURS[q].shared)),
    *(arm for q in QUERIES for arm in (Arm("relevance", q), Arm("relevance", q).shared)),
    *(Arm("cdpruner", q) for q in QUERIES),
    *(arm for one in BLIND for arm in (one, one.shared)),
    RANDOM,
)
ABLATIONS: dict[str, tuple[tables.Row, ...]] = {
    "query": (
        (OURS[PUBLISHED], RANDOM),
        *((Arm("rediprune", q), OURS[PUBLISHED]) for q in (QUESTION, TEMPLATE, OTHER_TAIL, ARBITRARY)),
        (Arm("rediprune", FLIPPED), OURS[PUBLISHED]),
        (Arm("diversity"), OURS[PUBLISHED]),
        (OURS[TOWER], RANDOM),
        *((Arm("rediprune", q), OURS[TOWER]) for q in (OTHER_TOWER, NEGATED, VALUE)),
        (OURS[PUBLISHED], OURS[TOWER]),
        (RANDOM, None),
    ),
    "projector": (
        *((arm, OURS[arm.query]) for arm in BEHIND),
        (Arm("divprune"), Arm("diversity")),
        (RANDOM, None),
    ),
    "positions": (*((arm, OURS[arm.query]) for arm in IN_PLACE), (RANDOM, None)),
    "budget": (
        (OURS[TOWER].shared, OURS[TOWER]),
        (OURS[PUBLISHED].shared, OURS[PUBLISHED]),
        (Arm("relevance", TOWER).shared, Arm("relevance", TOWER)),
        (Arm("diversity").shared, Arm("diversity")),
        (RANDOM, None),
    ),
}  # fmt: skip
OVERLAPPING = (
    *(Arm("rediprune", q) for q in (PUBLISHED, QUESTION, TEMPLATE, OTHER_TAIL, ARBITRARY, FLIPPED, TOWER)),
    *BLIND, RANDOM,
)  # fmt: skip
README_TABLES = ("accuracy-table",)
CARD_TABLES = (
    "full-accuracy-table", "kinds-table", "pointing-table",
    "clip-full-accuracy-table", "clip-kinds-table", "clip-pointing-table",
)  # fmt: skip


def made(found: dict) -> dict[str, str]:
    """Every table by the name of its mark."""
    stills, clips = Results(found["stills"]), Results(found["clips"])
    said = {
        "pointing-table": tables.pointing(found["stills"], stills),
        "clip-pointing-table": tables.pointing(found["clips"], clips),
        "alpha-table": "\n\n".join(tables.alphas(stills, alpha_arms(q)) for q in (PUBLISHED, TOWER)),
        "rechecked-table": rechecked(found),
        "weights-table": weights(found),
    }
    for start, results in (("", stills), ("clip-", clips)):
        said[f"{start}accuracy-table"] = tables.accuracy(results, HEADLINE_ARMS, KEEP_RATIOS[1:])
        said[f"{start}full-accuracy-table"] = tables.accuracy(results, MAIN_ARMS)
        said[f"{start}differences-table"] = "\n\n".join(
            tables.differences(results, MAIN_ARMS, ratio) for ratio in KEEP_RATIOS
        )
        said[f"{start}overlap-table"] = tables.overlap(results.said, results, OVERLAPPING)
        said[f"{start}kinds-table"] = tables.kinds(results, MAIN_ARMS)
        said[f"{start}kind-differences-table"] = "\n\n".join(
            tables.kind_differences(results, HEADLINE_ARMS, other) for other in (RANDOM, UNPRUNED)
        )
        for name, rows in ABLATIONS.items():
            if name != "budget":
                said[f"{start}{name}-table"] = tables.held_against(results, rows)
    said["clip-accuracy-table"] += (
        "\n\nEvery arm, differences with their intervals, kinds of question, ablations, and what none of it "
        "shows: [docs/findings.md](docs/findings.md)."
    )
    said["budget-table"] = tables.held_against(clips, ABLATIONS["budget"], KEEP_RATIOS[1:])
    return said


def rechecked(found: dict) -> str:
    """How often one forward and decoding token by token came to the same."""
    lines = []
    for name in ("stills", "clips"):
        said = found[name]["rechecked"]
        lines.append(
            f"{name}: of {said['cells']} random cells, {said['same_tokens']} kept the same tokens and "
            f"{said['agree']} agreed whether the answer is right"
        )
    return "; ".join(lines) + "."


def weights(found: dict) -> str:
    """What was measured, and with what."""
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    n = sum(found[name]["questions"] for name in ("stills", "clips"))
    return f"*{n:,} questions; weights `{found['weights']}`, {versions}, float32 on a CPU.*"


def best_query(found: dict) -> dict:
    """The query whose most relevant tokens lie on the answer most often, by questions kept for choosing."""
    rows = found["stills"]["choosing"]["rows"]
    return max(rows, key=lambda row: row["top_relevance"]["mean"])


def card(found: dict) -> dict:
    """rediprune.json of the embedded model."""
    best, p = best_query(found), found["stills"]["pointing"]
    on_answer, by_published = (
        next(
            100 * row["top_relevance"]["mean"]
            for row in p["rows"]
            if (row["query"], row["pointing"]) == (query, pointing)
        )
        for query, pointing in ((best["query"], best["pointing"]), QUERIES[PUBLISHED])
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
        "knows": KNOWS,
        "why_query": why,
    }


def insert(text: str, name: str, body: str) -> str:
    """Put `body` between the marks of that name; where there is only the opening mark, close it.

    Raises:
        ValueError: there is no such mark.
    """
    mark, end = MARK.format(name=name), END.format(name=name)
    if mark not in text:
        raise ValueError(f"no {mark} to put the table at")
    if end not in text:
        text = text.replace(mark, f"{mark}\n{end}")
    return re.sub(
        f"{re.escape(mark)}.*?{re.escape(end)}", lambda _: f"{mark}\n{body}\n{end}", text, flags=re.S
    )


def marked(text: str) -> list[str]:
    """The names of the tables that a page has marks for."""
    return re.findall(r"<!-- ((?:\w+-)+table) -->", text)


def write(found: dict, model: Path = MODEL, readme: Path = README, findings: Path = FINDINGS) -> None:
    """Put the tables into the three pages, and the default query into the model's card."""
    write_text(model / "rediprune.json", json.dumps(card(found), indent=2) + "\n")
    said = made(found)
    for path, names in (
        (readme, README_TABLES),
        (model / "README.md", CARD_TABLES),
        (findings, marked(findings.read_text())),
    ):
        text = path.read_text()
        for name in names:
            text = insert(text, name, said[name])
        write_text(path, text)
        print(f"wrote the tables of {path}")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m world.evaluation.report", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--readme", type=Path, default=README)
    parser.add_argument("--findings", type=Path, default=FINDINGS)
    args = parser.parse_args()
    try:
        write(read_evaluation(args.model / "evaluation.json"), args.model, args.readme, args.findings)
    except (ValueError, OSError) as error:
        sys.exit(str(error))
    except (KeyError, ArithmeticError) as error:
        sys.exit(f"evaluation.json lacks what the tables are made of ({error}): measure again")


if __name__ == "__main__":
    main()
