"""`python -m world.exports.known_objects`: the pictures with named objects that `rediprune check` reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rediprune.files.atomic_write import replace_file, write_text

from ..render.scenes import Scene, render_scene

FOLDER = Path(__file__).parents[2] / "assets" / "known"
SEEDS = range(300, 308)  # below the training seeds, beside those of the page's examples


def objects(scene: Scene) -> Iterator[dict]:
    """Every shape whose name no other shape of the scene has, with the square that holds it, in pixels."""
    names = Counter(shape.name for shape in scene.shapes)
    for s in scene.shapes:
        if names[s.name] == 1:
            yield {"name": s.name, "box": [s.x - s.radius, s.y - s.radius, s.x + s.radius, s.y + s.radius]}


def write(folder: Path) -> None:
    """Render the pictures and list what is in them."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for seed in SEEDS:
        scene, name = render_scene(seed), f"scene-{seed}.png"
        with replace_file(folder / name) as part:
            scene.image.save(part)
        listed.append({"image": name, "objects": list(objects(scene))})
    write_text(folder / "objects.json", json.dumps(listed, indent=1) + "\n")


if __name__ == "__main__":
    write(FOLDER)
