"""Set how many threads of torch serve the open model."""

from __future__ import annotations

import torch

SMALL = (
    50_000_000  # parameters; for a model of the built-in one's size a second thread waits more than it works
)
MANY = torch.get_num_threads()  # as torch or OMP_NUM_THREADS chose them, before anything here changed it


def fit_threads(model: torch.nn.Module) -> None:
    """Set the number of torch's threads for this thread and those that it starts: one for a small model.

    The other cores then serve the other visitors. In a small model a second thread spends its time waiting
    for the first, and on a busy machine every operation then waits for the scheduler.
    """
    count = 1 if sum(p.numel() for p in model.parameters()) <= SMALL else MANY
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
