"""What arms keep in common is counted against the reference; spread is that of one picture at a time."""

from __future__ import annotations

import pytest
import torch

from world.evaluation.overlap import relevance_spread, shared_tokens


def test_the_share_is_of_what_the_reference_keeps():
    kept = {
        "ours": [torch.arange(4), torch.arange(4)],
        "more": [torch.arange(8), torch.tensor([3, 9])],
    }
    said = shared_tokens(kept, "ours", [0, 1])
    assert said["ours"]["mean"] == 1
    assert said["more"]["mean"] == pytest.approx((1 + 1 / 4) / 2)


def test_the_spread_is_that_within_a_picture():
    """Two pictures that differ as a whole and in nothing else have none."""
    assert relevance_spread([torch.zeros(1, 9), torch.ones(1, 9)], [0, 1])["mean"] == 0
    ramp = torch.tensor([[-1.0, 0.0, 1.0]])
    assert relevance_spread([ramp, ramp + 5], [0, 1])["mean"] == pytest.approx(1)
