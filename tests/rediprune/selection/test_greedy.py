"""Check that the greedy rule equals the slow reference, is nested, and never waits for the device."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rediprune.config import kept_count
from rediprune.selection.greedy import distances, greedy, relevance, tau_candidates
from rediprune.selection.greedy_loop import run_torch
from rediprune.trace import Query
from tests.support import reference

INF = math.inf


def case(seed: int, t: int, n: int, c: int, dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw features [T, N, C] and a query [C] with a common part, which varies relevance and distances."""
    source = torch.Generator().manual_seed(seed)
    features = torch.randn(t, n, c, generator=source) + torch.randn(c, generator=source)
    return features.to(dtype), torch.randn(c, generator=source).to(dtype)


def scored(features: torch.Tensor, query: torch.Tensor) -> torch.Tensor:
    return relevance(features, Query("prompt-tail", query))


def slow(features: torch.Tensor, query: torch.Tensor, alpha: float):
    """Compute the reference's picks of every frame: arrays order, distance, score, each [T, N]."""
    x, q = features.double().numpy(), query.double().numpy()
    scores = reference.relevance(x, q)
    picks = [reference.greedy(frame, s, alpha, len(frame)) for frame, s in zip(x, scores, strict=True)]
    return tuple(np.array(part) for part in np.moveaxis(np.array(picks, dtype=float), -1, 0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("shape", [(1, 1, 4), (1, 2, 3), (2, 17, 5), (3, 24, 16), (1, 40, 64)])
@pytest.mark.parametrize("alpha", [0.0, 0.05, 0.5, 4.0, INF])
def test_order_and_evidence_equal_the_slow_reference(alpha, shape, dtype):
    features, query = case(sum(shape), *shape, dtype)
    order, distance, score = slow(features, query, alpha)
    picks = greedy(features, scored(features, query), [alpha])
    assert picks.order.dtype == torch.int64 and picks.score.dtype == torch.float32
    np.testing.assert_array_equal(picks.order[0].numpy(), order)
    np.testing.assert_allclose(picks.distance[0].numpy(), distance, atol=2e-6)
    np.testing.assert_allclose(picks.score[0].numpy(), score, atol=1e-5)


def test_every_weight_of_a_batch_equals_its_own_call():
    features, query = case(1, 3, 30, 8)
    rel, alphas = scored(features, query), [0.0, 0.25, 1.0, 9.0, INF]
    together = greedy(features, rel, alphas)
    for w, alpha in enumerate(alphas):
        alone = greedy(features, rel, [alpha])
        for one, all_ in zip(alone, together, strict=True):
            assert torch.equal(one[0].nan_to_num(-7), all_[w].nan_to_num(-7))


def test_every_frame_is_selected_on_its_own():
    features, query = case(2, 4, 25, 8)
    together = greedy(features, scored(features, query), [0.5]).order[0]
    for t in range(4):
        one = features[t : t + 1]
        assert torch.equal(greedy(one, scored(one, query), [0.5]).order[0, 0], together[t])


def test_order_is_a_permutation_and_every_k_of_the_reference_is_its_prefix():
    features, query = case(3, 1, 18, 6)
    order = greedy(features, scored(features, query), [0.5]).order[0, 0].tolist()
    assert sorted(order) == list(range(18))
    x, scores = features[0].double().numpy(), scored(features, query)[0].double().numpy()
    for k in range(1, 19):
        assert [i for i, _, _ in reference.greedy(x, scores, 0.5, k)] == order[:k]


def test_evidence_can_be_recomputed_from_order_and_features_alone():
    features, query = case(4, 2, 40, 12)
    rel, alpha = scored(features, query), 0.5
    order, distance, score = (x[0] for x in greedy(features, rel, [alpha]))
    between = 1 - torch.nn.functional.cosine_similarity(features[:, :, None], features[:, None], dim=-1)
    for t in range(2):
        assert math.isnan(distance[t, 0]) and score[t, 0] == rel[t].max()
        for step in range(1, 40):
            pick, earlier = order[t, step], order[t, :step]
            assert distance[t, step] == pytest.approx(between[t, pick, earlier].min().item(), abs=2e-6)
            assert score[t, step] == pytest.approx(
                (distance[t, step] + alpha * rel[t, pick]).item(), abs=1e-6
            )


def test_exact_duplicates_are_picked_last_without_relevance():
    features, query = case(5, 1, 30, 16)
    features[:, 20:] = features[:, 5:15]
    order, distance, _ = (x[0, 0] for x in greedy(features, scored(features, query), [0.0]))
    pair = {i: i if i < 20 else i - 15 for i in range(30)}
    assert len({pair[i] for i in order[:20].tolist()}) == 20
    assert (distance[1:20] > 1e-3).all() and (distance[20:] < 1e-6).all()


@pytest.mark.parametrize("n", [2, 3, 5, 7, 11, 15, 16, 33, 64])
@pytest.mark.parametrize("alpha", [0.0, 0.5, INF])
def test_equal_tokens_tie_and_the_lowest_index_wins(alpha, n):
    """Place exact copies at random: the indices of each kind come in ascending order."""
    features, query = case(n, 2, n, 24)
    kind = torch.randint(0, (n + 1) // 2, (n,), generator=torch.Generator().manual_seed(n))
    features = features[:, kind]
    for frame in greedy(features, scored(features, query), [alpha]).order[0].tolist():
        for k in set(kind.tolist()):
            of_kind = [i for i in frame if kind[i] == k]
            assert of_kind[0] == min(of_kind)


@pytest.mark.parametrize("n", [2, 5, 7, 11, 15, 16, 33, 196])
@pytest.mark.parametrize("c", [16, 37, 128])
def test_equal_tokens_have_equal_evidence_to_the_last_bit(c, n):
    """Require equal evidence, since rounding would break ties; a matrix product does not suffice."""
    features, query = case(n, 2, n, c)
    kind = torch.randint(0, (n + 1) // 2, (n,), generator=torch.Generator().manual_seed(n))
    first = torch.tensor([kind.tolist().index(k) for k in kind.tolist()])
    between, rel = distances(features[:, kind]), scored(features[:, kind], query)
    assert torch.equal(between, between[:, first][:, :, first]) and torch.equal(rel, rel[:, first])


def test_ties_everywhere_are_broken_by_the_lowest_index():
    """Use axes, whose distances are exactly 0 or 1: every step is a tie, and the order is known by hand."""
    axes = torch.eye(4)[[2, 0, 0, 1, 2, 3]][None]
    order, distance, _ = (x[0, 0] for x in greedy(axes, torch.zeros(1, 6), [0.0]))
    assert order.tolist() == [0, 1, 3, 5, 2, 4]
    assert distance[1:].tolist() == [1, 1, 1, 0, 0]


def test_a_large_weight_is_top_relevance():
    features, query = case(6, 2, 50, 8)
    rel = scored(features, query)
    expected = rel.argsort(dim=-1, descending=True, stable=True)
    for alpha in (INF, 1e30, 1e38, 1e300):
        assert torch.equal(greedy(features, rel, [alpha]).order[0], expected), alpha


def test_infinite_weight_still_reports_distances():
    features, query = case(7, 1, 20, 8)
    distance = greedy(features, scored(features, query), [INF]).distance[0, 0]
    assert torch.isfinite(distance[1:]).all() and (distance[1:] > 0).all()


def test_low_precision_input_is_raised_to_float32_and_autocast_does_not_lower_it():
    features, query = case(8, 1, 60, 32, torch.bfloat16)
    plain = greedy(features.float(), scored(features.float(), query.float()), [0.5])
    with torch.autocast("cpu", torch.bfloat16):
        low = greedy(features, scored(features, query), [0.5])
    assert torch.equal(low.order, plain.order) and torch.equal(low.score, plain.score)


class NoReading(TorchDispatchMode):
    """Fail as soon as code reads a tensor's value on the host."""

    WAITS = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "is_nonzero")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.__name__.split(".")[0] not in self.WAITS, f"{func} waits for the device"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("with_candidates", [False, True])
def test_no_step_waits_for_the_device(with_candidates, monkeypatch):
    monkeypatch.setattr("rediprune.selection.greedy.greedy_loop", run_torch)
    features, query = case(9, 2, 12, 8)
    rel = scored(features, query)
    allowed = tau_candidates(rel, 0.25, 0.1) if with_candidates else None
    with NoReading():
        inside = greedy(features, rel, [0.0, 0.5], allowed)
    assert torch.equal(inside.order, greedy(features, rel, [0.0, 0.5], allowed).order)
    with pytest.raises(AssertionError, match="waits"), NoReading():
        rel.max().item()  # the guard does catch what it is there for


@pytest.mark.parametrize("n", [1, 2, 3, 9, 20, 21])
@pytest.mark.parametrize("tau", [1e-6, 0.2, 0.9, 5.0])
def test_tau_candidates_are_the_published_ones(tau, n):
    features, query = case(n, 2, n, 4)
    rel = scored(features, query)
    for ratio in (0.05, 0.2, 0.34, 0.5, 0.75, 1.0):
        allowed = tau_candidates(rel, ratio, tau)
        for t in range(2):
            expected = reference.candidates(rel[t].numpy(), kept_count(n, ratio), tau)
            assert set(allowed[t].nonzero().flatten().tolist()) == expected


@pytest.mark.parametrize("ratio", [0.1, 0.45, 0.5, 0.8])
@pytest.mark.parametrize("alpha", [0.0, 0.5, INF])
def test_picks_under_tau_equal_the_slow_reference_and_the_rest_follows(alpha, ratio):
    features, query = case(10, 2, 21, 6)
    rel, k = scored(features, query), kept_count(21, ratio)
    order = greedy(features, rel, [alpha], tau_candidates(rel, ratio, 0.3)).order[0]
    for t in range(2):
        x, scores = features[t].double().numpy(), rel[t].double().numpy()
        assert order[t, :k].tolist() == [i for i, _, _ in reference.greedy(x, scores, alpha, k, tau=0.3)]
        assert sorted(order[t].tolist()) == list(range(21))


def test_a_token_of_zeros_is_irrelevant_and_distance_one_from_all():
    features, query = case(11, 1, 9, 8)
    features[0, 4] = 0
    rel = scored(features, query)
    assert rel[0, 4] == 0
    between = distances(features)[0]
    assert (between[4] == 1).all() and (between[:, 4] == 1).all()
    assert sorted(greedy(features, rel, [0.5]).order[0, 0].tolist()) == list(range(9))


def test_cosine_ignores_length_even_where_squares_overflow_or_vanish():
    features, query = case(12, 1, 10, 8)
    rel = scored(features, query)
    for size in (1e25, 1e-25):
        torch.testing.assert_close(scored(features * size, query * size), rel)


def test_relevance_uses_the_querys_own_keys_and_sign():
    features = case(13, 2, 10, 8)[0]
    keys, vector = case(14, 2, 10, 5)
    plain = relevance(features, Query("text-tower", vector, keys))
    expected = reference.relevance(keys.double().numpy(), vector.double().numpy())
    np.testing.assert_allclose(plain.numpy(), expected, atol=1e-6)
    assert torch.equal(relevance(features, Query("text-tower", vector, keys, sign=-1)), -plain)


def test_relevance_folds_a_query_of_another_width():
    features = case(15, 1, 10, 8)[0]
    for width in (8, 24, 13, 3):
        query = torch.randn(width, generator=torch.Generator().manual_seed(width))
        folded = torch.from_numpy(reference.fold(query.double().numpy(), 8)).float()
        torch.testing.assert_close(scored(features, query), scored(features, folded))


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (Query("prompt-tail", torch.zeros(8)), "all zeros"),
        (Query("prompt-tail", torch.tensor([1.0, -1.0]).repeat(8)), "all zeros after folding"),
        (Query("prompt-tail", torch.full((8,), math.nan)), "NaN or infinite"),
        (Query("prompt-tail", torch.full((8,), INF)), "NaN or infinite"),
        (Query("prompt-tail", torch.ones(1, 8)), r"shape \(1, 8\)"),
        (Query("prompt-tail", torch.ones(0)), r"shape \(0,\)"),
        (Query("text-tower", torch.ones(5), torch.ones(1, 9, 5)), "same frames and tokens"),
        (Query("text-tower", torch.ones(4), torch.ones(1, 10, 5)), "width 4 but its keys have 5"),
        (
            Query("text-tower", torch.ones(5), torch.full((1, 10, 5), math.nan)),
            "query keys of frame 0 hold NaN",
        ),
    ],
)
def test_a_query_that_points_nowhere_is_refused_in_one_sentence(query, says):
    features = case(16, 1, 10, 8)[0]
    with pytest.raises(ValueError, match=says):
        relevance(features, query)
