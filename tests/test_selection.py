"""select: the public door, what it accepts, what it refuses, and the contract of the Selection it returns."""

from __future__ import annotations

import math

import pytest
import torch

import rediprune
from rediprune import PruneConfig, Query, kept_count, select
from tests import reference

SOURCE = torch.Generator().manual_seed(0)
FEATURES = torch.randn(2, 20, 12, generator=SOURCE)
QUERY = torch.randn(12, generator=SOURCE)


def test_public_names_are_what_they_say():
    assert callable(rediprune.prune) and callable(rediprune.select)
    for name in rediprune.__all__:
        assert getattr(rediprune, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'prunes'"):
        _ = rediprune.prunes


def test_a_plain_vector_is_the_same_as_a_query():
    plain, named = select(FEATURES, QUERY), select(FEATURES, Query("prompt-tail", QUERY))
    assert torch.equal(plain.order, named.order) and plain.config == PruneConfig()


@pytest.mark.parametrize("width", [12, 36, 17, 5])
def test_a_query_of_any_width_is_folded(width):
    query = torch.randn(width, generator=torch.Generator().manual_seed(width))
    x, q = FEATURES.double().numpy(), reference.fold(query.double().numpy(), 12)
    scores = reference.relevance(x, q)
    order = select(FEATURES, query).order
    for t in range(2):
        assert order[t].tolist() == [i for i, _, _ in reference.greedy(x[t], scores[t], 0.5, 20)]


@pytest.mark.parametrize("ratio", [0.001, 0.05, 0.125, 0.15, 0.5, 0.999, 1.0])
def test_kept_is_the_sorted_prefix_of_the_order(ratio):
    chosen = select(FEATURES, QUERY)
    k, kept = kept_count(20, ratio), chosen.kept(ratio)
    assert kept.shape == (2 * k,)
    first, second = (sorted(chosen.order[t, :k].tolist()) for t in range(2))
    assert kept.tolist() == first + [20 + i for i in second]


def test_keeping_all_keeps_all_in_order_and_keeping_almost_nothing_keeps_the_most_relevant():
    chosen = select(FEATURES, QUERY)
    assert torch.equal(chosen.kept(1.0), torch.arange(40))
    assert torch.equal(chosen.kept(0.001), chosen.relevance.argmax(-1) + torch.tensor([0, 20]))


def test_weights_at_once_equal_weights_one_by_one():
    weights = torch.linspace(0, 1, 21).tolist()
    alphas = [rediprune.alpha_from_weight(w) for w in weights]
    together = select(FEATURES, QUERY, alphas=alphas)
    assert together.order.shape == (21, 2, 20) and together.kept(0.15).shape == (21, 6)
    for w, alpha in enumerate(alphas):
        one, alone = together.at(w), select(FEATURES, QUERY, PruneConfig(alpha=alpha))
        assert torch.equal(one.order, alone.order)
        assert (one.config, one.alphas) == (alone.config, alone.alphas)


def test_weight_and_alpha_choose_alike():
    """score = (1 - w) distance + w relevance is the published score times 1 - w."""
    chosen = select(FEATURES, QUERY, PruneConfig(alpha=rediprune.alpha_from_weight(1 / 3)))
    assert torch.equal(chosen.order, select(FEATURES, QUERY, PruneConfig(alpha=0.5)).order)
    w = chosen.config.weight
    mixed = (1 - w) * chosen.distance + w * chosen.relevance.gather(-1, chosen.order)
    torch.testing.assert_close(mixed[:, 1:], (1 - w) * chosen.score[:, 1:])


def test_tau_is_applied_and_its_order_serves_its_own_ratio_only():
    config = PruneConfig(keep_ratio=0.1, alpha=0, tau=0.1)
    chosen = select(FEATURES, QUERY, config)
    x, q = FEATURES.double().numpy(), QUERY.double().numpy()
    scores = reference.relevance(x, q)
    expected = [
        t * 20 + i
        for t in range(2)
        for i, _, _ in reference.greedy(x[t], scores[t], config.alpha, 2, tau=0.1)
    ]
    assert chosen.kept().tolist() == sorted(expected)
    with pytest.raises(ValueError, match="not nested"):
        chosen.kept(0.5)
    assert not torch.equal(select(FEATURES, QUERY, PruneConfig(0.1, alpha=0)).kept(), chosen.kept())


def test_gradients_are_neither_needed_nor_kept():
    chosen = select(FEATURES.clone().requires_grad_(), QUERY.clone().requires_grad_())
    assert not chosen.score.requires_grad and torch.equal(chosen.order, select(FEATURES, QUERY).order)


def test_inputs_are_left_as_they_were():
    features, query = FEATURES.clone(), QUERY.clone()
    for method in rediprune.config.METHODS:
        select(features, query, PruneConfig(method=method, tau=0.1), alphas=[0.0, 1.0])
    assert torch.equal(features, FEATURES) and torch.equal(query, QUERY)


def spoiled(value: float) -> torch.Tensor:
    features = FEATURES.clone()
    features[1, 3, 2] = value
    return features


@pytest.mark.parametrize("method", rediprune.config.METHODS)
@pytest.mark.parametrize(
    ("features", "says"),
    [
        (spoiled(math.nan), "features of frame 1 hold NaN or infinite values"),
        (spoiled(-math.inf), "features of frame 1 hold NaN or infinite values"),
        (FEATURES * torch.tensor([1.0, 0.0])[:, None, None], "features of frame 1 are all zeros"),
        (FEATURES[0], r"features have shape \(20, 12\): expected a non-empty \[T, N, C\]"),
        (FEATURES[:, :0], r"features have shape \(2, 0, 12\)"),
    ],
)
def test_features_without_directions_are_refused_by_every_method(features, says, method):
    with pytest.raises(ValueError, match=says):
        select(features, QUERY, PruneConfig(method=method))


@pytest.mark.parametrize(
    ("alphas", "says"),
    [
        ([], "alphas is empty"),
        ([0.5, -0.1], r"alphas\[1\]=-0.1 is out of range"),
        ([math.nan], r"alphas\[0\]=nan is out of range"),
    ],
)
def test_weights_out_of_range_are_refused_by_name(alphas, says):
    with pytest.raises(ValueError, match=says):
        select(FEATURES, QUERY, alphas=alphas)


def test_a_query_of_zeros_is_refused():
    with pytest.raises(ValueError, match="query is all zeros"):
        select(FEATURES, torch.zeros(12))
