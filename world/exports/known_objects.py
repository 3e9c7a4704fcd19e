"""Write the pictures with named objects that `rediprune check` reads.

Run `python -m world.exports.known_objects` to write them anew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rediprune.files.atomic_write import replace_file, write_text

from ..render.scenes import Scene, render_scene

FOLDER = Path(__file__).parents[2] / "assets" / "known"
SEEDS = range(300, 308)  # held out from training, and not used by the examples of the page


def find_unique_objects(scene: Scene) -> Iterator[dict]:
    """Yield the name and the bounding box of every shape whose name is unique in the scene.

    The box is (left, top, right, bottom) in pixels.
    """
    names = Counter(shape.name for shape in scene.shapes)
    for shape in scene.shapes:
        if names[shape.name] == 1:
            box = [
                shape.x - shape.radius,
                shape.y - shape.radius,
                shape.x + shape.radius,
                shape.y + shape.radius,
            ]
            yield {"name": shape.name, "box": box}


def write_known_objects(folder: Path) -> None:
    """Render the pictures into the folder and list their objects in objects.json."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for seed in SEEDS:
        scene = render_scene(seed)
        name = f"scene-{seed}.png"
        with replace_file(folder / name) as part:
            scene.image.save(part)
        entries.append({"image": name, "objects": list(find_unique_objects(scene))})
    write_text(folder / "objects.json", json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    write_known_objects(FOLDER)
