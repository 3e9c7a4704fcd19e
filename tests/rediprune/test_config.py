"""Check that bad settings are refused by name, value and range, and what the good ones mean."""

import dataclasses
import json
import math
import re
from fractions import Fraction

import numpy as np
import pytest

from rediprune.config import METHODS, POINTINGS, QUERIES, PruneConfig, alpha_from_weight, kept_count

INF, NAN = math.inf, math.nan
TINY = Fraction(1, 10**400)  # above 0, but no float says so


def test_the_defaults_are_the_published_ones():
    config = PruneConfig()
    assert (config.keep_ratio, config.alpha, config.tau) == (0.15, 0.5, 0)
    assert (config.method, config.query) == ("rediprune", "prompt-tail")
    assert config.weight == pytest.approx(1 / 3)


def test_it_is_frozen_and_comparable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PruneConfig().alpha = 1.0
    assert len({PruneConfig(), PruneConfig(alpha=0.5), PruneConfig(alpha=0.6)}) == 2


@pytest.mark.parametrize(
    ("field", "value", "span"),
    [
        *[
            ("keep_ratio", value, "(0, 1]")
            for value in (0, -0.1, 1.01, Fraction(1, 10**400), INF, NAN, "0.5", True)
        ],
        *[("alpha", value, "[0, inf]") for value in (-0.1, -INF, NAN, 10**400, "1", None, True)],
        *[("tau", value, "[0, inf)") for value in (-1, INF, NAN, "0", None, False)],
        *[("seed", value, "[0, 2**64)") for value in (-1, 2**64, 1.5, "1", None, True)],
        *[("method", value, "rediprune") for value in ("", "Random", "magic", None, 3)],
        *[("query", value, "prompt-tail") for value in ("", "prompt_tail", None)],
        *[("pointing", value, "cosine") for value in ("", "sine", None)],
    ],
)
def test_out_of_range_is_refused_by_field_value_and_range(field, value, span):
    with pytest.raises(ValueError) as caught:
        PruneConfig(**{field: value})
    assert all(part in str(caught.value) for part in (field, repr(value), span)), str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"keep_ratio": 1},
        {"keep_ratio": 1e-9},
        {"keep_ratio": np.float32(0.5)},
        {"keep_ratio": Fraction(1, 3)},
        {"alpha": 0},
        {"alpha": INF},
        {"tau": 0.3},
        {"seed": np.uint64(2**64 - 1)},
        *[{"method": name} for name in METHODS],
        *[{"query": name} for name in QUERIES],
        *[{"pointing": name} for name in POINTINGS],
    ],
)
def test_the_ends_of_every_range_are_accepted(settings):
    config = PruneConfig(**settings)
    assert {name: getattr(config, name) for name in settings} == pytest.approx(settings)


def test_numbers_of_any_kind_become_plain_ones():
    config = PruneConfig(np.float32(0.5), alpha=np.int64(1), tau=Fraction(1, 4), seed=np.int64(7))
    assert json.loads(json.dumps(dataclasses.asdict(config))) == dataclasses.asdict(config)
    assert [type(x) for x in (config.keep_ratio, config.alpha, config.tau, config.seed)] == [float] * 3 + [
        int
    ]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({}, "method rediprune, alpha 0.5 (weight 0.33), query prompt-tail"),
        ({"alpha": INF, "tau": 0.1}, "method rediprune, alpha inf (weight 1.00), tau 0.1, query prompt-tail"),
        (
            {"query": "text-tower", "pointing": "value", "seed": 5},
            "method rediprune, alpha 0.5 (weight 0.33), query text-tower, pointing value",
        ),
        ({"method": "relevance", "alpha": 2, "tau": 0.1}, "method relevance, query prompt-tail"),
        ({"method": "random", "tau": 0.1, "query": "text-tower", "seed": 5}, "method random, seed 5"),
        ({"method": "grid", "seed": 5}, "method grid"),
        ({"method": "diversity", "alpha": 2}, "method diversity"),
        ({"keep_ratio": 1}, "every token kept, so nothing chosen"),
    ],
)
def test_the_rule_names_the_dials_that_act_and_no_other(settings, sentence):
    assert PruneConfig(**settings).rule == sentence


@pytest.mark.parametrize(("alpha", "weight"), [(0, 0), (0.5, 1 / 3), (1, 0.5), (3, 0.75), (INF, 1)])
def test_weight_and_alpha_say_the_same(alpha, weight):
    assert PruneConfig(alpha=alpha).weight == pytest.approx(weight)
    assert alpha_from_weight(weight) == pytest.approx(alpha)


def test_the_default_weight_is_the_default_alpha_to_the_last_bit():
    assert alpha_from_weight(1 / 3) == 0.5
    assert PruneConfig(alpha=alpha_from_weight(PruneConfig().weight)) == PruneConfig()


@pytest.mark.parametrize("alpha", [i / 100 for i in range(401)] + [7.0, 19.0, 99.0, INF])
def test_alpha_comes_back_from_its_weight_exactly(alpha):
    assert alpha_from_weight(PruneConfig(alpha=alpha).weight) == alpha


@pytest.mark.parametrize("weight", [i / 100 for i in range(101)] + [1 / 3, 2 / 3, 1 / 7])
def test_a_weight_comes_back_from_its_alpha_exactly(weight):
    assert PruneConfig(alpha=alpha_from_weight(weight)).weight == weight


def test_a_weight_that_is_no_simple_fraction_is_taken_as_it_is():
    weight = 0.123456789012345
    assert alpha_from_weight(weight) == float(Fraction(weight) / (1 - Fraction(weight)))
    assert alpha_from_weight(5e-324) == 5e-324
    assert PruneConfig(alpha=1e308).weight == 1
    assert PruneConfig(alpha=5e-324).weight == 5e-324


@pytest.mark.parametrize("weight", [-0.01, 1.01, NAN, INF, "0.5", None, True])
def test_a_weight_outside_0_to_1_is_refused(weight):
    with pytest.raises(ValueError, match=re.escape("weight=") + ".*" + re.escape("[0, 1]")):
        alpha_from_weight(weight)


@pytest.mark.parametrize(
    ("n_tokens", "keep_ratio", "kept"),
    [
        (196, 0.15, 29),
        (576, 0.15, 86),
        (576, 1.0, 576),
        (10, 0.25, 2),  # 2.5 rounds to the even 2, as in the published code
        (10, 0.35, 4),  # 3.5 rounds to the even 4
        (576, 1e-9, 1),  # one token always stays
        (1, 0.01, 1),
    ],
)
def test_kept_count(n_tokens, keep_ratio, kept):
    assert kept_count(n_tokens, keep_ratio) == kept


@pytest.mark.parametrize("n_tokens", [-3, 10.5, "10"])
def test_a_count_of_tokens_is_a_whole_number(n_tokens):
    with pytest.raises(ValueError, match=r"n_tokens=.* must be a whole number >= 0"):
        kept_count(n_tokens, 0.5)


@pytest.mark.parametrize("keep_ratio", [0, -1, 1.5, NAN])
def test_kept_count_refuses_what_the_config_refuses(keep_ratio):
    with pytest.raises(ValueError, match="keep_ratio"):
        kept_count(10, keep_ratio)


@pytest.mark.parametrize("field", ["keep_ratio", "alpha", "tau", "method", "query", "seed", "budget"])
@pytest.mark.parametrize("value", ["x" * 10_000, -(10**5000), [1] * 5000], ids=["text", "digits", "list"])
def test_a_huge_value_gets_a_short_sentence(field, value):
    with pytest.raises(ValueError) as error:
        PruneConfig(**{field: value})
    assert str(error.value).startswith(f"{field}=") and len(str(error.value)) < 300
