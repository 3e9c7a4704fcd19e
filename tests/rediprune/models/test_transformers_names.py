"""What transformers renames is known in one place, and our calls use the name of the installed version."""

import ast
import inspect
import warnings
from pathlib import Path

import pytest
import torch
from transformers import DynamicCache
from transformers.utils import logging

from rediprune.config import PruneConfig
from rediprune.explainer.generate import generate_answer, next_token_log_probs, prefill, time_prompt
from rediprune.models import adapter_for
from rediprune.models.transformers_names import (
    CACHE,
    CACHE_NAMES,
    cache_argument,
    cache_of,
    cached_length,
    caches_in,
    without_cache,
)
from rediprune.pruning.prune import prune
from tests.families import families
from tests.support import tiny

ROOT = Path(__file__).resolve().parents[3]
NAMES_FILE = ROOT / "rediprune/models/transformers_names.py"
NEW = {"max_new_tokens": 2, "do_sample": False}


def filled() -> DynamicCache:
    cache = DynamicCache()
    cache.update(torch.zeros(1, 2, 5, 16), torch.zeros(1, 2, 5, 16), 0)
    return cache


def names_read(path: Path) -> set[str]:
    """Names of the cache that a file reads: as attribute, keyword argument or dictionary key."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.keyword):
            found.add(node.arg)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found & {"past_key_values", "cache_params"}


def test_no_other_file_names_the_cache():
    houses = [ROOT / name for name in ("rediprune", "app", "world", "tests")]
    files = {path for house in houses for path in house.rglob("*.py")} - {NAMES_FILE, Path(__file__)}
    assert {str(path.relative_to(ROOT)): names for path in files if (names := names_read(path))} == {}


def test_the_name_is_the_one_that_the_installed_models_take():
    parameters = inspect.signature(tiny.model().model.language_model.forward).parameters
    assert [name for name in CACHE_NAMES if name in parameters] == [CACHE]


@pytest.mark.parametrize("name", CACHE_NAMES)
def test_a_cache_is_found_by_each_of_its_names(name):
    cache = filled()
    assert caches_in({name: cache, "input_ids": None}) == {name: cache}
    assert cached_length({name: cache}) == 5
    assert cached_length({name: DynamicCache()}) == 0
    assert cached_length({name: None}) == 0


def test_the_longest_counts_where_two_names_are_given():
    assert cached_length({"past_key_values": DynamicCache(), "cache": filled()}) == 5
    assert cached_length({"past_key_values": filled(), "cache": DynamicCache()}) == 5


def test_an_output_loses_its_cache_and_nothing_else():
    model = tiny.model()
    out = model(**tiny.inputs(), use_cache=True)
    bare = without_cache(out)
    assert cache_of(out) is not None
    assert cache_of(bare) is None
    assert type(bare) is type(out) and torch.equal(bare.logits, out.logits)
    assert without_cache(bare) is bare
    ids = torch.zeros(1, 3)
    assert without_cache(ids) is ids


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_our_own_calls_cause_no_warning_of_transformers(family, caplog, monkeypatch):
    monkeypatch.setattr(logging.get_logger("transformers"), "propagate", True)
    model, inputs = family.model(torch.float32), family.inputs("image")
    logging.warning_once.cache_clear()  # an earlier test may have heard it already
    caplog.clear()  # what the processor says of itself is said to whoever calls it
    adapter, tokenizer = adapter_for(model), family.processor().tokenizer
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        warnings.simplefilter("error", DeprecationWarning)
        with prune(model, PruneConfig(keep_ratio=0.3)):
            model.generate(**inputs, **NEW, return_dict_in_generate=True)
            model.generate(**inputs, **NEW, **cache_argument(DynamicCache()))
        ids, seen = inputs["input_ids"], adapter.look(inputs)
        prompt = adapter.splice(ids, torch.ones_like(ids), seen, [torch.arange(5)], False, inputs)
        prefill(adapter, prompt)
        next_token_log_probs(adapter, prompt, (5, 6))
        time_prompt(adapter, lambda: prompt, repeats=1)
        generate_answer(adapter, tokenizer, lambda: prompt, torch.zeros(1, 3, dtype=torch.long), 2)
    assert [record.message for record in caplog.records if "deprecated" in record.message] == []
