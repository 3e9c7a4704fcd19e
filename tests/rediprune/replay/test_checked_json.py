"""checked_json: what a stranger's JSON may hold where, and one sentence for the rest, however large it is."""

import math

import pytest

from rediprune.replay import checked_json
from rediprune.replay.checked_json import TraceError


def test_numbers_are_spelled_as_the_export_spells_them():
    assert [checked_json.to_number(x, "x") for x in (1, 0.5, "inf", "-inf")] == [
        1.0,
        0.5,
        math.inf,
        -math.inf,
    ]
    assert math.isnan(checked_json.to_number(None, "x"))


@pytest.mark.parametrize("given", [True, "1", [], {}, "nan", 10**400, "x" * 10**6])
def test_what_is_no_number_gets_a_short_sentence(given):
    with pytest.raises(TraceError) as error:
        checked_json.to_number(given, "x")
    assert len(str(error.value)) < 150


@pytest.mark.parametrize("given", [True, 1.0, -1, 11, None, "3", [0] * 10**6])
def test_a_whole_number_has_its_range(given):
    with pytest.raises(TraceError) as error:
        checked_json.to_whole(given, "x", 0, 10)
    assert len(str(error.value)) < 150


@pytest.mark.parametrize("given", [None, "inf", "-inf"])
def test_a_finite_number_is_finite(given):
    with pytest.raises(TraceError, match="not finite"):
        checked_json.to_finite(given, "x")


def test_nested_lists_have_exactly_their_shape():
    assert checked_json.flatten([[1, 2], [3, 4]], (2, 2), "x") == [1, 2, 3, 4]
    for wrong in ([[1, 2], [3]], [1, 2], [[1, 2]], 5, [[1, 2], (3, 4)], [[1, 2], {"a": 1, "b": 2}]):
        with pytest.raises(TraceError, match="shape"):
            checked_json.flatten(wrong, (2, 2), "x")
