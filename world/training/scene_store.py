"""A bank of rendered scenes on disk: rendered once, read by every training stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ..render.scenes import (
    COLORS,
    DIGITS,
    IMAGE_SIZE,
    MAX_SHAPES,
    N_PATCHES,
    SHAPES,
    Scene,
    Shape,
    render_scene,
)

# Seeds below this are held out: example scenes, tests and evaluation draw from them, no weight is trained on
# them. (The tokenizer counts the words of the questions about seeds 0 to 399.)
FIRST_TRAINING_SEED = 1_000_000
_COLOR_NAMES = tuple(COLORS)
PIXEL_MEAN = (0.5, 0.5, 0.5)  # how pixels are normalised, a value per channel
PIXEL_STD = (0.25, 0.25, 0.25)


class SceneStore:
    """`size` scenes with their ground truth as memory-mapped arrays.

    Attributes:
        pixels: uint8 [size, 224, 224, 3].
        attributes: int16 [size, 6, 6]: colour, shape, digit (0 none, 1 + value), x, y, radius; -1 where no
            shape.
        owner: int8 [size, 196]: index of the shape that holds the patch, -1 background, -2 neither clearly.
        ready: how many scenes are filled so far; only those may be read.

    Raises:
        ValueError: the folder holds a bank of another size.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder, self.size = folder, size
        folder.mkdir(parents=True, exist_ok=True)
        self.pixels = self._map("pixels", np.uint8, (size, IMAGE_SIZE, IMAGE_SIZE, 3))
        self.attributes = self._map("attributes", np.int16, (size, MAX_SHAPES, 6))
        self.owner = self._map("owner", np.int8, (size, N_PATCHES))
        self._ready = self._map("ready", np.int64, (1,))

    def _map(self, name: str, dtype, shape: tuple[int, ...]) -> np.ndarray:
        path = self.folder / f"{name}.npy"
        if not path.exists():
            return np.lib.format.open_memmap(path, "w+", dtype, shape)
        found = np.lib.format.open_memmap(path, "r+")
        if found.shape != shape:
            raise ValueError(
                f"{path} holds {found.shape}, not {shape}: remove {self.folder} or ask for its size"
            )
        return found

    @property
    def ready(self) -> int:
        return int(self._ready[0])

    def fill(self) -> None:
        """Render what is missing, in seed order; resumes where an earlier run stopped."""
        missing = range(self.ready, self.size)
        for i in tqdm(
            missing, "scenes", initial=self.ready, total=self.size, mininterval=10, disable=not missing
        ):
            self.write(i, render_scene(FIRST_TRAINING_SEED + i))
            self._ready[0] = i + 1

    def write(self, i: int, scene: Scene) -> None:
        """Store a scene at place i; it may be read once `ready` has passed it."""
        self.pixels[i] = scene.pixels
        self.owner[i] = np.where(scene.touched, -2, -1)
        self.attributes[i] = -1
        for j, s in enumerate(scene.shapes):
            digit = DIGITS.index(s.digit) + 1 if s.digit else 0
            self.attributes[i, j] = (
                _COLOR_NAMES.index(s.color),
                SHAPES.index(s.shape),
                digit,
                s.x,
                s.y,
                s.radius,
            )
            self.owner[i, list(s.patches)] = j

    def scene(self, i: int) -> Scene:
        """Scene i < ready, rebuilt from the arrays; a patch that two shapes hold is the later one's only."""
        shapes = []
        for j, (color, shape, digit, x, y, radius) in enumerate(self.attributes[i].tolist()):
            if color < 0:
                break
            patches = tuple(np.flatnonzero(self.owner[i] == j).tolist())
            glyph = DIGITS[digit - 1] if digit else ""
            shapes.append(Shape(_COLOR_NAMES[color], SHAPES[shape], glyph, x, y, radius, patches))
        return Scene(self.pixels[i], tuple(shapes), self.owner[i] != -1, FIRST_TRAINING_SEED + i)


@dataclass(frozen=True)
class SceneBatch:
    """Some scenes of a bank.

    Attributes:
        pixels: float32 [B, 3, 224, 224], as the exported processor normalises them.
        attributes, owner: int64 [B, 6, 6] and [B, 196] as in SceneStore.
        scenes: the Scene of each.
    """

    pixels: Tensor
    attributes: Tensor
    owner: Tensor
    scenes: tuple[Scene, ...]

    @classmethod
    def load(cls, bank: SceneStore, index: np.ndarray) -> SceneBatch:
        return cls(
            normalise_pixels(bank.pixels[index]),
            torch.from_numpy(bank.attributes[index].astype(np.int64)),
            torch.from_numpy(bank.owner[index].astype(np.int64)),
            tuple(bank.scene(int(i)) for i in index),
        )

    def attributes_per_patch(self) -> Tensor:
        """Attributes of the shape that holds each patch, [B, 196, 6]; -1 on background."""
        found = self.attributes.gather(1, self.owner.clamp(min=0)[..., None].expand(-1, -1, 6))
        return torch.where(self.owner[..., None] >= 0, found, -1)

    def match_phrases(self, wanted: Tensor) -> Tensor:
        """Which patches each phrase names, float [B, 196, M]; `wanted` as from sample_phrases."""
        have = self.attributes_per_patch()[:, :, None, None, :3]
        match = ((wanted == have) | (wanted == -1)).all(-1).any(-1)
        return (match & (self.owner >= 0)[..., None]).float()


def normalise_pixels(pixels: np.ndarray) -> Tensor:
    """uint8 [B, 224, 224, 3] -> float32 [B, 3, 224, 224], as the exported processor does it."""
    found = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return (
        (found - torch.tensor(PIXEL_MEAN).view(3, 1, 1)) / torch.tensor(PIXEL_STD).view(3, 1, 1)
    ).contiguous()
