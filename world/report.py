"""`python -m world.report`: the measured tables of README and model card, made from evaluation.json alone.

It also writes the model's `rediprune.json`: the query that points best at the answer becomes the default.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from .arms import SHARED

KNOWS = (
    "The built-in model knows only its own rendered world: coloured shapes, some with a digit, some moving. "
    "On any other picture or clip it will answer, and be wrong."
)
ROOT = Path(__file__).parents[1]
MODEL, README = ROOT / "assets" / "tiny-llava", ROOT / "README.md"
README_TABLES = ("accuracy-table", "pointing-table", "clip-accuracy-table", "clip-kinds-table")
MARK = "<!-- {name} -->"
END = "<!-- /{name} -->"


def tables(found: dict) -> dict[str, str]:
    """Every table by the name of its mark."""
    stills, clips = found["stills"], found["clips"]
    return {
        "accuracy-table": accuracy_table(stills) + "\n\n" + difference_table(stills),
        "pointing-table": pointing_table(stills),
        "kinds-table": kinds_table(stills),
        "clip-accuracy-table": accuracy_table(clips) + "\n\n" + difference_table(clips),
        "clip-kinds-table": kinds_table(clips),
        "clip-pointing-table": pointing_table(clips),
    }


def accuracy_table(found: dict) -> str:
    """Accuracy in percent with its 95% interval: a row an arm, a column a keep ratio."""
    ratios = sorted({row["keep_ratio"] for row in found["accuracy"]} - {1.0}, reverse=True)
    full = next(row for row in found["accuracy"] if row["arm"] == "unpruned")
    by = {(row["arm"], row["keep_ratio"]): row for row in found["accuracy"]}
    arms = _arms(found)
    k = {r: next(by[arm, r]["k"] for arm in arms if (arm, r) in by) for r in ratios}
    most = {r: max(row["n"] for row in found["accuracy"] if row["keep_ratio"] == r) for r in ratios}
    head = " | ".join(f"{r:.0%} (K = {k[r]}){_mark(found, most[r])}" for r in ratios)
    lines = [f"| method (query) | {head} |", "|---" * (len(ratios) + 1) + "|"]
    for arm in arms:
        cells = " | ".join(_share(by[arm, r]) if (arm, r) in by else "" for r in ratios)
        lines.append(f"| {_name(found, arm)} | {cells} |")
    about = f"{found['clips']} clips" if "clips" in found else f"{found['scenes']} scenes"
    intro = (
        f"Accuracy in % on {found['questions']:,} held-out questions about {about} "
        f"(95% Wilson interval in brackets), alpha = {found['alpha']}. Unpruned, all "
        f"{found['visual_tokens']:,} visual tokens: **{_share(full)}**."
    )
    if "clips" in found:
        intro += (
            f" Every clip has {found['frames']} frames; K counts the tokens of all of them, spent frame by "
            "frame or shared by all. "
            f"What is marked \\* saw the first {found['questions_of_some']:,} of these questions only, where "
            f"unpruned is {100 * found['unpruned_of_some']:.1f}."
        )
    return intro + "\n\n" + "\n".join(lines)


def difference_table(found: dict, keep_ratio: float = 0.15) -> str:
    """Points lost against unpruned and won over random, on the same questions; of clips also what sharing
    the budget wins over spending it frame by frame."""
    columns = {"minus_unpruned": "against unpruned", "minus_random": "against random"}
    if "clips" in found:
        columns["minus_frame"] = "shared against per frame"
    rows = {row["arm"]: row for row in found["accuracy"] if row["keep_ratio"] == keep_ratio}
    head = " | ".join(columns.values())
    lines = [f"| method (query) | {head} |", "|---" * (len(columns) + 1) + "|"]
    for arm in (arm for arm in _arms(found) if arm in rows):
        cells = " | ".join(_points(rows[arm][name]) if name in rows[arm] else "" for name in columns)
        lines.append(f"| {_name(found, arm)} | {cells} |")
    intro = (
        f"At {keep_ratio:.0%} keep, paired differences in points on the same questions "
        f"(95% bootstrap over {'clips' if 'clips' in found else 'scenes'}):"
    )
    return intro + "\n\n" + "\n".join(lines)


def kinds_table(found: dict, keep_ratio: float = 0.15) -> str:
    """Accuracy by kind of question, unpruned and at one keep ratio."""
    rows = {r["arm"]: r for r in found["accuracy"] if r["arm"] == "unpruned" or r["keep_ratio"] == keep_ratio}
    full = rows["unpruned"]["by_kind"]
    lines = [f"| at {keep_ratio:.0%} keep | " + " | ".join(full) + " |", "|---" * (len(full) + 1) + "|"]
    lines.append("| *n* | " + " | ".join(f"*{kind['n']}*" for kind in full.values()) + " |")
    for arm in ("unpruned", *_arms(found)):
        by_kind = rows[arm]["by_kind"]
        cells = " | ".join(f"{100 * by_kind[k]['accuracy']:.1f}" for k in full)
        lines.append(f"| {_name(found, arm)} | {cells} |")
    what = "questions about clips" if "clips" in found else "question"
    return f"Accuracy in % by kind of {what}:\n\n" + "\n".join(lines)


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
    of_clips = "clips" in found
    intro = (
        f"Pointing{' in clips' if of_clips else ''}: the share in % of chosen tokens that lie on the patches "
        f"holding the answer, over {p['n']:,} questions whose answer lies somewhere (95% bootstrap over "
        f"{'clips' if of_clips else 'scenes'} in brackets). Chance is {100 * p['chance']:.1f}; no choice of "
        f"{p['k']} tokens can exceed {100 * p['ceiling']:.1f}, because answers are small."
    )
    if of_clips:
        intro += " What is kept is spent frame by frame; the most relevant are those of the whole clip."
    else:
        intro += (
            " The built-in model's default query is the one that points best on "
            f"{found['choosing']['n']:,} other held-out questions."
        )
    return intro + "\n\n" + "\n".join(lines)


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
        for query, pointing in ((best["query"], best["pointing"]), ("prompt-tail", "cosine"))
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


def _arms(found: dict) -> list[str]:
    """In the order of measuring; a shared budget right behind the same arm's frame by frame."""
    arms = list(dict.fromkeys(row["arm"] for row in found["accuracy"] if row["arm"] != "unpruned"))
    return sorted(arms, key=lambda arm: arms.index(arm.removesuffix(SHARED)))


def _name(found: dict, arm: str) -> str:
    """As tables print it: marked where it was not asked every question."""
    most = max((row["n"] for row in found["accuracy"] if row["arm"] == arm), default=found["questions"])
    return arm + _mark(found, most)


def _mark(found: dict, n: int) -> str:
    return " \\*" if n < found["questions"] else ""


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
        (args.readme, README_TABLES),
        (args.model / "README.md", tuple(made)),
    ):
        text = path.read_text()
        for name in names:
            text = insert(text, name, made[name])
        path.write_text(text)
        print(f"wrote the tables of {path}")


if __name__ == "__main__":
    main()
