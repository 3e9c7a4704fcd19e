"""The arrows of the design: which file may know which. Read off the source, lazy imports included."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HOUSES = ("app", "rediprune", "world", "tests")

# rediprune, station by station: what each may know of the others. A new folder earns its line here.
WORDS = {"config", "tokens", "trace"}
PICKING = WORDS | {"costs", "query", "selection"}
ARROWS = {
    "version": set(),
    "files": set(),
    "config": set(),
    "tokens": set(),
    "trace": {"config", "tokens", "costs"},
    "media": WORDS | {"files"},
    "costs": {"config"},
    "query": WORDS | {"costs"},
    "selection": WORDS | {"query"},
    "models": WORDS | {"costs", "files"},  # files: of a checkpoint, read as strictly as any other
    "pruning": PICKING | {"models"},
    "explainer": PICKING | {"files", "models", "media"},
    "replay": PICKING | {"files", "models", "explainer", "version"},
    "draw": {"tokens", "trace", "pruning"},  # pruning: its report, which a notebook shows
    "evaluation": PICKING | {"files", "models", "media", "pruning", "explainer", "draw"},
    "cli": PICKING | {"files", "media", "explainer", "replay", "draw", "evaluation"},
}
FACADES = {
    "__init__",
    "__main__",
    "_moved",
}  # they may open every door, and nothing inside knocks on theirs

# Outside libraries that belong to one place: (library, house) -> the stations that may import it.
OWNERS = {
    ("transformers", "rediprune"): {"models"},
    ("lmms_eval", "rediprune"): {"evaluation"},
    ("open_clip", "rediprune"): {"query"},
    ("av", "rediprune"): {"media"},
    ("gradio", "rediprune"): set(),
    ("matplotlib", "rediprune"): set(),
    ("gradio", "world"): set(),
    ("transformers", "app"): set(),
    ("open_clip", "app"): set(),
}


# Stations of world/ that may know the library: it measures there, and trains without it.
EVALUATION = {"evaluation", "exports"}


def modules(house: str) -> list[Path]:
    return sorted(path for path in (ROOT / house).rglob("*.py") if "__pycache__" not in path.parts)


def station(path: Path) -> str:
    """The name under its house: `rediprune/models/splice.py` -> "models", `rediprune/trace.py` -> "trace"."""
    return Path(path.relative_to(ROOT).parts[1]).stem


def imported(path: Path, root: Path = ROOT) -> Iterator[str]:
    """Absolute dotted names of all that a file imports, wherever in the file, submodules resolved."""
    package = path.relative_to(root).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = root.joinpath(*base.split("."), alias.name)
                is_module = inner.is_dir() or inner.with_suffix(".py").exists()
                yield f"{base}.{alias.name}" if is_module else base


def breaches(house: str, allowed) -> list[str]:
    """Every import of `house` for which `allowed(path, parts of the dotted name)` is false, as a sentence."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(house)
        for name in imported(path)
        if not allowed(path, name.split("."))
    ]


def test_every_station_of_the_library_has_its_arrows():
    found = {station(path) for path in modules("rediprune")} - FACADES
    assert found <= set(ARROWS), "give the new file its line in ARROWS: what may it know?"


def test_the_arrows_have_a_direction():
    assert list(TopologicalSorter(ARROWS).static_order())  # raises CycleError where they go round


def test_the_library_knows_neither_the_app_nor_the_world():
    outside = set(HOUSES) - {"rediprune"}
    assert breaches("rediprune", lambda path, name: name[0] not in outside) == []


def test_a_station_knows_only_the_stations_of_its_line():
    def allowed(path: Path, name: list[str]) -> bool:
        here = station(path)
        if name[0] != "rediprune" or here in FACADES:
            return True
        return len(name) > 1 and (name[1] == here or name[1] in ARROWS.get(here, ()))

    assert breaches("rediprune", allowed) == []


@pytest.mark.parametrize(("library", "house"), OWNERS)
def test_an_outside_library_stays_where_it_belongs(library, house):
    owners = OWNERS[library, house]
    assert breaches(house, lambda path, name: name[0] != library or station(path) in owners) == []


def test_the_world_knows_the_library_only_in_its_evaluation():
    def allowed(path: Path, name: list[str]) -> bool:
        knows_library = name[0] == "rediprune" and name[1:2] != ["files"]  # which know no model and no token
        return name[0] not in {"app", "tests"} and (not knows_library or station(path) in EVALUATION)

    assert breaches("world", allowed) == []


def test_nothing_that_ships_knows_the_tests():
    assert breaches("app", lambda path, name: name[0] != "tests") == []


def test_drawing_knows_no_model():
    drawing = {"numpy", "PIL", "torch", "rediprune", "__future__", *sys.stdlib_module_names}
    here = {"draw"}
    assert breaches("rediprune", lambda path, name: station(path) not in here or name[0] in drawing) == []


def test_the_library_reads_no_environment_variable():
    found = []
    for path in modules("rediprune"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "name", None)
            if name in {"environ", "environb", "getenv", "putenv", "expandvars"}:
                found.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', '?')} {name}")
    assert found == []


def test_importing_the_library_is_light():
    heavy = ("transformers", "open_clip", "gradio", "matplotlib", "av")
    code = f"import sys, rediprune; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_reader_of_imports_resolves_what_it_reads(tmp_path):
    for name in ("lib/__init__.py", "lib/core.py", "lib/sub/__init__.py", "lib/sub/deep.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    file = tmp_path / "lib/sub/deep.py"
    file.write_text(
        "import os.path\nfrom .. import core, VERSION\nfrom ..core import thing\nfrom . import deep\n"
        "def f():\n    from lib import core\n    import gradio as gr\n"
    )
    expected = {"os.path", "lib.core", "lib", "lib.sub.deep", "gradio"}
    assert set(imported(file, tmp_path)) == expected
