"""How many threads of torch serve the open model."""

from __future__ import annotations

import torch

SMALL = 50_000_000  # parameters; of the built-in model's size a second thread waits more than it works
MANY = torch.get_num_threads()  # as torch or OMP_NUM_THREADS chose them, before anything here changed it


def fit_threads(model: torch.nn.Module) -> None:
    """Set the number of torch's threads for this thread and those that it starts: one for a small model.

    The other cores then serve the other visitors. A second thread of a small model spends its time in waiting
    for the first, and on a busy machine makes every operation wait for the scheduler.
    """
    count = 1 if sum(p.numel() for p in model.parameters()) <= SMALL else MANY
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
