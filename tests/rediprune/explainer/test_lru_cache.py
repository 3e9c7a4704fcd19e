"""The store forgets the least recently used, and nothing else."""

from rediprune.explainer.lru_cache import Recent


def test_the_least_recently_used_goes_first():
    store = Recent(2)
    store.put("a", 1)
    store.put("b", 2)
    assert store.get("a") == 1  # now "b" is the older one
    assert store.put("c", 3) == 3
    assert [store.get(key) for key in "abc"] == [1, None, 3]


def test_putting_again_replaces_and_does_not_crowd_out():
    store = Recent(2)
    for value in (1, 2, 3):
        store.put("a", value)
    store.put("b", 0)
    assert (store.get("a"), store.get("b")) == (3, 0)
