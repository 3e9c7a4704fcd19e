"""Check that the peak counts the tensors alive at one time, each storage once."""

import torch

from rediprune.evaluation.bench.memory import peak_bytes
from tests.support import tiny

FLOAT = 4


def test_what_is_given_up_is_not_counted_on():
    def chain():
        x = torch.zeros(100)
        for _ in range(50):
            x = x + 1

    assert peak_bytes(chain) == 2 * 100 * FLOAT  # the old and the new


def test_views_and_writing_in_place_need_nothing():
    given = torch.zeros(10, 10)
    assert peak_bytes(lambda: given.view(100)[10:].t().add_(1)) == 0
    assert peak_bytes(lambda: (given + 1).view(100)[10:].mul_(2)) == 100 * FLOAT


def test_what_is_kept_is_still_there_at_the_end():
    kept = []
    assert peak_bytes(lambda: kept.extend(torch.zeros(100) for _ in range(5))) == 5 * 100 * FLOAT
    assert peak_bytes(lambda: kept.append(kept[0] + 1)) == 100 * FLOAT  # from what was there before


@torch.no_grad()
def test_a_model_needs_the_same_in_every_run():
    tower, pixels = tiny.model().model.vision_tower, tiny.inputs()["pixel_values"]
    needed = {peak_bytes(lambda: tower(pixels)) for _ in range(3)}
    assert len(needed) == 1 and needed.pop() > tower(pixels).last_hidden_state.nbytes
