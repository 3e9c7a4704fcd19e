"""What `pip install` gives: a wheel that works outside the repository, with types and a command."""

import ast
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml
from mypy import api

import rediprune

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {".git", ".nox", ".venv", ".venv-lmms", "build", "tests", "docs", "world", "app"}


def ran(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of what is here, built from a copy: an earlier build's files would go along."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = ran("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in listed:
        if Path(name).parts[0] not in LEFT_OUT and (ROOT / name).is_file():
            copy = folder / "source" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes((ROOT / name).read_bytes())
    build = (
        "uv",
        "build",
        "--quiet",
        "--offline",
        "--wheel",
        "--no-build-isolation",
        "--python",
        sys.executable,
    )
    ran(sys.executable, "-m", *build, "--out-dir", folder, "source", cwd=folder)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The folder of commands of a fresh environment with the wheel, and with the libraries of this one."""
    folder = tmp_path_factory.mktemp("fresh") / "environment"
    ran(sys.executable, "-m", "venv", "--without-pip", folder, cwd=ROOT)
    commands = folder / ("Scripts" if sys.platform == "win32" else "bin")
    python = commands / Path(sys.executable).name
    asked = ("-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    site = Path(ran(python, *asked, cwd=folder).strip())
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    ran(
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--python",
        python,
        wheel,
        cwd=folder,
    )
    return commands


def test_the_wheel_holds_the_library_and_its_model_and_nothing_else(wheel):
    names = set(ZipFile(wheel).namelist())
    tracked = {path.relative_to(ROOT).as_posix() for path in (ROOT / "rediprune").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == tracked
    assert {"rediprune/py.typed", "rediprune/evaluation/lmms/tasks/local.yaml"} <= names
    for folder in ("tiny-llava", "tiny-clip", "known"):
        brought = {Path(name).name for name in names if name.startswith(f"rediprune/assets/{folder}/")}
        assert brought == {path.name for path in (ROOT / "assets" / folder).iterdir()}
    assert {name.split("/")[0] for name in names} == {
        "rediprune",
        f"rediprune-{rediprune.__version__}.dist-info",
    }


def test_the_command_answers_outside_the_repository_with_the_built_in_model(installed, tmp_path):
    picture = ROOT / "assets" / "known" / "scene-300.png"
    said = ran(installed / "rediprune", "answer", picture, "what color is the star", cwd=tmp_path)
    assert "visual tokens" in said or "tokens" in said
    assert ran(installed / "rediprune", "--version", cwd=tmp_path) == f"rediprune {rediprune.__version__}\n"
    assert "usage: rediprune answer" in ran(installed / "rediprune", "answer", "--help", cwd=tmp_path)


def test_what_check_needs_comes_along(installed, tmp_path):
    code = (
        "import rediprune; from rediprune.evaluation.check import read_known; "
        "print(len(read_known()), rediprune.__file__)"
    )
    python = installed / Path(sys.executable).name
    count, file = ran(python, "-c", code, cwd=tmp_path).split(maxsplit=1)
    assert int(count) == 8 and str(installed.parent) in file


def typed(code: str, tmp_path: Path) -> str:
    """Return what mypy says about a user's file, with this project's settings of what is followed."""
    file = tmp_path / "user.py"
    file.write_text(code, encoding="utf-8")
    settings = ("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path / "cache"))
    return api.run([*settings, str(file)])[0]


def test_type_checkers_see_the_public_names_and_refuse_others(tmp_path):
    said = typed(
        "import rediprune\n"
        "rediprune.nonsense()\n"
        "reveal_type(rediprune.select)\n"
        "reveal_type(rediprune.Explainer.from_pretrained())\n"
        "reveal_type(rediprune.load_image)\n"
        "rediprune.PruneConfig(keep_ratio='a lot')\n",
        tmp_path,
    )
    assert 'Module has no attribute "nonsense"' in said
    assert 'Revealed type is "rediprune.explainer.explainer.Explainer"' in said
    assert said.count('Revealed type is "def (') == 2 and "Selection" in said
    assert 'incompatible type "str"; expected "float"' in said
    assert said.count("error:") == 2


def test_the_names_for_type_checkers_are_those_that_are_imported():
    tree = ast.parse((ROOT / "rediprune" / "__init__.py").read_text(encoding="utf-8"))
    (seen,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name: part.module for part in seen.body for alias in part.names}
    assert imported == rediprune._LAZY
    assert set(rediprune._LAZY) <= set(rediprune.__all__) <= set(dir(rediprune))
    assert all(getattr(rediprune, name) is not None for name in rediprune.__all__)


def test_the_version_is_said_in_one_place():
    assert ran(sys.executable, "-m", "rediprune", "--version", cwd=ROOT).split() == [
        "rediprune",
        rediprune.__version__,
    ]
    assert (
        yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"]
        == rediprune.__version__
    )


def test_the_citation_names_the_paper_in_both_forms():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    paper = cited["preferred-citation"]
    bibtex = (ROOT / "CITATION.bib").read_text(encoding="utf-8")
    assert cited["cff-version"] == "1.2.0" and cited["message"] and cited["title"] and cited["authors"]
    assert paper["title"] in bibtex and "2603.24680" in bibtex and "2603.24680" in str(paper)
    assert all(author["family-names"] in bibtex for author in paper["authors"])
