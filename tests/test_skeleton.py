"""What stands around the code tells the truth: the README runs, a Space can read it, the lists agree."""

import re
import tomllib
import warnings
from pathlib import Path

import pytest
import torch
import yaml

from tests.support import tiny

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FRONT_MATTER = yaml.safe_load(README.split("---\n")[1])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


def requirements(name: str) -> set[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("kind", [FutureWarning, DeprecationWarning])
@pytest.mark.parametrize(
    "module", ["rediprune.prune", "app.page.build", "world.training", "tests.rediprune.pruning.test_prune"]
)
def test_a_deprecated_call_of_ours_is_an_error(kind, module):
    with pytest.raises(kind):
        warnings.warn_explicit("goes away", kind, "file.py", 1, module=module)


@pytest.mark.pinned
def test_a_name_that_transformers_gives_up_is_an_error():
    with pytest.raises(FutureWarning):
        warnings.warn_explicit(
            "goes away", FutureWarning, "file.py", 1, module="transformers.generation.utils"
        )


def test_the_front_matter_is_what_a_space_reads():
    assert FRONT_MATTER["sdk"] == "gradio"
    assert (ROOT / FRONT_MATTER["app_file"]).is_file()
    assert {FRONT_MATTER["colorFrom"], FRONT_MATTER["colorTo"]} <= COLOURS
    assert len(FRONT_MATTER["short_description"]) <= 60
    assert FRONT_MATTER["license"] == PROJECT["license"].lower()
    assert FRONT_MATTER["suggested_hardware"] == "cpu-basic"  # enough for what runs without any variable
    assert FRONT_MATTER["pinned"] is False and all(isinstance(tag, str) for tag in FRONT_MATTER["tags"])


def test_a_space_runs_a_python_that_the_package_admits_and_zero_gpu_has():
    major, minor = map(int, FRONT_MATTER["python_version"].split("."))
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert (major, minor) >= tuple(map(int, lowest.split(".")))
    assert (major, minor) in {(3, 10), (3, 12)}  # all that ZeroGPU offers


def test_the_front_matter_names_a_public_checkpoint_of_every_family():
    from rediprune.models import FAMILIES
    from rediprune.models.checkpoints.catalog import CATALOG

    named = {one.name: one.family for one in CATALOG if one.name in FRONT_MATTER["models"]}
    assert sorted(named) == sorted(FRONT_MATTER["models"])
    assert set(named.values()) == set(FAMILIES)
    shown = set(re.findall(r"llava-hf/[\w.-]+\w", README.split("---\n", 2)[2]))
    assert shown <= set(named)  # what the examples use


def test_a_space_brings_along_what_it_manages_itself():
    names = {re.split(r"[<>=~\[]", line)[0] for line in requirements("requirements.txt")}
    assert "spaces" not in names


def test_the_pipeline_of_the_readme_runs(capsys):
    room = {"model": tiny.model(), "processor": tiny.processor(), "image": tiny.image()}
    exec(code_blocks("python")[0], room)
    assert "Kept 5 of 36 visual tokens" in capsys.readouterr().out
    assert room["tokens"].shape[1] > room["inputs"]["input_ids"].shape[1]


def test_the_selection_of_the_readme_runs():
    import rediprune

    torch.manual_seed(0)
    room = {"rediprune": rediprune, "features": torch.randn(2, 36, 8), "query": torch.randn(8)}
    exec(code_blocks("python")[1], room)
    assert room["selection"].kept(0.25).shape == (2 * 9,)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w./]+(?:/|\.py|\.txt|\.md))`", README))))
def test_a_file_that_the_readme_names_exists(path):
    assert (ROOT / path).exists()


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("assets/*/README.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_link_between_files_leads_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\((?!https?:|#)([^)\s#]+)", text)
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "CHANGELOG.md"],  # which tells of files that were
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_a_source_file_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`((?:app|rediprune|world|tests|docs)/[\w./-]+(?:/|\.(?:py|js|css|json|md)))`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []
