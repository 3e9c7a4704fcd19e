"""Time small models of true shapes and random weights on one thread, in CPU seconds: for docs/speed.md.

    python -m tests.support.time_small_models "SmolVLM 256M" "InternVL3 1B"

CPU seconds of one thread hardly change when other programs run. What is loaded are folders with the files of
the public checkpoints' kinds and sizes, by the same path as theirs. Times do not depend on what weights hold.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from rediprune import Explainer, PruneConfig
from rediprune.models.checkpoints import speed
from rediprune.models.checkpoints.catalog import SMALL
from rediprune.models.checkpoints.checkpoint import Checkpoint
from tests.support import photo_models

QUESTION = "What color is the star?"
KEEP = 0.15
NEW_TOKENS = speed.NEW_TOKENS
HEAD = (
    "| model | settings | visual tokens | encoder | prefill, all -> 15% | a further token, all -> 15% | "
    f"answer of {NEW_TOKENS} tokens, all -> 15% | less | estimated for one thread |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Times:
    """Hold the CPU seconds of one model about one photograph; pairs are with all tokens and with 15%."""

    tokens: int
    encoder: float
    prefill: tuple[float, float]
    step: tuple[float, float]

    def answer(self, which: int) -> float:
        """Return the seconds of a whole answer, with all tokens (0) or with 15% (1)."""
        return self.encoder + self.prefill[which] + (NEW_TOKENS - 1) * self.step[which]


def measure(folder: Path, quick: bool = True, dtype: str = "bfloat16", repeats: int = 3) -> Times:
    """MEASURE a saved model, after one run to warm up."""
    explainer = Explainer.from_pretrained(folder, dtype=dtype, quick=quick)
    encoder = []
    for seed in range(repeats + 1):
        started = time.process_time()
        look = explainer.look(photo_models.photograph(seed=seed))
        encoder.append(time.process_time() - started)
    asked = explainer.ask(look, QUESTION)
    few = explainer.select(look, asked, PruneConfig(KEEP)).kept()
    runs = [
        explainer.time(look, asked, kept, repeats=repeats, warmup=1, steps=5, clock=time.process_time)
        for kept in (None, few)
    ]
    return Times(
        tokens=len(look.vision.all),
        encoder=median(encoder[1:]),
        prefill=(runs[0].prefill, runs[1].prefill),
        step=(runs[0].per_token, runs[1].per_token),
    )


def row(entry: Checkpoint, settings: str, times: Times, estimated: float | None) -> str:
    """Return one line of the table."""
    whole, few = times.answer(0), times.answer(1)
    return (
        f"| {entry.title} | {settings} | {times.tokens:,} | {times.encoder:.1f} s | "
        f"{times.prefill[0]:.2f} -> {times.prefill[1]:.2f} s | "
        f"{times.step[0] * 1e3:.0f} -> {times.step[1] * 1e3:.0f} ms | {whole:.1f} -> {few:.1f} s | "
        f"{1 - few / whole:.0%} | {'' if estimated is None else f'{estimated:.1f} s'} |"
    )


def main(titles: list[str]) -> None:
    """Print the table of the models with these titles, with their quick settings and then without."""
    torch.set_num_threads(1)
    print(HEAD)
    for entry in SMALL:
        if entry.title not in titles:
            continue
        with tempfile.TemporaryDirectory() as root:
            folder = photo_models.save(entry, Path(root), "true", torch.bfloat16)
            estimated = speed.answer_seconds(entry)
            print(row(entry, "quick", measure(folder), estimated), flush=True)
            if "--all" in titles:
                print(row(entry, "quick, float32", measure(folder, dtype="float32"), None), flush=True)
                print(row(entry, "as published", measure(folder, quick=False, repeats=1), None), flush=True)
            shutil.rmtree(folder)
    print(f"load average at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main(sys.argv[1:])
