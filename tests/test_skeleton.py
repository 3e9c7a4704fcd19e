"""What stands around the code tells the truth: the README runs, a Space can read it, the lists agree."""

import re
import tomllib
from pathlib import Path

import pytest
import torch
import yaml

from tests import tiny

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


def test_a_space_installs_what_the_package_declares():
    declared = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["app"]]
    assert requirements("requirements.txt") == set(declared)


def test_the_front_matter_is_what_a_space_reads():
    assert FRONT_MATTER["sdk"] == "gradio"
    assert (ROOT / FRONT_MATTER["app_file"]).is_file()
    assert {FRONT_MATTER["colorFrom"], FRONT_MATTER["colorTo"]} <= COLOURS
    assert len(FRONT_MATTER["short_description"]) <= 60
    assert FRONT_MATTER["license"] == PROJECT["license"].lower()
    assert f">={FRONT_MATTER['python_version']}" == PROJECT["requires-python"]


def test_a_space_runs_a_gradio_that_the_requirements_admit():
    (bound,) = (line for line in requirements("requirements.txt") if line.startswith("gradio"))
    lowest = [int(part) for part in bound.removeprefix("gradio>=").split(".")]
    assert [int(part) for part in FRONT_MATTER["sdk_version"].split(".")] >= lowest


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
    assert room["selection"].kept(0.25).shape == (2, 9)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([\w./]+(?:/|\.py|\.txt|\.md))`", README))))
def test_a_file_that_the_readme_names_exists(path):
    assert (ROOT / path).exists()
