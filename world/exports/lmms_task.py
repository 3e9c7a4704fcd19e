"""`python -m world.exports.lmms_task FOLDER`: held-out questions as a task for lmms-eval.

The folder holds the pictures, the questions and the yaml: nothing is fetched from anywhere. Pictures and
clips are lossless (PNG, animated PNG), so they are what `world.evaluation.evaluate` would show.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from rediprune.evaluation.lmms.local import write_task
from rediprune.files.atomic_write import replace_file

from .. import make_clip, make_scene
from ..text.scene_questions import Question

NAME = "rediprune_world"
FIRST_SEED = (
    600_000  # held out, and neither those that the default query is chosen on nor those of the tables
)
SHOWN_FOR = 500  # milliseconds of each frame


def documents(folder: Path, scenes: int, clips: int, first_seed: int = FIRST_SEED) -> Iterator[dict]:
    """Draw into the folder and give every question of every scene and clip, in the form of lmms.local."""
    for seed in range(first_seed, first_seed + scenes):
        scene = make_scene(seed)
        path = folder / f"scene-{seed}.png"
        with replace_file(path) as part:
            scene.image.save(part)
        yield from _questions(path, scene.questions, "still")
    for seed in range(first_seed, first_seed + clips):
        clip = make_clip(seed)
        path = folder / f"clip-{seed}.png"
        first, *rest = clip.images
        with replace_file(path) as part:
            first.save(part, save_all=True, append_images=rest, duration=SHOWN_FOR)
        yield from _questions(path, clip.questions, "clip")


def _questions(path: Path, questions: list[Question], about: str) -> Iterator[dict]:
    for question in questions:
        yield {
            "id": f"{path.stem}-{question.kind}",
            "media": str(path.resolve()),
            "start": None,
            "end": None,
            "question": question.text,
            "options": [],
            "answer": question.answer,
            "kind": f"{about} {question.kind}",
        }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m world.exports.lmms_task", description=__doc__.split("\n\n")[1]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--clips", type=int, default=25)
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    path = write_task(args.folder, NAME, documents(args.folder, args.scenes, args.clips))
    print(f"Wrote {path}: run it with --include_path {args.folder} --tasks {NAME}")


if __name__ == "__main__":
    main()
