"""Check that the NumPy and torch loops agree bit by bit, and stop after the given number of picks."""

from __future__ import annotations

import math

import pytest
import torch

from rediprune.selection import greedy_loop as module
from rediprune.selection.greedy import distances, greedy, relevance, tau_candidates
from rediprune.trace import Query
from tests.support import reference

INF = math.inf
ALPHAS = [0.0, 0.05, 0.5, 4.0, INF]


@pytest.fixture(params=["random", "copies", "axes"])
def case(request):
    """Make features [T, N, C] and relevance [T, N]; "copies" and "axes" tie at many steps."""
    source = torch.Generator().manual_seed(3)
    features = torch.randn(3, 40, 32, generator=source) + torch.randn(32, generator=source)
    if request.param == "copies":
        features = features[:, torch.randint(0, 12, (40,), generator=source)]
    if request.param == "axes":  # distances are exactly 0 or 1, relevance has three values
        features = torch.eye(32)[torch.randint(0, 32, (3, 40), generator=source)]
        return features, torch.randint(-1, 2, (3, 40), generator=source).float()
    return features, relevance(features, Query("prompt-tail", torch.randn(32, generator=source)))


def picked(case, how, monkeypatch, **more):
    monkeypatch.setattr("rediprune.selection.greedy.greedy_loop", how)
    return greedy(case[0], case[1], ALPHAS, **more)


@pytest.mark.parametrize("tau", [0.0, 0.1])
def test_both_loops_make_the_same_picks_with_the_same_evidence(case, tau, monkeypatch):
    allowed = tau_candidates(case[1], 0.25, tau) if tau else None
    one, other = (
        picked(case, how, monkeypatch, candidates=allowed) for how in (module.run_numpy, module.run_torch)
    )
    assert torch.equal(one.order, other.order) and torch.equal(one.score, other.score)
    assert torch.equal(one.distance[..., 1:], other.distance[..., 1:])
    assert one.distance[..., 0].isnan().all() and other.distance[..., 0].isnan().all()


@pytest.mark.parametrize("how", [module.run_numpy, module.run_torch])
@pytest.mark.parametrize("alpha", [0.5, INF])
def test_both_loops_break_ties_as_the_slow_reference(how, alpha, monkeypatch):
    axes = torch.eye(8)[[2, 0, 0, 1, 2, 3, 3, 0, 5, 2]]
    scores = torch.tensor([0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0])
    expected = [i for i, _, _ in reference.greedy(axes.double().numpy(), scores.numpy(), alpha, 10)]
    monkeypatch.setattr("rediprune.selection.greedy.greedy_loop", how)
    assert greedy(axes[None], scores[None], [alpha]).order[0, 0].tolist() == expected


@pytest.mark.parametrize("how", [module.run_numpy, module.run_torch])
@pytest.mark.parametrize("n_picks", [1, 6, 40])
def test_fewer_picks_are_the_beginning_of_all(case, how, n_picks, monkeypatch):
    everything, few = picked(case, how, monkeypatch), picked(case, how, monkeypatch, n_picks=n_picks)
    for whole, part in zip(everything, few, strict=True):
        assert part.shape == (len(ALPHAS), 3, n_picks)
        assert torch.equal(part.nan_to_num(-7), whole[..., :n_picks].nan_to_num(-7))


def test_the_loop_changes_nothing_that_it_was_given(case):
    features, scores = case
    between, alone = distances(features).view(-1, 40), torch.tensor([False, True, False])
    rows = module.LoopInputs(scores, 0.5 * scores, alone, between, torch.arange(3) * 40)
    before = [x.clone() for x in rows[:5]]
    for how in (module.run_numpy, module.run_torch):
        how(rows, 40)
        assert all(torch.equal(x, y) for x, y in zip(rows[:5], before, strict=True))


def test_tensors_that_want_a_gradient_are_picked_from_all_the_same(case):
    features, scores = (x.clone().requires_grad_() for x in case)
    assert torch.equal(greedy(features, scores, ALPHAS).order, greedy(*case, ALPHAS).order)
