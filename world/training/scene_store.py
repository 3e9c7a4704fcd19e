"""Store rendered scenes on disk, so that they are rendered once and read by every training stage."""

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

# Seeds below this one are held out: examples, tests and evaluation use them, and no weight is trained on
# them. Only the tokenizer counts the words of the questions about seeds 0 to 399.
FIRST_TRAINING_SEED = 1_000_000
_COLOR_NAMES = tuple(COLORS)
# Pixels in [0, 1] are normalised with a mean and a standard deviation per channel.
PIXEL_MEAN = (0.5, 0.5, 0.5)
PIXEL_STD = (0.25, 0.25, 0.25)


class SceneStore:
    """Keep scenes with their ground truth as memory-mapped arrays.

    Args:
        folder: created if it does not exist.
        size: how many scenes.

    Attributes:
        pixels: uint8 [size, 224, 224, 3].
        attributes: int16 [size, 6, 6], for each shape the indices of its colour and form, its digit (1 +
            value, 0 for none), x, y and radius in pixels; -1 if there is no such shape.
        owner: int8 [size, 196], the index of the shape that holds each patch; -1 for background, -2 for
            neither clearly background nor clearly a shape.

    Raises:
        ValueError: the folder holds a store of another size.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self.size = size
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
        """Return how many scenes are rendered; only those may be read."""
        return int(self._ready[0])

    def fill(self) -> None:
        """Render the missing scenes in the order of their seeds, from where an earlier run stopped."""
        missing = range(self.ready, self.size)
        for i in tqdm(
            missing, "scenes", initial=self.ready, total=self.size, mininterval=10, disable=not missing
        ):
            self.write(i, render_scene(FIRST_TRAINING_SEED + i))
            self._ready[0] = i + 1

    def write(self, i: int, scene: Scene) -> None:
        """Store a scene at index i; it may be read once `ready` is greater than i."""
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
        """Rebuild scene i < ready from the arrays.

        Of two shapes that hold one patch, only the later one keeps it.
        """
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
    """A batch of B scenes of a store.

    Attributes:
        pixels: float32 [B, 3, 224, 224], normalised as by the exported processor.
        attributes: int64 [B, 6, 6], as in SceneStore.
        owner: int64 [B, 196], as in SceneStore.
        scenes: the rebuilt scenes.
    """

    pixels: Tensor
    attributes: Tensor
    owner: Tensor
    scenes: tuple[Scene, ...]

    @classmethod
    def load(cls, store: SceneStore, index: np.ndarray) -> SceneBatch:
        """Load the scenes with the given indices, int [B], from a store."""
        return cls(
            normalise_pixels(store.pixels[index]),
            torch.from_numpy(store.attributes[index].astype(np.int64)),
            torch.from_numpy(store.owner[index].astype(np.int64)),
            tuple(store.scene(int(i)) for i in index),
        )

    def attributes_per_patch(self) -> Tensor:
        """Return the attributes of the shape that holds each patch, int64 [B, 196, 6]; -1 where none does."""
        found = self.attributes.gather(1, self.owner.clamp(min=0)[..., None].expand(-1, -1, 6))
        return torch.where(self.owner[..., None] >= 0, found, -1)

    def match_phrases(self, wanted: Tensor) -> Tensor:
        """Return which patches each phrase names: float [B, 196, M], 1 if it does and 0 if not.

        Args:
            wanted: int64 [M, 2, 3], from sample_phrases.
        """
        have = self.attributes_per_patch()[:, :, None, None, :3]
        match = ((wanted == have) | (wanted == -1)).all(-1).any(-1)
        return (match & (self.owner >= 0)[..., None]).float()


def normalise_pixels(pixels: np.ndarray) -> Tensor:
    """Normalise uint8 [B, 224, 224, 3] to float32 [B, 3, 224, 224] as the exported processor does."""
    found = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    return (
        (found - torch.tensor(PIXEL_MEAN).view(3, 1, 1)) / torch.tensor(PIXEL_STD).view(3, 1, 1)
    ).contiguous()
