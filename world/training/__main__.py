"""Train the embedded model from scratch with `python -m world.training`, resumable at every step.

The stages, in their order:

    tower      trains a small CLIP on rendered scenes, which are kept on disk
    symbols    trains the LLM on symbols of stills in place of visual tokens
    features   encodes every scene with the frozen vision tower, kept on disk
    align      trains the projector to give the symbols
    reader     trains projector and LLM on real visual tokens of stills
    text       trains the text tower alone
    moves      trains the LLM on symbols of clips
    frames     encodes rendered clips with the frozen vision tower, kept on disk
    clips      trains projector and LLM on real visual tokens of clips and stills
    export     writes the model folders to assets/

Random numbers depend on the seed and the step alone, so a resumed run equals an uninterrupted one.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from .clip_stages import ClipTrainingRun

# The number of steps of every stage that trains.
STEPS = {
    "tower": 5_200,
    "symbols": 5_000,
    "align": 4_000,
    "reader": 2_000,
    "text": 400,
    "moves": 2_000,
    "clips": 2_100,
}
# The method of ClipTrainingRun behind each stage, in the order of the stages.
METHODS = {
    "tower": "train_tower",
    "symbols": "train_symbols",
    "features": "encode_scenes",
    "align": "train_projector",
    "reader": "train_reader",
    "text": "train_text_tower",
    "moves": "train_time",
    "frames": "encode_clips",
    "clips": "train_clips",
    "export": "export",
}
STAGES = tuple(METHODS)
ASSETS = Path(__file__).parents[2] / "assets"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run one stage, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m world.training", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, default=Path("runs/world"), help="checkpoints and rendered scenes"
    )
    parser.add_argument("--assets", type=Path, default=ASSETS, help="where the finished model goes")
    parser.add_argument("--stage", choices=("all", *STAGES), default="all")
    parser.add_argument("--adopt", type=Path, help="take tower and reader from the folder of an older run")
    parser.add_argument("--scenes", type=int, default=40_000, help="scenes to render, 150 kB each on disk")
    parser.add_argument("--clips", type=int, default=8_000, help="clips to render, 400 kB each on disk")
    for stage, steps in STEPS.items():
        parser.add_argument(f"--{stage}-steps", type=int, default=steps)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    run = ClipTrainingRun(args.folder, args.scenes, args.clips, args.seed)
    if args.adopt:
        run.adopt_checkpoints(args.adopt)
    for stage in STAGES if args.stage == "all" else (args.stage,):
        if stage == "export":
            run.export(args.assets)
        elif stage in STEPS:
            getattr(run, METHODS[stage])(getattr(args, f"{stage}_steps"))
        else:
            getattr(run, METHODS[stage])()


if __name__ == "__main__":
    main()
