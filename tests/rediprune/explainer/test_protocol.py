"""ExplainerLike: everything that explains a run offers all of it: callers need not ask which kind it is."""

import ast
import inspect
from pathlib import Path

import pytest

from app.model.zero_gpu import ZeroGpuExplainer
from rediprune import Explainer
from rediprune.explainer.protocol import ExplainerLike
from rediprune.replay.recorded_run import RecordedRun
from tests.support import tiny

ROOT = Path(__file__).resolve().parents[3]
MEMBERS = {name: value for name, value in vars(ExplainerLike).items() if not name.startswith("_")}
METHODS = [name for name, value in MEMBERS.items() if inspect.isfunction(value)]


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), "tiny")


@pytest.fixture(scope="module")
def recorded(explainer):
    return RecordedRun(explainer.run(tiny.image(), "What color is the star?"))


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_an_explainer_and_a_recorded_run_have_every_member(explainer, recorded, name):
    assert hasattr(explainer, name) and hasattr(recorded, name)


@pytest.mark.parametrize("kind", [Explainer, ZeroGpuExplainer, RecordedRun])
@pytest.mark.parametrize("name", METHODS)
def test_every_kind_takes_the_arguments_of_the_protocol(kind, name):
    asked = inspect.signature(MEMBERS[name]).parameters
    given = inspect.signature(getattr(kind, name)).parameters
    assert list(given)[: len(asked)] == list(asked)
    assert all(p.default is not p.empty for p in list(given.values())[len(asked) :])


def test_only_a_recorded_run_has_a_trace_and_only_a_model_has_load_arguments(explainer, recorded):
    assert explainer.trace is None and recorded.trace.full.text
    assert explainer.load_arguments == {"dtype": "float32"} and recorded.load_arguments == {}
    assert ZeroGpuExplainer.one_at_a_time and not explainer.one_at_a_time and not recorded.one_at_a_time


def test_methods_behind_the_projector_can_be_measured_by_a_model_alone(explainer, recorded):
    assert explainer.can_measure("divprune") and not recorded.can_measure("divprune")
    assert recorded.can_measure("rediprune") and not explainer.can_measure("nonsense")


def test_no_call_site_asks_which_kind_it_is():
    kinds = {"Explainer", "ZeroGpuExplainer", "RecordedRun"}
    found = []
    for house in ("app", "rediprune"):
        for path in sorted((ROOT / house).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                is_check = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance"
                if is_check and kinds & {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []
