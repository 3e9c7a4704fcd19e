"""`python -m world.evaluate`: does the model answer when tokens go, and which query points at the answer?

Held-out scenes (seeds that training never saw), exact-match answers by greedy decoding, every method and
query at every keep ratio, random selection beside them. Writes evaluation.json next to the weights, from
which `world.report` makes the tables in README and model card.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import Tensor
from tqdm import tqdm

from rediprune import Explainer, PruneConfig, kept_count
from rediprune.explainer import DEFAULT_MODEL
from rediprune.models import Seen

from . import make_scene
from .arms import ARMS, QUERIES, RANDOM, Arm
from .intervals import by_scene, wilson
from .pointing import pointing
from .questions import KINDS, Question

FIRST_SEED = 500_000  # held out: training draws from bank.FIRST_TRAINING_SEED up
KEEP_RATIOS = (0.5, 0.25, 0.15, 0.10, 0.05)
POINTING_RATIO = 0.15
MAX_NEW_TOKENS = 6  # the longest answer has two words
BATCH = 64


@dataclass(frozen=True)
class Case:
    """One held-out question, with what every arm would keep of its image.

    Attributes:
        scene_seed: which scene it is about.
        question: with its answer, and the patches that hold it.
        input_ids: [L], the prompt with its image placeholders.
        seen: what the encoder gave of the scene, N visual tokens.
        orders: per arm, [N] tokens in the order of picking.
        relevance: per (query, pointing), [N] by token.
    """

    scene_seed: int
    question: Question
    input_ids: Tensor
    seen: Seen
    orders: dict[Arm, Tensor]
    relevance: dict[tuple[str, str], Tensor]


def cases(explainer: Explainer, n_questions: int) -> Iterator[Case]:
    """`n_questions` of them, one of every kind that a scene can answer, scene after scene."""
    scenes = ((seed, make_scene(seed)) for seed in count(FIRST_SEED))
    asked = ((seed, scene.image, q) for seed, scene in scenes for q in scene.questions)
    for seed, image, question in islice(asked, n_questions):
        look = explainer.look(image)
        queries = {
            q: explainer.ask(look, question.text, PruneConfig(query=q[0], pointing=q[1])) for q in QUERIES
        }
        orders, relevance = {}, {}
        for arm in ARMS:
            config = PruneConfig(keep_ratio=POINTING_RATIO, seed=seed, **arm.settings)
            chosen = explainer.select(look, queries[config.query, config.pointing], config)
            orders[arm] = chosen.order[0]
            if arm.method == "rediprune":
                relevance[arm.query, arm.pointing] = chosen.relevance[0]
        yield Case(seed, question, queries[QUERIES[0]].inputs["input_ids"][0], look.seen[0], orders, relevance)


@torch.no_grad()
def right(explainer: Explainer, batch: list[Case], kept: list[Tensor]) -> list[bool]:
    """Whether the greedy answer from the kept tokens [K] of each case is exactly the expected one."""
    tokenizer = explainer.processor.tokenizer
    longest = max(len(c.input_ids) for c in batch)
    ids = torch.full((len(batch), longest), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, case in enumerate(batch):
        ids[row, longest - len(case.input_ids) :] = case.input_ids
        mask[row, longest - len(case.input_ids) :] = 1
    prompt = explainer.adapter.splice(ids, mask, [c.seen for c in batch], kept)
    made = explainer.model.generate(
        inputs_embeds=prompt.embeds, **prompt.arguments(), max_new_tokens=MAX_NEW_TOKENS, do_sample=False
    )
    answers = tokenizer.batch_decode(made, skip_special_tokens=True)
    return [a.strip() == c.question.answer for a, c in zip(answers, batch, strict=True)]


def evaluate(explainer: Explainer, n_questions: int) -> dict:
    """Everything that `world.report` prints, as plain data."""
    found = list(tqdm(cases(explainer, n_questions), total=n_questions, desc="selecting", mininterval=10))
    n_tokens = found[0].seen.vision.n_tokens
    seeds = [c.scene_seed for c in found]
    batches = [slice(start, start + BATCH) for start in range(0, n_questions, BATCH)]
    bar = tqdm(total=len(batches) * (1 + len(ARMS) * len(KEEP_RATIOS)), desc="answering", mininterval=10)

    def hits(kept: list[Tensor]) -> np.ndarray:
        said = []
        for part in batches:
            said += right(explainer, found[part], kept[part])
            bar.update()
        return np.array(said)

    def row(name: str, keep_ratio: float, hit: np.ndarray) -> dict:
        return {
            "arm": name,
            "keep_ratio": keep_ratio,
            "k": kept_count(n_tokens, keep_ratio),
            **_shares(found, hit),
        }

    full = hits([torch.arange(n_tokens)] * n_questions)
    rows = [row("unpruned", 1.0, full)]
    for ratio in KEEP_RATIOS:
        k = kept_count(n_tokens, ratio)
        hit = {arm: hits([c.orders[arm][:k].sort().values for c in found]) for arm in ARMS}
        for arm in ARMS:
            rows.append(
                row(arm.name, ratio, hit[arm])
                | {
                    "minus_unpruned": by_scene(hit[arm].astype(int) - full, seeds),
                    "minus_random": by_scene(hit[arm].astype(int) - hit[RANDOM], seeds),
                }
            )
    bar.close()
    return {
        "questions": n_questions,
        "scenes": len(set(seeds)),
        "first_seed": FIRST_SEED,
        "visual_tokens": n_tokens,
        "alpha": PruneConfig().alpha,
        "accuracy": rows,
        "pointing": pointing(found, kept_count(n_tokens, POINTING_RATIO)),
        "versions": {"python": platform.python_version(), "torch": torch.__version__,
                     "transformers": transformers.__version__},
    }  # fmt: skip


def _shares(found: list[Case], hit: np.ndarray) -> dict:
    """Accuracy over all questions, with its interval, and by kind."""
    by_kind = {kind: hit[[c.question.kind == kind for c in found]] for kind in KINDS}
    return {
        "n": len(hit),
        "accuracy": float(hit.mean()),
        "interval": wilson(int(hit.sum()), len(hit)),
        "by_kind": {k: {"n": len(v), "accuracy": float(v.mean())} for k, v in by_kind.items() if len(v)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m world.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--questions", type=int, default=2_100)
    parser.add_argument("--out", type=Path, help="default: evaluation.json in the model's folder")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = evaluate(Explainer.from_pretrained(args.model), args.questions)
    out = args.out or args.model / "evaluation.json"
    out.write_text(json.dumps(found, indent=1) + "\n")
    print(f"wrote {out}; `python -m world.report` puts it into the tables")


if __name__ == "__main__":
    main()
