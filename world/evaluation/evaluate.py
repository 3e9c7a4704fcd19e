"""Measure accuracy and pointing on held-out questions with `python -m world.evaluation.evaluate`.

Every arm of arms.py answers questions about scenes and clips whose seeds training never used, at its keep
ratios. An answer counts if greedy decoding gives exactly the expected words. The results go into
evaluation.json beside the weights after every arm, so an interrupted run resumes where it stopped. The file
holds which questions each arm answered correctly; results.py computes every share, difference and interval
from that.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

from rediprune import Explainer
from rediprune.explainer.explainer import DEFAULT_MODEL
from rediprune.explainer.model_card import read_card
from rediprune.files.atomic_write import check_outputs, write_text

from .. import make_clip, make_scene
from ..text.clip_questions import CLIP_KINDS
from ..text.scene_questions import KINDS
from .arms import CLIPS_PLAN, PUBLISHED_QUERY, QUERIES, STILLS_PLAN, TOWER_QUERY, Arm
from .measure import EvalRun, EvalSplit
from .queries import QueryBuilder
from .results import read_evaluation

FIRST_SEED = 500_000  # held out: training uses seeds from scene_store.FIRST_TRAINING_SEED upwards
VALIDATION_SEED = 400_000  # held out too: the default query is chosen on these and reported on the others

SPLITS = {
    "stills": EvalSplit(
        make=make_scene,
        kinds=KINDS,
        plan=STILLS_PLAN,
        n_questions=3_500,
        n_subset=1_000,
        n_validation=700,
        n_recheck=150,
        pointing_queries=tuple(QUERIES),
        first_seed=FIRST_SEED,
        validation_seed=VALIDATION_SEED,
    ),
    "clips": EvalSplit(
        make=make_clip,
        kinds=CLIP_KINDS,
        plan=CLIPS_PLAN,
        n_questions=1_600,
        n_subset=480,
        n_validation=0,
        n_recheck=50,
        pointing_queries=(PUBLISHED_QUERY, TOWER_QUERY),
        first_seed=FIRST_SEED,
        validation_seed=VALIDATION_SEED,
    ),
}


def is_finished(split: EvalSplit, record: dict) -> bool:
    """Return whether the record of a split in evaluation.json is complete."""
    measured = record.get("hits", {})
    cells = [
        (planned.arm.name, str(ratio))
        for planned_round in split.plan
        for planned in planned_round
        for ratio in planned.ratios
    ]
    has_all_cells = all(ratio in measured.get(arm, {}) for arm, ratio in cells)
    return has_all_cells and {"pointing", "overlap", "rechecked"} <= set(record)


def fingerprint(model: Path) -> str:
    """Return 16 hexadecimal digits that identify the weights of a model folder and of its text tower."""
    files = [model / "model.safetensors", *_find_text_tower_files(model)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def _find_text_tower_files(model: Path) -> list[Path]:
    name = read_card(model).text_tower or ""
    folder = Path(name.removeprefix("local-dir:"))
    return [folder / "open_clip_model.safetensors"] if name.startswith("local-dir:") else []


def run(model: Path = DEFAULT_MODEL, out: Path | None = None) -> dict:
    """Measure whatever evaluation.json does not hold yet and return its whole content.

    Args:
        model: folder of the model.
        out: the JSON file, by default evaluation.json in the folder of the model. Results that it holds for
            other weights are discarded.

    Raises:
        ValueError: the JSON file is damaged, or it would replace a file of the model.
    """
    out = out or model / "evaluation.json"
    check_outputs(out, inputs=[file for file in model.iterdir() if file.name != "evaluation.json"])
    weights = fingerprint(model)
    evaluation = read_evaluation(out) if out.exists() else {}
    if evaluation.get("weights") != weights:
        versions = {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }
        evaluation = {"weights": weights, "versions": versions, "alpha": Arm.alpha}
    if all(is_finished(split, evaluation.get(name, {})) for name, split in SPLITS.items()):
        return evaluation
    query_builder = QueryBuilder(Explainer.from_pretrained(model))

    def make_save(name: str) -> Callable[[dict], None]:
        def save(record: dict) -> None:
            evaluation[name] = record
            write_text(out, json.dumps(evaluation, indent=1) + "\n")

        return save

    runs = [
        EvalRun(query_builder, split, evaluation.get(name, {}), make_save(name))
        for name, split in SPLITS.items()
    ]
    for eval_run in runs:
        eval_run.measure_pointing()
    # Round by round, so that the main comparison of stills and clips is complete before any ablation starts.
    for rounds in zip(*(eval_run.split.plan for eval_run in runs), strict=True):
        for eval_run, planned_round in zip(runs, rounds, strict=True):
            eval_run.measure_accuracy(planned_round)
    for eval_run in runs:
        eval_run.measure_overlap()
        eval_run.recheck()
    return json.loads(out.read_text())


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m world.evaluation.evaluate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--out", type=Path, help="default: evaluation.json in the model's folder")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    try:
        run(args.model, args.out)
    except (ValueError, OSError) as error:
        sys.exit(str(error))
    print("measured; `python -m world.evaluation.report` puts it into the tables")


if __name__ == "__main__":
    main()
