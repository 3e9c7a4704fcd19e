"""from_json: values back to a Trace. What it refuses is in test_trace_file.py; here, what it needs."""

import json

import pytest
import torch

from rediprune import PruneConfig, TraceError
from rediprune.explainer.explainer import Explainer
from rediprune.replay.from_json import from_dict
from rediprune.replay.to_json import as_dict
from tests.support import tiny


@pytest.fixture(scope="module")
def trace():
    explainer = Explainer(tiny.model(), tiny.processor(), name="tiny")
    return explainer.run(tiny.image(), "what color is the star", PruneConfig(0.25), max_new_tokens=2)


def parts(trace):
    given = {"features": trace.vision.features, "query": trace.query.vector, "keys": None, "attention": None}
    return json.loads(json.dumps(as_dict(trace))), given


def test_the_readable_part_and_the_tensors_are_all_it_takes(trace):
    record, given = parts(trace)
    found = from_dict(record, given, trace.frames)
    assert torch.equal(found.selection.order, trace.selection.order) and found.savings == trace.savings


def test_every_part_is_needed(trace):
    record, given = parts(trace)
    unread = {"format", "versions", "present", "costs"}  # read by trace_file, by people, or null at times
    for name in set(record) - unread:
        with pytest.raises(TraceError):
            from_dict({k: v for k, v in record.items() if k != name}, given, trace.frames)


def test_pictures_of_another_size_do_not_fit(trace):
    record, given = parts(trace)
    with pytest.raises(TraceError, match="do not fit"):
        from_dict(record, given, (tiny.image(size=(8, 8)),))


@pytest.mark.parametrize("name", ["relevance", "distance", "score"])
def test_a_pick_of_the_rule_without_its_numbers_is_refused(trace, name):
    record, given = parts(trace)
    record["selection"][name] = None
    with pytest.raises(TraceError, match="lack"):
        from_dict(record, given, trace.frames)


@pytest.mark.parametrize("name", ["distance", "score"])
def test_only_the_first_pick_may_lack_a_number_and_only_its_distance(trace, name):
    record, given = parts(trace)
    record["selection"][name][0][1] = None
    with pytest.raises(TraceError, match="a pick of it lacks"):
        from_dict(record, given, trace.frames)
