"""The page's scripts keep the rules of `make lint` that can be checked without npm."""

import json
import re

import pytest

from app.page.web_part import MANIFEST, WEB
from tests.test_skeleton import ROOT

SCRIPTS = {str(file.relative_to(WEB)): file.read_text(encoding="utf-8") for file in WEB.rglob("*.js")}
SOURCES = [file for kind in ("*.js", "*.css") for file in WEB.rglob(kind)]
PAGE_STATE = SCRIPTS[MANIFEST["common"]]


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_every_script_is_type_checked_and_takes_the_shared_state_from_one_place(name):
    assert SCRIPTS[name].startswith("// @ts-check\n")
    assert ("window.rediprune" in SCRIPTS[name]) == (name == MANIFEST["common"])


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: file.name)
def test_no_line_is_longer_than_120_characters(file):
    assert max(map(len, file.read_text(encoding="utf-8").splitlines())) <= 120


def test_every_shared_key_is_declared_and_every_name_that_python_calls_is_set_by_one_script():
    declared = set(re.findall(r"^ \* @property \{.*\} \[?(\w+)\]?", PAGE_STATE, re.MULTILINE))
    written = [
        key for text in SCRIPTS.values() for key in re.findall(r"^ *pageState\.(\w+) = ", text, re.MULTILINE)
    ]
    assert set(written) <= declared
    page = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "app" / "page").glob("*.py"))
    called = set(re.findall(r"window\.rediprune\?\.(\w+)", page))
    assert called and called <= declared
    functions = PAGE_STATE.partition("Functions that Python calls")[2]
    for name in re.findall(r"\[(\w+)\]", functions):
        assert written.count(name) == 1


def test_the_lock_file_holds_no_addresses_and_the_versions_that_are_asked_for():
    package = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
    locked = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert not any("resolved" in entry for entry in locked.values())
    assert locked[""]["devDependencies"] == package["devDependencies"]
    for name, version in package["devDependencies"].items():
        assert locked[f"node_modules/{name}"]["version"] == version
