"""`python -m tests.families`: the README's table of families, read off the tests that are asked of them.

A tick stands for a case that tests/rediprune/models/families/test_every_family.py is parametrised with, and
for nothing else: a test that is not asked of a family has no tick there, whatever anybody knows about it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import torch

from rediprune.evaluation.marked_tables import write_marked_tables
from tests.rediprune.models.families import test_every_family as suite

from . import Family, families

README, NAME = Path(__file__).parents[2] / "README.md", "families-table"
COLUMNS: dict[str, Callable] = {
    "identical at 100%": suite.test_identical_at_100,
    "masked check": suite.test_masked,
    "overlay geometry": suite.test_overlay,
    "batch": suite.test_batch,
    "half precision": suite.test_identical_at_100_in_half_precision,
}
NOT_RUN = {"skip", "skipif", "xfail"}


def cases(test: Callable) -> Iterator[dict[str, object]]:
    """Arguments of every case of a test that is really run, as its parametrize marks say."""
    marks = getattr(test, "pytestmark", [])
    if any(mark.name in NOT_RUN for mark in marks):
        return
    for chosen in product(*(_rows(mark) for mark in marks if mark.name == "parametrize")):
        if None not in chosen:
            yield {name: value for row in chosen for name, value in row.items()}


def _rows(mark) -> Iterator[dict[str, object] | None]:
    """Each value of one parametrize mark by the names of its arguments; None where it carries a NOT_RUN."""
    names = mark.args[0].replace(" ", "").split(",") if isinstance(mark.args[0], str) else mark.args[0]
    for value in mark.args[1]:
        if hasattr(value, "marks"):  # a pytest.param
            yield (
                None
                if any(m.name in NOT_RUN for m in value.marks)
                else dict(zip(names, value.values, strict=True))
            )
        else:
            yield dict(zip(names, value if len(names) > 1 else [value], strict=True))


def body(of: list[Family] | None = None) -> str:
    """The table and what its columns ask."""
    of = families() if of is None else of
    asked = {name: {(c["family"].name, c["kind"]) for c in cases(test)} for name, test in COLUMNS.items()}
    lines = [
        "| family | class in transformers | image | video | " + " | ".join(COLUMNS) + " |",
        "|---" * (len(COLUMNS) + 4) + "|",
    ]
    for family in of:
        cells = [family.name, f"`{type(family.model(torch.float32)).__name__}`", "✓"]
        cells.append("✓" if "video" in family.kinds else "as several images")
        for test in asked.values():
            kinds = [kind for kind in family.kinds if (family.name, kind) in test]
            cells.append("✓" if len(kinds) == len(family.kinds) else f"{kinds[0]} only" if kinds else "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\n" + "\n".join(_asks(name, test) for name, test in COLUMNS.items())


def _asks(name: str, test: Callable) -> str:
    """What a column asks, in the words of the test, and with which settings."""
    settings = {}
    for mark in test.pytestmark:
        if mark.name == "parametrize" and "family" not in mark.args[0]:
            settings[mark.args[0]] = map(str, mark.kwargs.get("ids") or mark.args[1])
    how = "; ".join(f"{what}: {', '.join(values)}" for what, values in reversed(settings.items()))
    return f"- *{name}*{f' ({how})' if how else ''}: {' '.join(test.__doc__.split())}"


def main() -> None:
    argparse.ArgumentParser(prog="python -m tests.families", description=__doc__).parse_args()
    README.write_text(write_marked_tables(README.read_text(), {NAME: body()}))
    print(f"wrote the table of {len(families())} families into {README}")


if __name__ == "__main__":
    main()
