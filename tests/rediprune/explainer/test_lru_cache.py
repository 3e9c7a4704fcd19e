"""The store forgets the least recently used, and nothing else."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from rediprune.explainer.lru_cache import LruCache, kept_bytes


def test_the_least_recently_used_goes_first():
    store = LruCache(2)
    store.put("a", 1)
    store.put("b", 2)
    assert store.get("a") == 1  # now "b" is the older one
    assert store.put("c", 3) == 3
    assert [store.get(key) for key in "abc"] == [1, None, 3]


def test_putting_again_replaces_and_does_not_crowd_out():
    store = LruCache(2)
    for value in (1, 2, 3):
        store.put("a", value)
    store.put("b", 0)
    assert (store.get("a"), store.get("b")) == (3, 0)


def test_it_is_bounded_by_memory_too_and_the_last_one_always_stays():
    store = LruCache(8, most_bytes=1000)
    for key in "abc":
        store.put(key, bytes(400))
    assert [store.get(key) is not None for key in "abc"] == [False, True, True]
    store.put("d", bytes(5000))
    assert [store.get(key) is not None for key in "abcd"] == [False, False, False, True]


@dataclass
class Pair:
    one: object
    other: object


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (torch.zeros(10, 10), 400),
        (torch.zeros(10, 10)[:1], 400),  # a view keeps its whole storage
        (np.zeros(5), 40),
        (Image.new("RGB", (10, 10)), 400),  # Pillow keeps four bytes a pixel
        (Image.new("L", (10, 10)), 100),
        ({"a": b"xyz"}, 4),
        ([b"x", b"yz"], 16 + 3),
        (Pair(b"x", {"a": [torch.zeros(1)]}), 1 + 1 + 8 + 4),
        (None, 0),
    ],
)
def test_bytes_are_those_that_stay_in_memory(value, count):
    assert kept_bytes(value) == count


def test_what_is_met_twice_counts_once():
    frame, tensor = Image.new("RGB", (10, 10)), torch.zeros(10)
    assert kept_bytes((frame,) * 3) == 24 + 400
    assert kept_bytes((tensor, tensor[2:])) == 16 + 40
    circle = []
    circle.append(circle)
    assert kept_bytes(circle) == 8
