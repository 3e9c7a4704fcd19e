"""Check what select accepts and refuses, and the contract of the Selection that it returns."""

from __future__ import annotations

import math

import pytest
import torch

import rediprune
from rediprune import PruneConfig, Query, kept_count, select
from rediprune.selection.greedy import greedy, relevance
from rediprune.selection.methods import METHODS
from rediprune.selection.select import select_tokens
from rediprune.tokens import Geometry, VisionTokens, concat_tokens
from tests.support import reference

SOURCE = torch.Generator().manual_seed(0)
FEATURES = torch.randn(2, 20, 12, generator=SOURCE)
QUERY = torch.randn(12, generator=SOURCE)
# What some methods need besides: the same tokens behind a projector, and the attention of a class token.
PROJECTED = torch.randn(2, 20, 40, generator=torch.Generator().manual_seed(1))
ATTENTION = torch.rand(2, 20, generator=torch.Generator().manual_seed(2))
MORE = {"projected": PROJECTED, "attention": ATTENTION}


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
    """Compare with (1 - w) distance + w relevance, which is the published score times 1 - w."""
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_unit_vectors_made_once_for_all_change_no_bit(dtype):
    """Compare with relevance and distances that are each made from the features alone."""
    x = FEATURES.to(dtype)[:, torch.arange(20) // 2]  # every token twice, so ties as well
    chosen = select(x, QUERY)
    alone = relevance(x, Query("prompt-tail", QUERY))
    picks = greedy(x, alone, [0.5])
    assert torch.equal(chosen.relevance, alone) and torch.equal(chosen.order, picks.order[0])
    assert torch.equal(chosen.score, picks.score[0])
    assert torch.equal(chosen.distance.nan_to_num(-7), picks.distance[0].nan_to_num(-7))


def test_gradients_are_neither_needed_nor_kept():
    chosen = select(FEATURES.clone().requires_grad_(), QUERY.clone().requires_grad_())
    assert not chosen.score.requires_grad and torch.equal(chosen.order, select(FEATURES, QUERY).order)


def test_inputs_are_left_as_they_were():
    features, query = FEATURES.clone(), QUERY.clone()
    for method in rediprune.config.METHODS:
        more = {name: value.clone() for name, value in MORE.items()}
        select(features, query, PruneConfig(method=method, tau=0.1), alphas=[0.0, 1.0], **more)
        assert all(torch.equal(more[name], value) for name, value in MORE.items())
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


def test_what_is_no_tensor_or_config_is_said():
    with pytest.raises(TypeError, match=r"features must be a torch.Tensor \[T, N, C\], not ndarray"):
        select(FEATURES.numpy(), QUERY)
    with pytest.raises(TypeError, match="must be a PruneConfig"):
        select(FEATURES, QUERY, 0.2)


def test_a_query_of_zeros_is_refused():
    with pytest.raises(ValueError, match="query is all zeros"):
        select(FEATURES, torch.zeros(12))


@pytest.mark.parametrize(
    ("method", "more", "says"),
    [
        ("divprune", {}, r"method='divprune' measures distances behind the projector: pass projected="),
        ("cdpruner", {}, r"method='cdpruner' measures distances behind the projector: pass projected="),
        ("divprune", {"projected": PROJECTED[:1]}, r"projected tokens have shape \(1, 20, 40\)"),
        ("divprune", {"projected": PROJECTED * math.nan}, "projected tokens of frame 0 hold NaN"),
        ("cls-attention", {}, "method='cls-attention' needs the attention of a class token"),
        ("cls-attention", {"attention": ATTENTION[:, 1:]}, r"attention has shape \(2, 19\)"),
        ("cls-attention", {"attention": ATTENTION / 0}, "without NaN or infinite values"),
    ],
)
def test_what_a_method_needs_besides_is_asked_for_by_name(method, more, says):
    with pytest.raises(ValueError, match=says):
        select(FEATURES, QUERY, PruneConfig(method=method), **more)


# One budget for all frames ----------------------------------------------------------------------------------

SHARED = PruneConfig(0.15, budget="shared")


def flat(x: torch.Tensor) -> torch.Tensor:
    return x.reshape(1, -1, x.shape[-1])


@pytest.mark.parametrize("alpha", [0, 0.5, 3, math.inf])
def test_a_shared_budget_is_one_greedy_choice_among_the_tokens_of_all_frames(alpha):
    chosen = select(FEATURES, QUERY, PruneConfig(0.15, alpha=alpha, budget="shared"))
    x, q = flat(FEATURES).double().numpy(), QUERY.double().numpy()
    scores = reference.relevance(x, q)[0]
    picks = reference.greedy(x[0], scores, alpha, 40)
    assert chosen.order.tolist() == [[i for i, _, _ in picks]]
    assert chosen.score[0].tolist() == pytest.approx([score for _, _, score in picks], abs=1e-5)
    assert chosen.distance[0, 1:].tolist() == pytest.approx([away for _, away, _ in picks[1:]], abs=1e-5)
    torch.testing.assert_close(
        chosen.relevance.flatten().double(), torch.from_numpy(scores), atol=1e-6, rtol=0
    )
    assert chosen.relevance.shape == (2, 20) and chosen.counts == (40,)


@pytest.mark.parametrize("method", rediprune.config.METHODS)
@pytest.mark.parametrize("ratio", [0.001, 0.0125, 0.0375, 0.15, 0.5, 1.0])
def test_a_shared_budget_is_counted_once(method, ratio):
    """Count K over all frames: 0.0375 of 40 tokens are 1.5, rounded once to 2."""
    kept = select(FEATURES, QUERY, PruneConfig(ratio, method=method, budget="shared"), **MORE).kept()
    assert kept.tolist() == sorted(set(kept.tolist())) and len(kept) == max(1, round(40 * ratio))
    per_frame = select(FEATURES, QUERY, PruneConfig(ratio, method=method), **MORE).kept()
    assert len(per_frame) == 2 * max(1, round(20 * ratio))


def test_a_shared_budget_lets_a_still_frame_keep_few():
    """Use two equal frames: the tokens of the second have distance 0 and come last."""
    doubled = torch.cat([FEATURES[:1], FEATURES[:1]])
    shared, each = (
        select(doubled, QUERY, PruneConfig(0.5, alpha=0, budget=budget)).kept()
        for budget in ("shared", "frame")
    )
    assert shared.tolist() == list(range(20))
    assert torch.equal(each[:10] + 20, each[10:])


@pytest.mark.parametrize("method", rediprune.config.METHODS)
def test_for_a_single_frame_both_budgets_are_the_same(method):
    more = {name: value[:1] for name, value in MORE.items()}
    one, other = (
        select(FEATURES[:1], QUERY, PruneConfig(method=method, budget=budget), **more)
        for budget in ("frame", "shared")
    )
    assert torch.equal(one.order, other.order)


def test_a_shared_grid_is_even_in_space_and_time():
    chosen = select(torch.randn(3, 16, 4), None, PruneConfig(method="grid", budget="shared"))
    alone = select(torch.randn(1, 16, 4), None, PruneConfig(method="grid")).order[0]
    assert chosen.order.shape == (1, 48)
    for k in range(1, 49):
        picked = chosen.order[0, :k]
        counts = torch.bincount(picked // 16, minlength=3)
        assert counts.max() - counts.min() <= 1
        for t in range(3):
            assert torch.equal(picked[picked // 16 == t] % 16, alone[: counts[t]])


def test_several_weights_share_a_budget_each_on_its_own():
    many = select(FEATURES, QUERY, SHARED, alphas=[0, 0.5, math.inf])
    assert many.order.shape == (3, 1, 40) and many.kept().shape == (3, 6)
    for w, alpha in enumerate(many.alphas):
        alone = select(FEATURES, QUERY, PruneConfig(0.15, alpha=alpha, budget="shared"))
        assert torch.equal(many.at(w).order, alone.order) and torch.equal(many.kept()[w], alone.kept())


def test_tau_lets_a_shared_budget_choose_among_the_candidates_of_all_frames():
    config = PruneConfig(0.1, alpha=0, tau=0.1, budget="shared")
    x = flat(FEATURES).double().numpy()
    scores = reference.relevance(x, QUERY.double().numpy())[0]
    expected = sorted(i for i, _, _ in reference.greedy(x[0], scores, 0, 4, tau=0.1))
    assert select(FEATURES, QUERY, config).kept().tolist() == expected


# Frames with gaps -------------------------------------------------------------------------------------------

PRESENT = torch.rand(2, 20, generator=SOURCE) < torch.tensor([0.4, 0.8])[:, None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("tau", [0.0, 0.1])
@pytest.mark.parametrize("method", sorted(set(rediprune.config.METHODS) - {"random", "grid"}))
@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_tokens_are_ordered_as_if_the_absent_ones_did_not_exist(budget, method, tau, dtype):
    config, alphas = PruneConfig(0.3, method=method, budget=budget, tau=tau), [0.0, 0.5, math.inf]
    x = FEATURES.to(dtype)
    chosen = select(x, QUERY, config, alphas, present=PRESENT, **MORE)
    given = (x, PRESENT, PROJECTED, ATTENTION)
    groups = [given] if budget == "shared" else [tuple(part[t : t + 1] for part in given) for t in range(2)]
    kept = []
    for g, (tokens, there, projected, attention) in enumerate(groups):
        here = there.flatten().nonzero()[:, 0]
        more = {"projected": flat(projected)[:, here], "attention": attention.flatten()[None, here]}
        alone = select(flat(tokens)[:, here], QUERY, config, alphas, **more)
        m = len(here)
        assert chosen.counts[g] == m
        assert torch.equal(chosen.order[:, g, :m], here[alone.order[:, 0]])
        absent = (~there).flatten().nonzero()[:, 0]
        assert torch.equal(chosen.order[:, g, m:], absent.expand(3, -1))
        for name in ("distance", "score"):
            ours, theirs = getattr(chosen, name), getattr(alone, name)
            assert (ours is None) == (theirs is None)
            if ours is not None:
                torch.testing.assert_close(ours[:, g, :m], theirs[:, 0], equal_nan=True)
                assert ours[:, g, m:].isnan().all()
        kept.append(here[alone.kept()] + g * 20)
    assert torch.equal(chosen.kept(), torch.cat(kept, dim=-1))
    if chosen.relevance is not None:
        assert torch.equal(chosen.relevance.isnan(), ~PRESENT)


@pytest.mark.parametrize(
    ("method", "budget"), [("random", "frame"), ("random", "shared"), ("grid", "frame")], ids=str
)
def test_methods_that_look_at_no_token_skip_the_absent_ones(budget, method):
    config = PruneConfig(0.3, method=method, budget=budget)
    whole, gaps = select(FEATURES, None, config), select(FEATURES, None, config, present=PRESENT)
    for ours, full, there in zip(gaps.order, whole.order, PRESENT.view(len(whole.order), -1), strict=True):
        assert torch.equal(ours, torch.cat([full[there[full]], full[~there[full]]]))


def test_a_shared_grid_gives_each_frame_the_share_of_what_it_has():
    config = PruneConfig(0.3, method="grid", budget="shared")
    (shared,) = select(FEATURES, None, config, present=PRESENT).order
    alone = select(FEATURES, None, PruneConfig(0.3, method="grid"), present=PRESENT).order
    counts = PRESENT.sum(-1)
    total = int(counts.sum())
    assert counts[0] != counts[1] and PRESENT.flatten()[shared[:total]].all()
    for k in range(1, total + 1):
        for t in range(2):
            mine = shared[:k][shared[:k] // 20 == t] % 20
            assert torch.equal(mine, alone[t, : len(mine)])
            assert abs(len(mine) - k * counts[t] / total) <= 1


@pytest.mark.parametrize("method", rediprune.config.METHODS)
@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_k_counts_what_is_there(budget, method):
    config = PruneConfig(0.3, method=method, budget=budget)
    kept = select(FEATURES, QUERY, config, present=PRESENT, **MORE).kept()
    counts = PRESENT.sum(-1).tolist()
    groups = [sum(counts)] if budget == "shared" else counts
    assert len(kept) == sum(kept_count(count, 0.3) for count in groups)
    assert PRESENT.flatten()[kept].all()


def test_every_frame_has_a_grid_of_its_own():
    """Give an overview a grid of 2 x 3, and a view one of 4 x 5."""
    small, large = torch.randn(1, 6, 4), torch.randn(1, 20, 4)
    parts = [
        VisionTokens(x, (Geometry(rows, cols, (0, 0, 1, 1), (1, 1)),))
        for x, rows, cols in ((small, 2, 3), (large, 4, 5))
    ]
    config = PruneConfig(method="grid")
    together = select_tokens(concat_tokens(parts), None, config)
    assert together.counts == (6, 20)
    assert torch.equal(together.order[0, :6], select_tokens(parts[0], None, config).order[0])
    assert torch.equal(together.order[1], select_tokens(parts[1], None, config).order[0])
    with pytest.raises(ValueError, match="3 grids were given for 2 frames"):
        select(FEATURES, None, config, grid=[(4, 5)] * 3)


@pytest.mark.parametrize("method", rediprune.config.METHODS)
@pytest.mark.parametrize("budget", ["frame", "shared"])
def test_keeping_all_keeps_what_is_there_and_nothing_else(budget, method):
    config = PruneConfig(1, method=method, budget=budget)
    chosen = select(FEATURES, QUERY, config, present=PRESENT, **MORE)
    assert torch.equal(chosen.kept(), PRESENT.flatten().nonzero()[:, 0])


def test_a_mask_without_gaps_changes_nothing_and_its_layout_in_memory_neither():
    all_there = select(FEATURES, QUERY, present=torch.ones(2, 20, dtype=torch.bool))
    assert all_there.present is None and torch.equal(all_there.order, select(FEATURES, QUERY).order)
    strided = PRESENT.T.contiguous().T
    for config in (SHARED, PruneConfig(method="grid"), PruneConfig()):
        ours = select(FEATURES, QUERY, config, present=strided)
        assert torch.equal(ours.order, select(FEATURES, QUERY, config, present=PRESENT).order)


@pytest.mark.parametrize(
    "present",
    [PRESENT[:1], PRESENT[:, :19], PRESENT.long(), torch.tensor([[True], [False]]).expand(2, 20)],
    ids=["frames", "tokens", "numbers", "an empty frame"],
)
def test_a_mask_that_does_not_fit_is_refused(present):
    with pytest.raises(ValueError, match=r"present has shape .* it must be bool \[T, N\] = \(2, 20\)"):
        select(FEATURES, QUERY, present=present)


# Ended at K -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("present", [None, PRESENT], ids=["all there", "gaps"])
@pytest.mark.parametrize("budget", ["frame", "shared"])
@pytest.mark.parametrize(
    ("method", "tau"), [("rediprune", 0.1), *((method, 0.0) for method in rediprune.config.METHODS)]
)
def test_an_order_that_ends_at_k_is_the_beginning_of_the_full_one_to_the_last_bit(
    method, tau, budget, present
):
    config, alphas = PruneConfig(0.3, method=method, budget=budget, tau=tau), [0.0, 0.5, math.inf]
    whole, few = (
        select(FEATURES, QUERY, config, alphas, present=present, **MORE, full=full) for full in (True, False)
    )
    assert (few.counts, few.size) == (whole.counts, whole.size) and torch.equal(few.kept(), whole.kept())
    ends = [kept_count(count, 0.3) for count in whole.counts]
    assert few.order.shape[-1] == max(ends) < whole.size
    for name in ("order", "distance", "score"):
        ours, all_ = getattr(few, name), getattr(whole, name)
        assert (ours is None) == (all_ is None)
        for g, k in enumerate(ends if ours is not None else []):
            nothing = -1 if name == "order" else math.nan
            expected = torch.full_like(ours[:, g], nothing)
            expected[:, :k] = all_[:, g, :k]
            assert torch.equal(ours[:, g].nan_to_num(-7), expected.nan_to_num(-7))
    one = few.at(1)
    assert torch.equal(one.kept(), few.kept()[1])
    if one.nested:
        assert torch.equal(one.kept(0.1), whole.at(1).kept(0.1))


@pytest.mark.parametrize("method", ["rediprune", "diversity", "divprune", "cdpruner"])
def test_a_method_of_many_steps_takes_only_those_that_it_needs(method, monkeypatch):
    """Count the steps, because cutting the order would save nothing otherwise."""
    asked = []
    pick = METHODS[method]

    def counted(*given):
        asked.append(pick(*given).order.shape[-1])
        return pick(*given)

    monkeypatch.setitem(METHODS, method, counted)
    config = PruneConfig(0.3, method=method)
    select(FEATURES, QUERY, config, present=PRESENT, **MORE, full=False)
    assert asked == [kept_count(count, 0.3) for count in PRESENT.sum(-1).tolist()]


def test_an_order_that_was_ended_refuses_a_larger_ratio_in_one_sentence():
    few = select(FEATURES, QUERY, PruneConfig(0.3), full=False)
    says = r"keep_ratio=0.5 is more than 0.3, at which this order was ended: select with the larger ratio"
    for selection in (few, few.cpu()):
        with pytest.raises(ValueError, match=says):
            selection.kept(0.5)
    assert torch.equal(few.kept(0.31), few.kept())  # another ratio, but the same K


def test_an_order_that_was_ended_at_all_tokens_is_the_full_one():
    full = select(FEATURES, QUERY, PruneConfig(1))
    ended = select(FEATURES, QUERY, PruneConfig(1), full=False)
    assert torch.equal(ended.order, full.order) and torch.equal(ended.kept(), torch.arange(40))
