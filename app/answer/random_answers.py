"""Answer from as many random tokens as were kept, several times: the baseline beside the two answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from rediprune import Answer, Explainer
from rediprune.evaluation.sweep import SEEDS
from rediprune.explainer.prepare import PreparedRun

DRAWS = SEEDS  # as many as the comparison of methods averages


def draw_random_tokens(
    explainer: Explainer, prepared: PreparedRun, count: int, user_chose: bool, seed: int
) -> Tensor:
    """Draw random tokens, as the method "random" does at the run's own keep ratio and budget.

    Args:
        count: how many tokens the visitor chose; not used if the method chose them.
        user_chose: whether the visitor chose the kept tokens: then the draw is over all frames together.
        seed: of the draw.

    Returns:
        [K] flat indices t * N + n, sorted.
    """
    if user_chose:
        generator = torch.Generator().manual_seed(seed)
        return torch.randperm(prepared.encoding.n_visual, generator=generator)[:count].sort().values
    config = replace(prepared.config, method="random", seed=seed)
    return explainer.select(prepared.encoding, prepared.question, config).kept(config.keep_ratio)


def answer_from_random_tokens(
    explainer: Explainer, prepared: PreparedRun, count: int, user_chose: bool, stop: threading.Event
) -> Iterator[Answer]:
    """Yield one answer for each of DRAWS draws; end early, without the one in progress, if `stop` is set."""
    for seed in range(DRAWS):
        tokens = draw_random_tokens(explainer, prepared, count, user_chose, seed)
        made = explainer.answer(prepared.encoding, prepared.question, tokens, stop=stop)
        if stop.is_set():
            return
        yield made
