"""`python -m world.evaluation.evaluate`: does the model still answer when tokens go, and which query points?

Held-out scenes and clips (seeds that training never saw), exact-match answers by greedy decoding, every arm
of arms.py at its keep ratios. Writes evaluation.json next to the weights after every arm: killed, it goes on
where it was. What is in there is which questions were answered right, arm by arm; every share, difference and
interval is made of that by results.py, and every table and figure of those.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

from rediprune import Explainer
from rediprune.explainer.explainer import DEFAULT_MODEL
from rediprune.explainer.model_card import read_card

from .. import make_clip, make_scene
from ..text.clip_questions import CLIP_KINDS
from ..text.scene_questions import KINDS
from .arms import CLIPS_PLAN, PUBLISHED_QUERY, QUERIES, STILLS_PLAN, TOWER_QUERY, Arm
from .measure import EvalRun, EvalSplit
from .queries import QueryBuilder

FIRST_SEED = 500_000  # held out: training draws from scene_store.FIRST_TRAINING_SEED up
VALIDATION_SEED = 400_000  # held out too; the default query is chosen on these, and reported on the others
SEEDS = (FIRST_SEED, VALIDATION_SEED)

SPLITS = {
    "stills": EvalSplit(make_scene, KINDS, STILLS_PLAN, 3_500, 1_000, 700, 150, tuple(QUERIES), *SEEDS),
    "clips": EvalSplit(
        make_clip, CLIP_KINDS, CLIPS_PLAN, 1_600, 480, 0, 50, (PUBLISHED_QUERY, TOWER_QUERY), *SEEDS
    ),
}


def is_finished(part: EvalSplit, found: dict) -> bool:
    """Whether nothing of a part is left to measure."""
    rows = found.get("hits", {})
    cells = [
        (trial.arm.name, str(ratio)) for trials in part.plan for trial in trials for ratio in trial.ratios
    ]
    return {"pointing", "overlap", "rechecked"} <= set(found) and all(
        ratio in rows.get(arm, {}) for arm, ratio in cells
    )


def fingerprint(model: Path) -> str:
    """Names the weights of a model's folder, those of its text tower among them."""
    files = [model / "model.safetensors", *_text_tower_files(model)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def _text_tower_files(model: Path) -> list[Path]:
    name = read_card(model).text_tower or ""
    folder = Path(name.removeprefix("local-dir:"))
    return [folder / "open_clip_model.safetensors"] if name.startswith("local-dir:") else []


def run(model: Path = DEFAULT_MODEL, out: Path | None = None) -> dict:
    """Measure what evaluation.json lacks; what it says of other weights is thrown away."""
    out, weights = out or model / "evaluation.json", fingerprint(model)
    known = json.loads(out.read_text()) if out.exists() else {}
    if known.get("weights") != weights:
        versions = {"python": platform.python_version(), "torch": torch.__version__}
        versions["transformers"] = transformers.__version__
        known = {"weights": weights, "versions": versions, "alpha": Arm.alpha}
    if all(is_finished(part, known.get(name, {})) for name, part in SPLITS.items()):
        return known
    query_builder = QueryBuilder(Explainer.from_pretrained(model))

    def saved(name: str) -> Callable[[dict], None]:
        def save(found: dict) -> None:
            known[name] = found
            half = out.with_suffix(".part")  # a kill while it is written leaves the last one whole
            half.write_text(json.dumps(known, indent=1) + "\n")
            half.replace(out)

        return save

    parts = [EvalRun(query_builder, part, known.get(name, {}), saved(name)) for name, part in SPLITS.items()]
    for one in parts:
        one.measure_pointing()
    for trials in zip(*(one.split.plan for one in parts), strict=True):
        for one, mine in zip(parts, trials, strict=True):
            one.measure_accuracy(mine)
    for one in parts:
        one.measure_overlap()
        one.recheck()
    return json.loads(out.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m world.evaluation.evaluate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--out", type=Path, help="default: evaluation.json in the model's folder")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    run(args.model, args.out)
    print("measured; `python -m world.evaluation.report` puts it into the tables")


if __name__ == "__main__":
    main()
