"""Train a module with warm-up and cosine decay, gradient clipping, a progress bar and resuming."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from rediprune.files.atomic_write import replace_file

CHECKPOINT_SECONDS = 60


def train(
    module: nn.Module,
    losses: Callable[[np.random.Generator, float], dict[str, Tensor]],
    *,
    steps: int,
    lr: float,
    checkpoint: Path,
    warmup: int = 200,
    weight_decay: float = 0.05,
    seed: int = 0,
    log: Callable[[], str] = lambda: "",
) -> None:
    """Minimise the sum of `losses(rng, progress)` over `steps` steps with AdamW.

    The random generator of step i depends on (seed, i) alone, so a resumed run equals an uninterrupted one.

    Args:
        module: trained in place; parameters that require no gradient stay as they are.
        losses: returns named scalar losses of one batch; `progress` runs from 0 to 1.
        steps: optimizer steps in all.
        lr: the peak learning rate, reached after `warmup` steps; it falls to 2% of the peak by the last step.
        checkpoint: written about every minute and at the end. Training continues from an existing one; a
            finished one is only loaded.
        warmup: steps in which the learning rate rises from 0.
        weight_decay: of matrices; vectors have none.
        seed: of the run.
        log: returns a short text for the progress bar.
    """
    trained = [p for p in module.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.dim() > 1]
    vectors = [p for p in trained if p.dim() <= 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98))
    start = 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        module.load_state_dict(saved["module"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["step"]

    def save(step: int) -> None:
        state = {"module": module.state_dict(), "optimizer": optimizer.state_dict(), "step": step}
        with replace_file(checkpoint) as part:
            torch.save(state, part)

    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    smooth: dict[str, float] = {}
    last_save = time.monotonic()
    bar = tqdm(range(start, steps), initial=start, total=steps, desc=checkpoint.stem, mininterval=10)
    for step in bar:
        progress = step / steps
        rate = lr * min(1.0, (step + 1) / warmup) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        # bfloat16 products with float32 weights are several times faster on processors that support them.
        with torch.autocast("cpu", torch.bfloat16):
            parts = losses(np.random.default_rng((seed, step)), progress)
        total = sum(parts.values())
        total.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for name, value in parts.items():
            smooth[name] = 0.98 * smooth.get(name, value.item()) + 0.02 * value.item()
        if step % 20 == 0:
            bar.set_postfix_str(
                " ".join(f"{n}={v:.2f}" for n, v in smooth.items()) + " " + log(), refresh=False
            )
        if time.monotonic() - last_save > CHECKPOINT_SECONDS:
            save(step + 1)
            last_save = time.monotonic()
    if start < steps:
        save(steps)
