"""fingerprint: the same weights have the same name, any others another one."""

import copy

import torch

from rediprune.explainer.fingerprint import weights_name
from tests.support import tiny


def test_the_same_weights_have_the_same_name():
    model = tiny.model()
    assert weights_name(model) == weights_name(copy.deepcopy(model))


def test_trained_weights_have_another_name():
    model = copy.deepcopy(tiny.model())
    with torch.no_grad():
        next(iter(model.lm_head.parameters())).add_(1e-3)
    assert weights_name(model) != weights_name(tiny.model())


def test_other_numbers_have_another_name():
    assert weights_name(copy.deepcopy(tiny.model()).bfloat16()) != weights_name(tiny.model())
