"""Check that module paths and fields of version 0.1 still work, name the new ones, and shadow nothing."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import rediprune
from rediprune import _moved
from rediprune.tokens import Geometry, VisionTokens

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("old", sorted(_moved.MOVED))
def test_an_old_path_opens_and_names_the_new_one(old):
    sys.modules.pop(f"rediprune.{old}", None)
    before = rediprune.prune
    try:
        with pytest.warns(DeprecationWarning, match=f"rediprune.{_moved.MOVED[old]}"):
            module = importlib.import_module(f"rediprune.{old}")
        new = importlib.import_module(f"rediprune.{_moved.MOVED[old]}")
        public = [name for name in vars(new) if not name.startswith("_")]
        assert all(getattr(module, name) is getattr(new, name) for name in public)
    finally:
        sys.modules.pop(f"rediprune.{old}", None)
        rediprune.prune = before


def test_names_of_old_modules_are_imported_as_before():
    code = (
        "from rediprune.methods.grid import pick\nfrom rediprune.trace_file import load_trace\n"
        "from rediprune.selection import select\nfrom rediprune.explainer import Explainer\n"
        "import rediprune.prune\nfrom rediprune import prune\nfrom rediprune.prune import prune as same\n"
        "assert callable(prune) and callable(rediprune.prune) and callable(same)\n"
        "import warnings\nwarnings.simplefilter('error')\n"
        "try:\n    rediprune.prune(None)\nexcept rediprune.ModelError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "NoneType" in done.stdout


@pytest.mark.parametrize("old", sorted(old for old, new in _moved.MOVED.items() if new in _moved.RENAMED))
def test_an_old_path_knows_what_was_renamed_by_its_old_name(old):
    sys.modules.pop(f"rediprune.{old}", None)
    before = rediprune.prune
    try:
        with pytest.warns(DeprecationWarning):
            module = importlib.import_module(f"rediprune.{old}")
        new = importlib.import_module(f"rediprune.{_moved.MOVED[old]}")
        for was, now in _moved.RENAMED.get(_moved.MOVED[old], {}).items():
            assert not hasattr(new, was) and getattr(module, was) is getattr(new, now)
    finally:
        sys.modules.pop(f"rediprune.{old}", None)
        rediprune.prune = before


def test_the_warning_points_at_the_line_that_holds_the_import(tmp_path):
    script = tmp_path / "theirs.py"
    script.write_text("import os\n\nfrom rediprune.trace_file import load_trace\n")
    line = [sys.executable, "-W", "default", script]
    done = subprocess.run(line, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert f"{script}:3: DeprecationWarning: rediprune.trace_file is now rediprune.replay.file" in done.stderr


def test_an_old_command_still_runs():
    line = [sys.executable, "-W", "ignore", "-m", "rediprune.bench.report", "--help"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert done.returncode == 0 and "docs/speed.md" in done.stdout, done.stderr


def test_old_fields_of_records_are_taken_and_read():
    edges = (((0.0, 1.0),), ((0.0, 1.0),))
    with pytest.warns(DeprecationWarning, match=r"Geometry\.whole is now n_global") as seen:
        place = Geometry(1, 1, (0.0, 0.0, 1.0, 1.0), (1, 1), whole=2)
    assert seen[0].filename == __file__
    assert place == Geometry(1, 1, (0.0, 0.0, 1.0, 1.0), (1, 1), 2)
    with pytest.warns(DeprecationWarning, match=r"Geometry\.uneven is now cell_edges"):
        assert replace(place, uneven=edges) == replace(place, cell_edges=edges)
    with pytest.warns(DeprecationWarning):
        assert place.whole == 2
    with pytest.warns(DeprecationWarning):
        assert place.uneven is None
    valid = torch.ones(1, 3, dtype=torch.bool)
    with pytest.warns(DeprecationWarning, match=r"VisionTokens\.present is now valid"):
        vision = VisionTokens(torch.zeros(1, 3, 2), (place,), present=valid)
    assert vision.valid is valid
    with pytest.warns(DeprecationWarning) as seen:
        assert vision.present is valid
    assert seen[0].filename == __file__


def test_a_path_that_never_was_stays_unknown():
    with pytest.raises(ModuleNotFoundError, match=r"rediprune\.nonsense"):
        importlib.import_module("rediprune.nonsense")


def test_nothing_inside_the_project_uses_an_old_path():
    code = (
        "import pkgutil, sys, importlib, rediprune, app, world\n"
        "for house in (rediprune, world):\n"
        "    for found in pkgutil.walk_packages(house.__path__, house.__name__ + '.'):\n"
        "        if '__main__' not in found.name and found.name != 'rediprune.evaluation.lmms.model':\n"
        "            importlib.import_module(found.name)\n"
        "print([name for name in sys.modules if type(sys.modules[name]).__name__ == '_HandsOn'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
