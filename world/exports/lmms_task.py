"""Write held-out questions as a task for lmms-eval: `python -m world.exports.lmms_task FOLDER`.

The folder holds the pictures, the questions and the yaml: nothing is fetched from anywhere. Pictures and
clips are lossless (PNG, animated PNG), so they equal what `world.evaluation.evaluate` shows the model.
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
# Held out, and used neither for the choice of the default query nor for the tables.
FIRST_SEED = 600_000
FRAME_MILLISECONDS = 500  # how long an animated PNG shows each frame


def generate_documents(folder: Path, scenes: int, clips: int, first_seed: int = FIRST_SEED) -> Iterator[dict]:
    """Render pictures into the folder and yield every question about them in the form of lmms.local.

    Args:
        folder: an existing folder.
        scenes: how many scenes, from `first_seed` upwards.
        clips: how many clips, from `first_seed` upwards.
        first_seed: a held-out seed.
    """
    for seed in range(first_seed, first_seed + scenes):
        scene = make_scene(seed)
        path = folder / f"scene-{seed}.png"
        with replace_file(path) as part:
            scene.image.save(part)
        yield from _generate_entries(path, scene.questions, "still")
    for seed in range(first_seed, first_seed + clips):
        clip = make_clip(seed)
        path = folder / f"clip-{seed}.png"
        first, *rest = clip.images
        with replace_file(path) as part:
            first.save(part, save_all=True, append_images=rest, duration=FRAME_MILLISECONDS)
        yield from _generate_entries(path, clip.questions, "clip")


def _generate_entries(path: Path, questions: tuple[Question, ...], about: str) -> Iterator[dict]:
    """Yield one document per question; `about`, "still" or "clip", becomes part of its kind."""
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
    """Parse the command line and write the task."""
    parser = argparse.ArgumentParser(
        prog="python -m world.exports.lmms_task", description=__doc__.split("\n\n")[1]
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--clips", type=int, default=25)
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    path = write_task(args.folder, NAME, generate_documents(args.folder, args.scenes, args.clips))
    print(f"Wrote {path}: run it with --include_path {args.folder} --tasks {NAME}")


if __name__ == "__main__":
    main()
