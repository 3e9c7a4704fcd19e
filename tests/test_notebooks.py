"""Both notebooks run from top to bottom, say what they promise, and carry no output of another machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
PROMISED = {
    "look_at_one_picture": ("all tokens:", "pick  token  relevance", "random: "),
    "prune_a_pipeline": ("Kept 29 of 196 visual tokens", "identical at 100%, and afterwards", " 15% kept: "),
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, capsys):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert len(code) >= 5 and not any(cell.get("outputs") for cell in cells)
    names = {"__name__": "__main__"}
    for number, source in enumerate(code):
        exec(compile(source, f"{path.name}, cell {number}", "exec"), names)
    printed = capsys.readouterr().out
    for words in PROMISED[path.stem]:
        assert words in printed


def test_every_notebook_says_what_it_promises():
    assert {path.stem for path in NOTEBOOKS} == set(PROMISED)
