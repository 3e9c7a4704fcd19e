"""The read-outs of time are asked for what the clip says, by slow rules read off its plan."""

from __future__ import annotations

import numpy as np
import torch

from world.render.clip_plans import plan_clip
from world.render.scenes import N_PATCHES, PATCH_SIZE
from world.training.curriculum import drop_clip_tokens
from world.training.language_model import LLM_LAYERS, LLM_WIDTH
from world.training.time_heads import TimeHeads


class Told(torch.nn.Module):
    """A read-out that says what it was told, whatever it is shown."""

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, _: torch.Tensor) -> torch.Tensor:
        return self.answer


def test_heads_that_tell_the_truth_cost_nothing():
    plans = [plan_clip(seed) for seed in range(5)]
    attributes = torch.from_numpy(np.stack([p.to_attributes() for p in plans]))
    owner = torch.from_numpy(np.stack([p.to_owner() for p in plans]))
    keep = drop_clip_tokens(owner, 80, np.random.default_rng(0), keep_each=True, even=False)
    truth = {name: torch.zeros(5, 80, size) for name, size in TimeHeads.SIZES.items()}
    for b, plan in enumerate(plans):
        for i, token in enumerate(keep[b].tolist()):
            t, n = divmod(token, N_PATCHES)
            truth["frame"][b, i, t] = 30
            for a in plan.actors:
                if n in a.patches[t] and owner[b, t, n] == plan.actors.index(a):
                    truth["since"][b, i, a.first_frame] = 30
                    (x, y), (x0, y0) = a.track[t], a.track[a.first_frame]
                    truth["moved"][b, i] = torch.tensor([(x - x0) / PATCH_SIZE, (y - y0) / PATCH_SIZE])
    heads = TimeHeads(LLM_WIDTH)
    states = (torch.zeros(5, 80, LLM_WIDTH),) * (LLM_LAYERS + 2)

    def cost(said: dict[str, torch.Tensor]) -> dict[str, float]:
        heads.out = torch.nn.ModuleDict({name: Told(answer) for name, answer in said.items()})
        return {
            name: loss.item() for name, loss in heads.compute_losses(states, attributes, owner, keep).items()
        }

    assert all(loss < 1e-6 for loss in cost(truth).values())
    for name in truth:
        wrong = truth | {name: truth[name].roll(1, dims=-1)}
        worse = cost(wrong)
        assert worse[name] > 0.01
        assert all(loss < 1e-6 for other, loss in worse.items() if other != name)
