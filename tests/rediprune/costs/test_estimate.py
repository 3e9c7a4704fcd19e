"""Check the ratios against known shapes, that each station is counted once, and refused counts."""

import pytest

from rediprune.costs.estimate import definition, estimate, selection_flops
from tests.rediprune.costs.test_flops import LLAVA_7B, TEXT, N


@pytest.mark.parametrize(
    ("kept", "visual", "visual3", "prefill", "encoder_too"),
    [(115, 5.13, 5.10, 3.86, 3.44), (86, 6.87, 6.83, 4.69, 4.04), (58, 10.20, 10.14, 5.92, 4.87)],
)
def test_ratios_of_llava_7b_at_20_15_and_10_percent(kept, visual, visual3, prefill, encoder_too):
    # Expected: measured once with the flop counter, one (model, keep) point at a time.
    # "grid" costs nothing to select, which leaves encoder + projector + prefill in the end-to-end ratio.
    s = estimate(LLAVA_7B, N, kept, TEXT, n_new=1, method="grid")
    assert (s.visual_only, s.prefill, s.end_to_end) == pytest.approx((visual, prefill, encoder_too), abs=6e-3)
    three = estimate(LLAVA_7B, N, kept, TEXT, ffn_matrices=3).visual_only
    assert three == pytest.approx(visual3, abs=6e-3)


def test_kv_cache_is_half_a_mebibyte_per_token_at_7b():
    s = estimate(LLAVA_7B, N, 115, TEXT)
    assert (s.kv_bytes_full / 2**20, s.kv_bytes_pruned / 2**20) == (313, 82.5)


def test_selection_and_query_are_paid_for_by_the_pruned_run_alone():
    free = estimate(LLAVA_7B, N, 86, TEXT, method="random")
    paid = estimate(LLAVA_7B, N, 86, TEXT, method="rediprune", query_flops=7e9)
    assert (free.pruned.selection, paid.full.selection) == (0, 0)
    assert paid.pruned.selection == selection_flops("rediprune", N, 1024) + 7e9
    assert paid.pruned.total - free.pruned.total == paid.pruned.selection
    assert paid.end_to_end == paid.full.total / paid.pruned.total


def test_keeping_everything_saves_nothing():
    s = estimate(LLAVA_7B, N, N, TEXT, n_new=20)
    assert (s.visual_only, s.prefill, s.end_to_end) == (1, 1, 1)
    assert s.full == s.pruned


def test_longer_answers_save_less_end_to_end_and_frames_multiply_the_encoder():
    short, long = (estimate(LLAVA_7B, N, 86, TEXT, n_new=n) for n in (1, 65))
    assert long.end_to_end < short.end_to_end
    assert short.full.decode == 0
    assert long.end_to_end == pytest.approx(3.19, abs=2e-2)
    eight = estimate(LLAVA_7B, 8 * 144, 8 * 22, TEXT, n_frames=8)
    assert eight.full.vision == 8 * short.full.vision
    assert eight.pruned.selection == 8 * selection_flops("rediprune", 144, 1024)


@pytest.mark.parametrize(
    ("counts", "method", "says"),
    [
        ((576, 0, 50, 1, 1), "rediprune", "n_kept=0"),
        ((576, 577, 50, 1, 1), "rediprune", "1..n_visual=576"),
        ((576, 86, -1, 1, 1), "rediprune", "n_text=-1"),
        ((576, 86, 50, 0, 1), "rediprune", "n_new=0"),
        ((576, 86, 50, 1, 5), "rediprune", "n_frames=5"),
        ((576, 86, 50, 1, 1), "magic", "'magic'"),
    ],
)
def test_senseless_counts_are_refused(counts, method, says):
    with pytest.raises(ValueError, match=says):
        estimate(LLAVA_7B, *counts, method=method)


@pytest.mark.parametrize("name", ["visual_only", "prefill", "end_to_end", "kv_bytes"])
def test_every_shown_number_has_a_one_sentence_definition(name):
    text = definition(name)
    assert text.endswith(".") and text.count(". ") == 0
    with pytest.raises(ValueError, match="no definition of 'speed'"):
        definition("speed")
