"""The lists of versions agree with each other, with what is installed and with what a Space adds."""

import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import noxfile
from tests import lock

ROOT = Path(__file__).resolve().parents[1]
PINNED = lock.pins("constraints.txt")
PROJECT = lock.project()
RANGES = [Requirement(line) for line in PROJECT["dependencies"]]
EXTRAS = {
    name: [Requirement(line) for line in asked] for name, asked in PROJECT["optional-dependencies"].items()
}


def lines(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def wanted_by(requirement: Requirement) -> list[Requirement]:
    """Return what an installed package asks for on this platform, under the extras that are asked of it."""
    try:
        asked = [Requirement(line) for line in requires(requirement.name) or []]
    except PackageNotFoundError:
        return []
    extras = requirement.extras or {""}
    return [
        one
        for one in asked
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras)
    ]


def closure(roots: list[Requirement]) -> dict[str, list[Requirement]]:
    """Return {normalised name: every requirement on it} of what the roots need on this platform."""
    found: dict[str, list[Requirement]] = {}
    waiting = list(roots)
    seen = set()
    while waiting:
        one = waiting.pop()
        key = (lock.normalised(one.name), frozenset(one.extras))
        found.setdefault(key[0], []).append(one)
        if key not in seen:
            seen.add(key)
            waiting += wanted_by(one)
    return found


def test_a_constraint_is_a_name_and_a_version_and_nothing_else():
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", line) for line in lines("constraints.txt"))
    assert len(PINNED) == len(lines("constraints.txt")) > 100


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-lmms.txt"])
def test_each_list_pins_every_line_to_the_tested_version(name):
    pinned = lock.pins(name)
    assert len(pinned) == len(lines(name))
    pinned.pop("lmms-eval", None)  # has an environment of its own
    assert pinned == {package: PINNED[package] for package in pinned}


def test_a_space_has_every_package_in_its_one_file():
    needed = closure([*RANGES, *EXTRAS["app"]])
    of_torch = {name for name in needed if lock.OF_TORCH.match(name)}
    assert set(needed) - of_torch <= set(lock.pins("requirements.txt"))


def test_every_package_that_is_needed_is_bound():
    extras = [one for group in EXTRAS.values() for one in group]
    tools = [Requirement(line) for line in lines("requirements-dev.txt")]
    assert set(closure([*RANGES, *extras, *tools])) <= set(PINNED)


@pytest.mark.pinned
def test_the_pins_agree_with_what_each_package_asks_for_and_a_space_adds():
    roots = [*RANGES, *(one for group in EXTRAS.values() for one in group), *map(Requirement, lock.SPACE)]
    for name, asked in closure(roots).items():
        for one in asked:
            assert one.specifier.contains(PINNED[name], prereleases=True), f"{name}=={PINNED[name]}: {one}"


@pytest.mark.pinned
def test_what_is_installed_is_what_is_pinned():
    here = lock.installed()
    other = {name: here[name] for name in here.keys() & PINNED.keys() if here[name] != PINNED[name]}
    assert not other, "run make, or make lock if the tests passed with these"


def test_a_space_runs_the_tested_gradio():
    front_matter = yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert front_matter["sdk_version"] == PINNED["gradio"]


@pytest.mark.parametrize("one", [*RANGES, *(one for group in EXTRAS.values() for one in group)], ids=str)
def test_a_range_ends_where_the_tests_ended(one):
    ends = [Version(part.version) for part in one.specifier if part.operator == "<"]
    assert len(ends) == 1 and one.specifier.contains(PINNED[lock.normalised(one.name)])


@pytest.mark.parametrize("name", ["torch", "torchvision", "transformers"])
def test_a_range_begins_at_the_lowest_version_that_compat_tries(name):
    (specifier,) = (one.specifier for one in RANGES if one.name == name)
    (begin,) = (part.version for part in specifier if part.operator == ">=")
    tried = [line.split("==") for asked, _ in noxfile.VERSIONS.values() for line in asked]
    lowest = min(Version(version) for package, version in tried if package == name)
    assert (Version(begin).major, Version(begin).minor) == (lowest.major, lowest.minor)


def test_an_upper_end_is_raised_and_never_lowered():
    text = '"a>=1.2,<1.4", "b_c[x]>=2,<2.9"'
    assert lock.raised(text, {"a": "1.4.1", "b-c": "2.3"}) == '"a>=1.2,<1.5", "b_c[x]>=2,<2.9"'


def test_a_pin_is_rewritten_with_its_extra_and_its_spelling():
    text = "# a==1\nB_c[x]==1.0\nother==3\n"
    assert lock.repinned(text, {"b-c": "2.0"}) == "# a==1\nB_c[x]==2.0\nother==3\n"


def test_one_screen_says_each_reason_once():
    output = "FAILED a.py::x[1] - E: b\nFAILED a.py::x[2] - E: b\nERROR c.py::y - gone\n2 failed in 3s\n"
    shown = noxfile.one_screen(output)
    assert "2 x E: b" in shown and "1 x gone" in shown and shown.endswith("2 failed in 3s")
