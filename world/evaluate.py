"""`python -m world.evaluate`: does the model answer when tokens go, and which query points at the answer?

Held-out scenes and clips (seeds that training never saw), exact-match answers by greedy decoding, methods and
queries at every keep ratio, random selection beside them. Writes evaluation.json next to the weights, from
which `world.report` makes the tables in README and model card.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import Tensor
from tqdm import tqdm

from rediprune import Explainer, PruneConfig
from rediprune.explainer import DEFAULT_MODEL

from .arms import ARMS, CLIP_ARMS, CLIP_ARMS_OF_SOME, CLIP_QUERIES, QUERIES, RANDOM, Arm
from .cases import Case, cases, clips, right, stills
from .clip_questions import CLIP_KINDS
from .intervals import by_scene, wilson
from .pointing import pointing
from .questions import KINDS

FIRST_SEED = 500_000  # held out: training draws from bank.FIRST_TRAINING_SEED up
CHOOSING_SEED = 400_000  # held out too; the default query is chosen on these, and reported on the others
KEEP_RATIOS = (0.5, 0.25, 0.15, 0.10, 0.05)
POINTING_RATIO = 0.15
TOKENS_A_BATCH = 8_000  # of all prompts that are answered at once


def evaluate_stills(explainer: Explainer, n_questions: int, first_seed: int = FIRST_SEED) -> dict:
    """Everything that `world.report` prints about stills, as plain data."""
    some = max(1, n_questions // 4)
    aims = [arm for arm in ARMS if arm.method == "rediprune"]
    choosing = _selected(explainer, stills(CHOOSING_SEED), some, (*aims, RANDOM))
    found = _selected(explainer, stills(first_seed), n_questions, ARMS)
    tests = [(arm, ratio, len(found)) for ratio in KEEP_RATIOS for arm in ARMS]
    rows, _ = _accuracy(explainer, found, tests, KINDS)
    return {
        "questions": len(found),
        "scenes": len({c.seed for c in found}),
        "first_seed": first_seed,
        "visual_tokens": len(found[0].all),
        "alpha": PruneConfig().alpha,
        "accuracy": rows,
        "pointing": pointing(found, QUERIES, POINTING_RATIO),
        "choosing": {"first_seed": CHOOSING_SEED, **pointing(choosing, QUERIES, POINTING_RATIO)},
    }


def evaluate_clips(explainer: Explainer, n_questions: int, n_some: int, first_seed: int = FIRST_SEED) -> dict:
    """Everything that `world.report` prints about clips, as plain data.

    On the first `n_some` questions alone: the arms of CLIP_ARMS_OF_SOME, below 50%, and the others at 50%.
    """
    asked = clips(first_seed)
    found = _selected(explainer, asked, n_some, (*CLIP_ARMS, *CLIP_ARMS_OF_SOME))
    found += _selected(explainer, asked, n_questions - n_some, CLIP_ARMS)
    tests = [(arm, KEEP_RATIOS[0], n_some) for arm in CLIP_ARMS]
    tests += [(arm, ratio, len(found)) for ratio in KEEP_RATIOS[1:] for arm in CLIP_ARMS]
    tests += [(arm, ratio, n_some) for ratio in KEEP_RATIOS[1:] for arm in CLIP_ARMS_OF_SOME]
    rows, full = _accuracy(explainer, found, tests, CLIP_KINDS)
    return {
        "questions": len(found),
        "questions_of_some": n_some,
        "unpruned_of_some": float(full[:n_some].mean()),
        "clips": len({c.seed for c in found}),
        "frames": len(found[0].seen),
        "first_seed": first_seed,
        "visual_tokens": len(found[0].all),
        "alpha": PruneConfig().alpha,
        "accuracy": rows,
        "pointing": pointing(found[:n_some], CLIP_QUERIES, POINTING_RATIO),
    }


def _selected(explainer: Explainer, asked, n_questions: int, arms: Sequence[Arm]) -> list[Case]:
    made = cases(explainer, asked, n_questions, arms, KEEP_RATIOS)
    return list(tqdm(made, total=n_questions, desc="selecting", mininterval=10))


def _accuracy(
    explainer: Explainer, found: list[Case], tests: list[tuple[Arm, float, int]], kinds: Sequence[str]
) -> tuple[list[dict], np.ndarray]:
    """A row for the whole prompt, then one for each test: an arm at a ratio, on the first n questions.

    Beside the rows, which questions the whole prompt answers right.
    """
    seeds = [c.seed for c in found]
    bar = tqdm(total=len(found) + sum(n for *_, n in tests), desc="answering", mininterval=10)
    full = _hits(explainer, found, [c.all for c in found], bar)
    hit = {
        (arm, ratio): _hits(explainer, found[:n], [c.kept[arm, ratio] for c in found[:n]], bar)
        for arm, ratio, n in tests
    }
    bar.close()
    rows = [{"arm": "unpruned", "keep_ratio": 1.0, "k": len(found[0].all), **_shares(found, full, kinds)}]
    for (arm, ratio), mine in hit.items():
        against = {"unpruned": full, "random": hit[RANDOM, ratio]}
        if arm.budget == "shared":
            against["frame"] = hit[replace(arm, budget="frame"), ratio]
        n = len(mine)
        rows.append(
            {"arm": arm.name, "keep_ratio": ratio, "k": len(found[0].kept[arm, ratio])}
            | _shares(found[:n], mine, kinds)
            | {
                f"minus_{name}": by_scene(mine.astype(int) - other[:n], seeds[:n])
                for name, other in against.items()
            }
        )
    return rows, full


def _hits(explainer: Explainer, found: list[Case], kept: list[Tensor], bar: tqdm) -> np.ndarray:
    """Which questions are answered right from the kept tokens.

    Only prompts of equal length share a batch: none is padded, which is quicker, and every answer is that of
    its prompt alone.
    """
    said = np.zeros(len(found), dtype=bool)
    length = [len(case.input_ids) + len(k) for case, k in zip(found, kept, strict=True)]
    for same, group in groupby(sorted(range(len(found)), key=length.__getitem__), length.__getitem__):
        alike, size = list(group), max(1, TOKENS_A_BATCH // same)
        for part in (alike[i : i + size] for i in range(0, len(alike), size)):
            said[part] = right(explainer, [found[i] for i in part], [kept[i] for i in part])
            bar.update(len(part))
    return said


def _shares(found: list[Case], hit: np.ndarray, kinds: tuple[str, ...]) -> dict:
    """Accuracy over all questions, with its interval, and by kind."""
    by_kind = {kind: hit[[c.question.kind == kind for c in found]] for kind in kinds}
    return {
        "n": len(hit),
        "accuracy": float(hit.mean()),
        "interval": wilson(int(hit.sum()), len(hit)),
        "by_kind": {k: {"n": len(v), "accuracy": float(v.mean())} for k, v in by_kind.items() if len(v)},
    }


def fingerprint(model: Path) -> str:
    """Names the weights of a model's folder."""
    return hashlib.sha256((model / "model.safetensors").read_bytes()).hexdigest()[:16]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m world.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--questions", type=int, default=2_100, help="about stills")
    parser.add_argument("--clip-questions", type=int, default=1_050)
    parser.add_argument("--some", type=int, default=300, help="clip questions for what matters less")
    parser.add_argument(
        "--part", choices=("stills", "clips", "both"), default="both", help="the other part stays as it is"
    )
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--out", type=Path, help="default: evaluation.json in the model's folder")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    explainer, out = Explainer.from_pretrained(args.model), args.out or args.model / "evaluation.json"
    about = {
        "weights": fingerprint(args.model),
        "versions": {"python": platform.python_version(), "torch": torch.__version__,
                     "transformers": transformers.__version__},
    }  # fmt: skip
    for part, evaluate, counts in (
        ("stills", evaluate_stills, (args.questions,)),
        ("clips", evaluate_clips, (args.clip_questions, min(args.some, args.clip_questions))),
    ):
        if args.part in (part, "both"):
            measured = about | evaluate(explainer, *counts, first_seed=args.first_seed)
            found = json.loads(out.read_text()) if out.exists() else {}
            out.write_text(json.dumps(found | {part: measured}, indent=1) + "\n")
    print(f"wrote {out}; `python -m world.report` puts it into the tables")


if __name__ == "__main__":
    main()
