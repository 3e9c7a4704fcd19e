"""export: a run as plain JSON; numbers that JSON does not know are spelled, and nothing gets lost."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from rediprune import PruneConfig
from rediprune.costs.stopwatch import Timing
from rediprune.explainer.explainer import Explainer
from rediprune.replay.to_json import as_dict
from rediprune.tokens import Geometry
from tests.support import tiny

CONFIG = PruneConfig(np.float32(0.25), alpha=math.inf, seed=np.int64(3))


@pytest.fixture(scope="module")
def explainer():
    return Explainer(tiny.model(), tiny.processor(), name="tiny")


@pytest.fixture(scope="module")
def trace(explainer):
    return explainer.run(tiny.image(), "what color is the star", CONFIG, max_new_tokens=2)


def through_json(*args) -> dict:
    """The record after a round trip through JSON that refuses NaN and Infinity."""
    record = as_dict(*args)
    read = json.loads(json.dumps(record, allow_nan=False))
    assert read == record
    return read


def test_the_whole_run_is_valid_json_and_says_what_the_trace_says(trace):
    record = through_json(trace)
    assert (record["model"], record["question"]) == ("tiny", "what color is the star")
    assert record["kept"] == trace.kept.tolist()
    assert record["selection"]["order"] == trace.selection.order.tolist()
    assert record["selection"]["relevance"] == trace.selection.relevance.tolist()
    assert record["answers"]["full"]["token_ids"] == list(trace.full.token_ids)
    assert record["estimated"]["prefill"] == trace.savings.prefill
    assert record["measured"]["pruned"] == {
        "seconds": trace.pruned.seconds,
        "first_token_seconds": trace.pruned.first_token_seconds,
        "runs": 1,
    }


def test_infinity_is_spelled_and_a_number_that_is_none_is_null(trace):
    record = through_json(trace)
    assert record["config"] == {
        "keep_ratio": 0.25,
        "alpha": "inf",
        "tau": 0,
        "method": "rediprune",
        "query": "prompt-tail",
        "pointing": "cosine",
        "seed": 3,
        "budget": "frame",
        "positions": "compacted",
        "weight": 1,
    }
    assert record["selection"]["alphas"] == ["inf"]
    (distance,) = record["selection"]["distance"]
    assert distance[0] is None and distance[1:] == trace.selection.distance[0, 1:].tolist()
    certain = replace(trace.agreement, pruned_on_full=-math.inf)
    assert through_json(replace(trace, agreement=certain))["agreement"]["pruned_on_full"] == "-inf"


def test_several_weights_at_once_keep_their_shape(explainer, trace):
    look = explainer.look(tiny.image())
    asked = explainer.ask(look, trace.question, CONFIG)
    many = explainer.select(look, asked, CONFIG, alphas=(0, 1, math.inf))
    selection = through_json(replace(trace, selection=many))["selection"]
    assert selection["alphas"] == [0, 1, "inf"]
    assert torch.tensor(selection["order"]).shape == (3, 1, tiny.N)
    assert [order for (order,) in selection["order"]] == many.order[:, 0].tolist()
    assert all(distance[0] is None for (distance,) in selection["distance"])


def test_evidence_that_a_method_does_not_measure_is_null(explainer):
    config = PruneConfig(0.25, method="random")
    selection = through_json(explainer.run(tiny.image(), "is it red", config, max_new_tokens=1))["selection"]
    assert [selection[name] for name in ("relevance", "distance", "score")] == [None] * 3


def test_timings_stand_beside_the_single_runs_and_a_missing_one_is_null(trace):
    timing = Timing(0.5, (0.4, 0.7), math.nan, (math.nan, math.nan), repeats=3, warmup=1, device="cpu")
    measured = through_json(trace, {"full": timing})["measured"]
    assert measured["full"]["medians"] == {
        "prefill": 0.5,
        "prefill_spread": [0.4, 0.7],
        "per_token": None,
        "per_token_spread": [None, None],
        "repeats": 3,
        "warmup": 1,
        "device": "cpu",
    }
    assert "medians" not in measured["pruned"]


def test_places_keep_the_names_that_older_files_have(trace):
    edges = (((0.0, 4.0), (5.0, 9.0)), ((0.0, 9.0),))
    place = Geometry(1, 2, (0.0, 0.0, 9.0, 9.0), (9, 9), n_global=1, cell_edges=edges)
    (frame,) = through_json(replace(trace, vision=replace(trace.vision, geometry=(place,))))["frames"]
    assert list(frame) == ["rows", "cols", "box", "image_size", "whole", "uneven"]
    assert frame["whole"] == 1 and frame["uneven"] == [[[0.0, 4.0], [5.0, 9.0]], [[0.0, 9.0]]]
