"""The rendered world of the embedded model: scenes with ground truth, questions, training, evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from .questions import KINDS, Question, ask
from .scenes import Scene, render_scene

__all__ = ["KINDS", "AskedScene", "Question", "Scene", "make_scene", "render_scene"]


@dataclass(frozen=True)
class AskedScene:
    """A scene with one question of every kind that it can answer.

    Attributes:
        scene: the rendered scene, shapes included.
        questions: at most one per kind, in the order of KINDS.
    """

    scene: Scene
    questions: tuple[Question, ...]

    @property
    def image(self) -> Image.Image:
        return self.scene.image


def make_scene(seed: int) -> AskedScene:
    """The scene of a seed with its questions; deterministic. `seed` is a whole number >= 0."""
    if seed < 0:
        raise ValueError(f"seed={seed} is negative: scenes are numbered from 0")
    scene = render_scene(seed)
    rng = np.random.default_rng((seed, 1))
    asked = (ask(scene, kind, rng) for kind in KINDS)
    return AskedScene(scene, tuple(q for q in asked if q is not None))
