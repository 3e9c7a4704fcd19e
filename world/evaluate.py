"""`python -m world.evaluate`: does the embedded model still answer when tokens go, and which query points at the answer?

Held-out scenes (seeds that training never saw), exact-match answers by greedy decoding, every method and query
at every keep ratio, random selection beside them. Writes evaluation.json next to the weights, from which
`world.report` makes the tables in README and model card.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import transformers
from torch import Tensor
from tqdm import tqdm

from rediprune import Explainer, PruneConfig, kept_count
from rediprune.explainer import DEFAULT_MODEL

from . import make_scene
from .questions import KINDS, Question

FIRST_SEED = 500_000  # held out: training starts at bank.FIRST_TRAINING_SEED
KEEP_RATIOS = (0.5, 0.25, 0.15, 0.10, 0.05)
POINTING_RATIO = 0.15
QUERIES = (
    ("prompt-tail", "cosine"), ("text-tower", "cosine"), ("text-tower", "negated"), ("text-tower", "value"),
)  # fmt: skip
MAX_NEW_TOKENS = 6  # the longest answer has two words
BATCH = 64


@dataclass(frozen=True)
class Arm:
    """One way to choose tokens: a method and, where it asks one, a query."""

    method: str
    query: str = ""
    pointing: str = ""

    @property
    def name(self) -> str:
        asked = self.query if self.query != "text-tower" else f"text-tower/{self.pointing}"
        return f"{self.method} ({asked})" if asked else self.method

    def config(self, keep_ratio: float, seed: int) -> PruneConfig:
        asked = {"query": self.query, "pointing": self.pointing} if self.query else {}
        return PruneConfig(keep_ratio=keep_ratio, method=self.method, seed=seed, **asked)


ARMS = (
    *(Arm("rediprune", *q) for q in QUERIES),
    *(Arm("relevance", *q) for q in QUERIES),
    Arm("diversity"), Arm("grid"), Arm("random"),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One held-out question, with the picking order of every arm."""

    scene_seed: int
    question: Question
    input_ids: Tensor
    features: Tensor
    orders: dict[Arm, Tensor]
    relevance: dict[tuple[str, str], Tensor]


def cases(explainer: Explainer, count: int) -> Iterator[Case]:
    """`count` questions, one of every kind that a scene can answer, scene after scene."""
    made = (
        (seed, q) for seed in range(FIRST_SEED, FIRST_SEED + 10 * count) for q in make_scene(seed).questions
    )
    for seed, question in islice(made, count):
        look = explainer.look(make_scene(seed).image)
        asked = {
            q: explainer.ask(look, question.text, PruneConfig(query=q[0], pointing=q[1])) for q in QUERIES
        }
        orders, relevance = {}, {}
        for arm in ARMS:
            config = arm.config(POINTING_RATIO, seed)
            by = asked.get((arm.query, arm.pointing), asked[QUERIES[0]])
            chosen = explainer.select(look, by, config if arm.query else _any_query(config))
            orders[arm] = chosen.order[0]
            if arm.method == "rediprune":
                relevance[arm.query, arm.pointing] = chosen.relevance[0]
        yield Case(seed, question, asked[QUERIES[0]].input_ids, look.vision.features[0], orders, relevance)


def _any_query(config: PruneConfig) -> PruneConfig:
    """Methods that ask no query are still handed one; which does not matter."""
    return PruneConfig(**(asdict(config) | {"query": QUERIES[0][0], "pointing": QUERIES[0][1]}))


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
    features = [c.features[k] for c, k in zip(batch, kept, strict=True)]
    embeds, mask = explainer.adapter.splice(ids, mask, features)
    made = explainer.model.generate(
        inputs_embeds=embeds, attention_mask=mask, max_new_tokens=MAX_NEW_TOKENS, do_sample=False
    )
    answers = tokenizer.batch_decode(made, skip_special_tokens=True)
    return [a.strip() == c.question.answer for a, c in zip(answers, batch, strict=True)]


def evaluate(explainer: Explainer, count: int) -> dict:
    """Everything that `world.report` prints, as plain data."""
    found = list(tqdm(cases(explainer, count), total=count, desc="selecting", mininterval=10))
    n = found[0].features.shape[0]
    everything = torch.arange(n)

    def accuracy(name: str, keep_ratio: float, kept: list[Tensor]) -> np.ndarray:
        hits: list[bool] = []
        for start in range(0, count, BATCH):
            part = slice(start, start + BATCH)
            hits += right(explainer, found[part], kept[part])
            bar.update()
        results.append({"arm": name, "keep_ratio": keep_ratio, "k": len(kept[0]), **_shares(found, hits)})
        return np.array(hits)

    results: list[dict] = []
    per_arm = -(-count // BATCH)
    with tqdm(total=per_arm * (1 + len(ARMS) * len(KEEP_RATIOS)), desc="answering", mininterval=10) as bar:
        full = accuracy("unpruned", 1.0, [everything] * count)
        for ratio in KEEP_RATIOS:
            hits = {}
            for arm in ARMS:
                k = kept_count(n, ratio)
                hits[arm.name] = accuracy(arm.name, ratio, [c.orders[arm][:k].sort().values for c in found])
            for row in results[-len(ARMS) :]:
                seeds = [c.scene_seed for c in found]
                row["minus_unpruned"] = _difference(hits[row["arm"]], full, seeds)
                row["minus_random"] = _difference(hits[row["arm"]], hits["random"], seeds)
    return {
        "questions": count,
        "scenes": len({c.scene_seed for c in found}),
        "first_seed": FIRST_SEED,
        "visual_tokens": n,
        "alpha": PruneConfig().alpha,
        "accuracy": results,
        "pointing": _pointing(found, n),
        "versions": {"python": platform.python_version(), "torch": torch.__version__,
                     "transformers": transformers.__version__},
    }  # fmt: skip


def _shares(found: list[Case], hits: list[bool]) -> dict:
    by_kind = {
        kind: [h for c, h in zip(found, hits, strict=True) if c.question.kind == kind] for kind in KINDS
    }
    return {
        "n": len(hits),
        "accuracy": float(np.mean(hits)),
        "interval": wilson(sum(hits), len(hits)),
        "by_kind": {k: {"n": len(v), "accuracy": float(np.mean(v))} for k, v in by_kind.items() if v},
    }


def wilson(successes: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95% interval of a share."""
    p = successes / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * ((p * (1 - p) + z * z / (4 * n)) / n) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def _difference(a: np.ndarray, b: np.ndarray, scenes: list[int], draws: int = 2000) -> dict:
    """Mean of a - b on the same questions, with a 95% bootstrap interval that redraws whole scenes."""
    _, group = np.unique(scenes, return_inverse=True)
    size = np.bincount(group)
    total = np.bincount(group, weights=a.astype(float) - b.astype(float))
    index = np.random.default_rng(0).integers(0, len(size), (draws, len(size)))
    means = total[index].sum(1) / size[index].sum(1)
    return {
        "mean": float(total.sum() / size.sum()),
        "interval": tuple(np.quantile(means, (0.025, 0.975)).tolist()),
    }


def _pointing(found: list[Case], n: int) -> dict:
    """How often chosen tokens lie on the patches that hold the answer, over questions whose answer lies somewhere."""
    somewhere = [c for c in found if c.question.patches]
    k = kept_count(n, POINTING_RATIO)
    rows = []

    def share(chosen: list[Tensor]) -> dict:
        on = [
            torch.isin(tokens, torch.tensor(c.question.patches)).float().mean().item()
            for c, tokens in zip(somewhere, chosen, strict=True)
        ]
        spread = 1.96 * float(np.std(on)) / len(on) ** 0.5
        return {"mean": float(np.mean(on)), "interval": (float(np.mean(on)) - spread, float(np.mean(on)) + spread),
                "any": float(np.mean([x > 0 for x in on]))}  # fmt: skip

    for query in QUERIES:
        arm = Arm("rediprune", *query)
        top = share([c.relevance[query].argsort(descending=True, stable=True)[:k] for c in somewhere])
        rows.append({"query": query[0], "pointing": query[1], "top_relevance": top,
                     "kept": share([c.orders[arm][:k] for c in somewhere])})  # fmt: skip
    random = share([c.orders[Arm("random")][:k] for c in somewhere])
    held = [len(c.question.patches) for c in somewhere]
    return {"n": len(somewhere), "k": k, "chance": float(np.mean(held)) / n, "random": random,
            "ceiling": float(np.mean([min(h, k) / k for h in held])), "rows": rows}  # fmt: skip


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
