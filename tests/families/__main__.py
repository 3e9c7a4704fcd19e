"""`python -m tests.families`: the tables of families in the README and docs, off the tests asked of them.

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
from rediprune.files.atomic_write import write_text
from rediprune.models import FAMILIES
from rediprune.models.generic.lines import LINES
from rediprune.models.generic.overlays import LAYOUTS
from rediprune.models.reference import definition_for
from rediprune.models.unsupported import _NO_SEPARATE_PROJECTOR, _NOT_SERVED
from tests.rediprune.models.families import test_every_family as suite

from . import Family, families, tiny_models
from .real_processors import REAL

ROOT = Path(__file__).parents[2]
README, NAME, LINES_NAME = ROOT / "README.md", "families-table", "families-of-lines"
DOCS = ROOT / "docs" / "families.md"
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
    """The table of the families with an adapter of their own, and what its columns ask."""
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


def compact() -> str:
    """Every family that is served by one line, grouped by how its tokens lie; for the README."""
    groups: dict[str, list[str]] = {}
    for name in sorted(tiny_models.models()):
        groups.setdefault(_group(name), []).append(_marked(name))
    lines = ["| how the picture is read | families (`model_type` in transformers) |", "|---|---|"]
    lines += [f"| {group} | {', '.join(groups[group])} |" for group in GROUPS.values() if group in groups]
    served, with_projector = len({*FAMILIES, *LINES}), len({*FAMILIES, *LINES, *_NOT_SERVED})
    return (
        f"**{served} of the {with_projector} families with a projector are served**: the nine above, and by "
        "one line each:\n\n" + "\n".join(lines) + "\n\n"
        "¹ judged against the unmodified LLM on the same short prompt, because its LLM has recurrence or "
        "convolutions; all others against the whole prompt with the dropped tokens masked. ² its overlay is "
        "tested with its real processor. ³ clips too. [docs/families.md](docs/families.md) has the whole "
        "table, and why every other family is refused."
    )


def full() -> str:
    """The whole table of docs/families.md."""
    head = ["`model_type`", "projector (entry inside it)", "rows a token", "positions", "image", "video"]
    head += ["identical at 100%", "equal to its reference", "batch", "overlay"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, tiny in sorted(tiny_models.models().items()):
        line = LINES[name]
        entry = f" ({line.entry})" if line.entry else ""
        overlay = (
            "✓, real processor"
            if name in REAL
            else "by its layout"
            if LAYOUTS[line.layout].has_overlay
            else "–"
        )
        reference = definition_for(tiny_models.build(name, tiny), 100).name
        cells = [
            f"`{name}`",
            f"`{line.projector}`{entry}",
            str(line.group),
            "three axes" if line.mrope else "one axis",
            "✓",
            "✓" if tiny.video else "as several images",
            "✓",
            f"✓ ({reference})",
            "✓",
            overlay,
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", "Refused, because nothing stands in front of their LLM that could be pruned:", ""]
    lines += [f"- `{name}`: {why}" for name, why in sorted(_NO_SEPARATE_PROJECTOR.items())]
    lines += ["", "Not served yet, though they have a projector:", ""]
    lines += [f"- `{name}`: {why}" for name, why in sorted(_NOT_SERVED.items())]
    return "\n".join(lines)


def _group(name: str) -> str:
    return GROUPS[LINES[name].layout]


def _marked(name: str) -> str:
    tiny = tiny_models.models()[name]
    short = definition_for(tiny_models.build(name, tiny), 100).name == "short"
    return f"`{name}`" + "¹" * short + "²" * (name in REAL) + "³" * bool(tiny.video)


def _asks(name: str, test: Callable) -> str:
    """What a column asks, in the words of the test, and with which settings."""
    settings = {}
    for mark in test.pytestmark:
        if mark.name == "parametrize" and "family" not in mark.args[0]:
            settings[mark.args[0]] = map(str, mark.kwargs.get("ids") or mark.args[1])
    how = "; ".join(f"{what}: {', '.join(values)}" for what, values in reversed(settings.items()))
    return f"- *{name}*{f' ({how})' if how else ''}: {' '.join(test.__doc__.split())}"


GROUPS = {
    "square": "one square view",
    "splits": "tiles of one side, the overview last",
    "optimal": "tiles of the nearest aspect ratio, the overview last",
    "optimal-lines": "tiles of the nearest aspect ratio, a line break behind each",
    "covering": "the overview first, then tiles",
    "natural": "natural aspect ratio, large images in tiles",
    "grid": "natural aspect ratio, a grid of patches",
    "sizes": "natural aspect ratio, resized and padded",
    "places": "natural aspect ratio, a place for every patch",
    "unknown": "no overlay known",
}


def main() -> None:
    argparse.ArgumentParser(prog="python -m tests.families", description=__doc__).parse_args()
    tables = {NAME: body(), LINES_NAME: compact()}
    write_text(README, write_marked_tables(README.read_text(), tables))
    write_text(DOCS, write_marked_tables(DOCS.read_text(), {NAME: full()}))
    print(f"wrote the table of {len(families())} families into {README}")


if __name__ == "__main__":
    main()
