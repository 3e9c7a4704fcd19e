"""`python -m world.report`: the measured tables of README and model card, made from evaluation.json alone.

It also writes the model's `rediprune.json`: the query that points best at the answer becomes the default.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

KNOWS = (
    "The built-in model knows only its own rendered world: coloured shapes, some with a digit. "
    "On any other picture it will answer, and be wrong."
)
ROOT = Path(__file__).parents[1]
MODEL, README = ROOT / "assets" / "tiny-llava", ROOT / "README.md"
MARK = "<!-- {name} -->"
END = "<!-- /{name} -->"


def tables(found: dict) -> dict[str, str]:
    """Every table by the name of its mark."""
    return {
        "accuracy-table": accuracy_table(found) + "\n\n" + difference_table(found),
        "pointing-table": pointing_table(found),
        "kinds-table": kinds_table(found),
    }


def accuracy_table(found: dict) -> str:
    """Accuracy in percent with its 95% interval: a row an arm, a column a keep ratio."""
    ratios = sorted({row["keep_ratio"] for row in found["accuracy"]} - {1.0}, reverse=True)
    full = next(row for row in found["accuracy"] if row["arm"] == "unpruned")
    by = {(row["arm"], row["keep_ratio"]): row for row in found["accuracy"]}
    arms = list(dict.fromkeys(row["arm"] for row in found["accuracy"] if row["arm"] != "unpruned"))
    k = {r: by[arms[0], r]["k"] for r in ratios}
    head = " | ".join(f"{r:.0%} (K = {k[r]})" for r in ratios)
    lines = [f"| method (query) | {head} |", "|---" * (len(ratios) + 1) + "|"]
    for arm in arms:
        cells = " | ".join(_share(by[arm, r]) for r in ratios)
        lines.append(f"| {arm} | {cells} |")
    intro = (
        f"Accuracy in % on {found['questions']:,} held-out questions about {found['scenes']} scenes "
        f"(95% Wilson interval in brackets), alpha = {found['alpha']}. Unpruned, all "
        f"{found['visual_tokens']} visual tokens: **{_share(full)}**."
    )
    return intro + "\n\n" + "\n".join(lines)


def difference_table(found: dict, keep_ratio: float = 0.15) -> str:
    """Points lost against unpruned and won over random, on the same questions."""
    lines = ["| method (query) | against unpruned | against random |", "|---|---|---|"]
    for row in found["accuracy"]:
        if row["keep_ratio"] == keep_ratio:
            cells = " | ".join(_points(row[name]) for name in ("minus_unpruned", "minus_random"))
            lines.append(f"| {row['arm']} | {cells} |")
    intro = (
        f"At {keep_ratio:.0%} keep, paired differences in points on the same questions "
        "(95% bootstrap over scenes):"
    )
    return intro + "\n\n" + "\n".join(lines)


def kinds_table(found: dict, keep_ratio: float = 0.15) -> str:
    """Accuracy by kind of question, unpruned and at one keep ratio."""
    rows = [r for r in found["accuracy"] if r["arm"] == "unpruned" or r["keep_ratio"] == keep_ratio]
    kinds = list(rows[0]["by_kind"])
    lines = [f"| at {keep_ratio:.0%} keep | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    lines.append("| *n* | " + " | ".join(f"*{rows[0]['by_kind'][k]['n']}*" for k in kinds) + " |")
    for row in rows:
        lines.append(
            f"| {row['arm']} | "
            + " | ".join(f"{100 * row['by_kind'][k]['accuracy']:.1f}" for k in kinds)
            + " |"
        )
    return "Accuracy in % by kind of question:\n\n" + "\n".join(lines)


def pointing_table(found: dict) -> str:
    """Share of chosen tokens that lie on the patches holding the answer."""
    p = found["pointing"]
    lines = [
        f"| query | top {p['k']} by relevance | {p['k']} kept by ReDiPrune | some kept token on it |",
        "|---|---|---|---|",
    ]
    for row in p["rows"]:
        top, kept = row["top_relevance"], row["kept"]
        lines.append(f"| {_query_name(row)} | {_mean(top)} | {_mean(kept)} | {100 * kept['any']:.1f} |")
    lines.append(f"| random tokens | {_mean(p['random'])} | | {100 * p['random']['any']:.1f} |")
    intro = (
        f"Pointing: the share in % of chosen tokens that lie on the patches holding the answer, over "
        f"{p['n']:,} questions whose answer lies somewhere (95% bootstrap over scenes in brackets). "
        f"Chance is {100 * p['chance']:.1f}; no choice of {p['k']} tokens can exceed "
        f"{100 * p['ceiling']:.1f}, because answers are small. "
        "The first column chose the built-in model's default query, on these very questions."
    )
    return intro + "\n\n" + "\n".join(lines)


def best_query(found: dict) -> dict:
    """The row of the pointing table whose top tokens by relevance lie on the answer most often."""
    return max(found["pointing"]["rows"], key=lambda row: row["top_relevance"]["mean"])


def card(found: dict) -> dict:
    """rediprune.json of the embedded model."""
    best, p = best_query(found), found["pointing"]
    published = next(row for row in p["rows"] if row["query"] == "prompt-tail")
    on_answer, by_published = (100 * row["top_relevance"]["mean"] for row in (best, published))
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


def _share(row: dict) -> str:
    low, high = row["interval"]
    return f"{100 * row['accuracy']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _points(d: dict) -> str:
    low, high = d["interval"]
    return f"{100 * d['mean']:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def _mean(d: dict) -> str:
    low, high = d["interval"]
    return f"{100 * d['mean']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _query_name(row: dict) -> str:
    return row["query"] if row["query"] != "text-tower" else f"text-tower ({row['pointing']})"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m world.report", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--readme", type=Path, default=README)
    args = parser.parse_args()
    found = json.loads((args.model / "evaluation.json").read_text())
    (args.model / "rediprune.json").write_text(json.dumps(card(found), indent=2) + "\n")
    made = tables(found)
    for path, names in (
        (args.readme, ("accuracy-table", "pointing-table")),
        (args.model / "README.md", tuple(made)),
    ):
        text = path.read_text()
        for name in names:
            text = insert(text, name, made[name])
        path.write_text(text)
        print(f"wrote the tables of {path}")


if __name__ == "__main__":
    main()
