"""Check that each other method does what its docstring says, and that all share one contract."""

from __future__ import annotations

import math

import pytest
import torch

from rediprune import PruneConfig, Query, select
from rediprune.config import ASKS_QUERY
from rediprune.config import METHODS as NAMES
from rediprune.selection.methods import METHODS
from rediprune.selection.methods.grid import farthest_points
from tests.support import reference


def features(t: int = 2, n: int = 36, c: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.randn(t, n, c, generator=torch.Generator().manual_seed(seed))


QUERY = torch.randn(16, generator=torch.Generator().manual_seed(99))


def more(n: int = 36) -> dict[str, torch.Tensor]:
    """Make the other inputs of some methods: wider projected tokens, and attention of a class token."""
    return {
        "projected": features(n=n, c=48, seed=5),
        "attention": features(n=n, c=1, seed=6)[..., 0].sigmoid(),
    }


def test_registry_holds_exactly_the_methods_that_the_config_accepts():
    assert set(METHODS) == set(NAMES) and set(NAMES) >= ASKS_QUERY


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("n", [1, 2, 7, 36])
def test_every_method_orders_every_token_once_for_one_weight_and_for_several(method, n):
    config, alphas = PruneConfig(method=method), [0.0, 0.5, math.inf]
    one, many = (select(features(n=n), QUERY, config, weights, **more(n)) for weights in (None, alphas))
    assert one.order.shape == (2, n) and many.order.shape == (3, 2, n)
    assert one.alphas == (0.5,) and many.alphas == (0.0, 0.5, math.inf)
    assert torch.equal(many.at(1).order, one.order)
    for order in (*one.order, *many.order.flatten(0, 1)):
        assert sorted(order.tolist()) == list(range(n))
    for evidence in (many.distance, many.score):
        assert evidence is None or (evidence.shape == many.order.shape and evidence.dtype == torch.float32)
    assert (one.relevance is not None) == (method in ASKS_QUERY)
    smaller = one.kept(0.25)
    assert set(smaller.tolist()) <= set(one.kept(0.5).tolist())


@pytest.mark.parametrize("method", sorted(set(NAMES) - ASKS_QUERY))
def test_methods_that_ask_no_query_need_none_and_ignore_it(method):
    config = PruneConfig(method=method)
    none, one = (select(features(), query, config, **more()).order for query in (None, QUERY))
    assert torch.equal(none, one)


@pytest.mark.parametrize("method", sorted(ASKS_QUERY))
def test_methods_that_ask_a_query_say_so(method):
    with pytest.raises(ValueError, match=f"method='{method}' needs a query"):
        select(features(), None, PruneConfig(method=method))


def test_random_depends_on_the_seed_alone():
    def order(seed: int, x: torch.Tensor) -> torch.Tensor:
        return select(x, None, PruneConfig(method="random", seed=seed)).order

    assert torch.equal(order(3, features()), order(3, features(seed=1).double()))
    assert not torch.equal(order(3, features()), order(4, features()))
    assert not torch.equal(*order(3, features()))  # the frames differ
    assert torch.equal(order(3, features(t=5))[:2], order(3, features()))
    # Written down, so that a run with a seed stays the same run on every machine.
    assert order(0, features(t=1, n=8)).tolist() == [[4, 0, 7, 3, 2, 5, 1, 6]]


def test_random_leaves_the_global_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    select(features(), None, PruneConfig(method="random"))
    assert torch.equal(torch.rand(3), expected)


def test_relevance_is_rediprune_at_infinite_weight():
    alone = select(features(), QUERY, PruneConfig(method="relevance"))
    limit = select(features(), QUERY, PruneConfig(alpha=math.inf))
    assert torch.equal(alone.order, limit.order) and torch.equal(alone.score, limit.score)
    assert torch.equal(alone.relevance, limit.relevance) and alone.distance is None


def test_diversity_is_the_max_min_rule_of_the_slow_reference():
    found = select(features(n=25), None, PruneConfig(method="diversity"))
    for t in range(2):
        x = features(n=25)[t].double().numpy()
        assert found.order[t].tolist() == reference.diversity(x)
        others = [
            1 - reference.cosine(x[found.order[t, 0]], x[j]) for j in range(25) if j != found.order[t, 0]
        ]
        assert found.score[t, 0].item() == pytest.approx(min(others), abs=1e-6)
    assert found.distance[:, 0].isnan().all() and torch.equal(found.distance[:, 1:], found.score[:, 1:])


def test_divprune_is_diversity_behind_the_projector():
    projected = more(25)["projected"]
    found = select(features(n=25), None, PruneConfig(method="divprune"), projected=projected)
    assert found.order.tolist() == [reference.diversity(x.double().numpy()) for x in projected]
    behind = select(projected, None, PruneConfig(method="diversity"))
    assert torch.equal(found.score, behind.score) and found.relevance is None


@pytest.mark.parametrize("sign", [1, -1])
def test_cdpruner_is_the_greedy_determinant_of_the_slow_reference(sign):
    x, projected = features(n=20), more(20)["projected"]
    query = Query("prompt-tail", QUERY, sign=sign)
    found = select(x, query, PruneConfig(method="cdpruner"), projected=projected)
    scores = sign * reference.relevance(x.double().numpy(), QUERY.double().numpy())
    torch.testing.assert_close(found.relevance.double(), torch.from_numpy(scores), atol=1e-6, rtol=0)
    for t in range(2):
        picks = reference.determinantal(projected[t].double().numpy(), scores[t])
        assert found.order[t].tolist() == [i for i, _ in picks]
        assert found.score[t].tolist() == pytest.approx([gain for _, gain in picks], abs=1e-5)
        tokens, order = projected[t].double().numpy(), found.order[t].tolist()
        for k in (1, 7, 19):
            nearest = min(1 - reference.cosine(tokens[order[k]], tokens[u]) for u in order[:k])
            assert found.distance[t, k].item() == pytest.approx(nearest, abs=1e-6)
    assert found.order[:, 0].tolist() == found.relevance.argmax(-1).tolist()
    assert found.distance[:, 0].isnan().all() and (found.score[:, 0] == 1).all()


def test_cdpruner_takes_what_adds_nothing_last_in_raster_order():
    """Use tokens in 6 dimensions, of which six are independent; copies and a token of zeros add nothing."""
    projected = features(t=1, n=36, c=6)
    projected[0, 20:] = projected[0, :16]
    projected[0, 7] = 0
    found = select(features(t=1), QUERY, PruneConfig(method="cdpruner"), projected=projected)
    assert (found.score[0, :6] > 0).all() and (found.score[0, 6:] == 0).all()
    assert found.order[0, 6:].tolist() == sorted(found.order[0, 6:].tolist()) and 7 in found.order[0, 6:]


def test_cdpruner_of_tokens_that_are_all_as_relevant_is_diverse():
    x = torch.ones(1, 20, 16)
    found = select(x, QUERY, PruneConfig(method="cdpruner"), projected=more(20)["projected"][:1])
    picks = reference.determinantal(more(20)["projected"][0].double().numpy(), [1.0] * 20)
    assert found.order[0].tolist() == [i for i, _ in picks]


def test_cls_attention_takes_the_most_attended_first():
    x, attention = features(), more()["attention"].clone()
    attention[0, 30] = attention[0, 5]
    found = select(x, None, PruneConfig(method="cls-attention"), attention=attention)
    order = [sorted(range(36), key=lambda i, row=row: (-row[i], i)) for row in attention.tolist()]
    assert found.order.tolist() == order and found.relevance is None and found.distance is None
    assert torch.equal(found.score, attention.gather(-1, found.order))


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (1, 9), (4, 4), (9, 16), (14, 14), (24, 24)])
def test_grid_leaves_no_hole_wider_than_its_closest_pair(rows, cols):
    """Check the invariant of the factor 2: every cell is as near to a kept one as the closest kept pair."""
    order = farthest_points(rows, cols)
    assert sorted(order.tolist()) == list(range(rows * cols))
    at = torch.stack([order // cols, order % cols], -1).double()
    apart = torch.cdist(at, at)
    for k in range(2, rows * cols):
        hole = apart[k:, :k].amin(1).max()
        closest = (apart[:k, :k] + 1e9 * torch.eye(k)).min()
        assert hole <= closest + 1e-9


def test_grid_is_evener_than_random():
    order = select(features(t=1, n=196), None, PruneConfig(method="grid")).order[0]
    noise = select(features(t=1, n=196), None, PruneConfig(method="random")).order[0]

    def hole(kept: torch.Tensor) -> float:
        at = torch.stack([torch.arange(196) // 14, torch.arange(196) % 14], -1).double()
        return torch.cdist(at, at[kept]).amin(1).max().item()

    for k in (5, 10, 20, 29, 49, 98):
        assert hole(order[:k]) < hole(noise[:k])


def test_grid_starts_at_the_centre_and_takes_the_shape_it_is_told():
    config = PruneConfig(method="grid")
    assert select(features(n=45), None, config, grid=(9, 5)).order[0, 0] == 4 * 5 + 2
    assert select(features(n=45), None, config).order[0, 0] == 2 * 9 + 4  # the factors nearest to a square
    assert select(features(n=7), None, config).order[0, 0] == 3
    with pytest.raises(
        ValueError, match=r"grid=\(6, 6\) holds 36 tokens per frame, but the features have 45"
    ):
        select(features(n=45), None, config, grid=(6, 6))


def test_a_token_of_no_place_is_the_grids_last():
    config = PruneConfig(method="grid")
    order = select(features(n=46), None, config, grid=(9, 5, 1)).order
    assert torch.equal(order[:, :-1], select(features(n=45), None, config, grid=(9, 5)).order)
    assert (order[:, -1] == 45).all()
    with pytest.raises(
        ValueError, match=r"grid=\(9, 5, 1\) holds 46 tokens per frame, but the features have 45"
    ):
        select(features(n=45), None, config, grid=(9, 5, 1))
