"""The training loop: it learns, it stops and goes on as if it had not, and frozen parts stay as they are."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from world.training import loop

STEPS = 12


def module(seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 1))


def losses_of(net: nn.Module, stop_at: int | None = None, heard: list | None = None):
    """Fit the sum of the inputs; `heard` collects (progress, the next random number) of every step."""

    def losses(rng: np.random.Generator, progress: float) -> dict[str, torch.Tensor]:
        if heard is not None:
            heard.append((progress, deepcopy(rng).random()))
        if stop_at is not None and progress * STEPS >= stop_at:
            raise KeyboardInterrupt
        x = torch.from_numpy(rng.normal(size=(16, 4))).float()
        return {
            "fit": (net(x)[:, 0].float() - x.sum(-1)).square().mean(),
            "size": 0.001 * net[0].weight.norm(),
        }

    return losses


def train(net: nn.Module, checkpoint, **kw) -> None:
    loop.train(net, losses_of(net, **kw), steps=STEPS, lr=0.02, checkpoint=checkpoint, warmup=3)


def test_a_resumed_run_is_an_unbroken_run(tmp_path, monkeypatch):
    whole = module(0)
    train(whole, tmp_path / "whole.pt")
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1)  # after every step
    broken = module(0)
    with pytest.raises(KeyboardInterrupt):
        train(broken, tmp_path / "broken.pt", stop_at=5)
    resumed, heard = module(99), []  # another start: all of it must come from the checkpoint
    train(resumed, tmp_path / "broken.pt", heard=heard)
    assert [round(progress * STEPS) for progress, _ in heard] == list(range(5, STEPS))
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    assert not (tmp_path / "broken.partial").exists()


def test_a_finished_run_is_only_loaded(tmp_path):
    done = module(0)
    train(done, tmp_path / "run.pt")
    loaded, heard = module(1), []
    train(loaded, tmp_path / "run.pt", heard=heard)
    assert heard == []
    assert all(torch.equal(a, b) for a, b in zip(done.parameters(), loaded.parameters(), strict=True))


def test_every_step_draws_its_own_numbers_and_a_seed_its_own_run(tmp_path):
    runs = []
    for i, seed in enumerate((0, 0, 1)):
        heard: list = []
        net = module(0)
        loop.train(
            net, losses_of(net, heard=heard), steps=4, lr=0.01, checkpoint=tmp_path / f"{i}.pt", seed=seed
        )
        runs.append([number for _, number in heard])
    assert runs[0] == runs[1] != runs[2]
    assert len(set(runs[0])) == 4


def test_it_learns_and_leaves_frozen_parts_alone(tmp_path):
    net = module(0)
    net[0].requires_grad_(False)
    frozen, free = net[0].weight.clone(), net[2].weight.clone()
    errors = []

    def losses(rng, progress):
        x = torch.from_numpy(rng.normal(size=(64, 4))).float()
        error = (net(x)[:, 0].float() - x.sum(-1)).square().mean()
        errors.append(error.item())
        return {"fit": error}

    loop.train(net, losses, steps=80, lr=0.05, checkpoint=tmp_path / "run.pt", warmup=5, weight_decay=0.0)
    assert torch.equal(net[0].weight, frozen)
    assert not torch.equal(net[2].weight, free)
    assert np.mean(errors[-10:]) < 0.7 * np.mean(errors[:10])
