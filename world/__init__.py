"""The rendered world of the embedded model: scenes and clips, questions about them, training, evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from .render.clips import Clip, render_clip
from .render.scenes import Scene, render_scene
from .text.clip_questions import CLIP_KINDS, make_clip_question
from .text.scene_questions import KINDS, Question, make_scene_question

__all__ = [
    "CLIP_KINDS",
    "KINDS",
    "Clip",
    "ClipWithQuestions",
    "Question",
    "Scene",
    "SceneWithQuestions",
    "make_clip",
    "make_scene",
    "render_clip",
    "render_scene",
]


@dataclass(frozen=True)
class SceneWithQuestions:
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


@dataclass(frozen=True)
class ClipWithQuestions:
    """A clip with one question of every kind that it can answer.

    Attributes:
        clip: the rendered clip, with all that happens in it.
        questions: at most one per kind, in the order of CLIP_KINDS.
    """

    clip: Clip
    questions: tuple[Question, ...]

    @property
    def images(self) -> list[Image.Image]:
        """Its frames, in order."""
        return self.clip.images


def make_scene(seed: int) -> SceneWithQuestions:
    """The scene of a seed with its questions; deterministic. `seed` is a whole number >= 0."""
    if seed < 0:
        raise ValueError(f"seed={seed} is negative: scenes are numbered from 0")
    scene = render_scene(seed)
    rng = np.random.default_rng((seed, 1))
    asked = (make_scene_question(scene, kind, rng) for kind in KINDS)
    return SceneWithQuestions(scene, tuple(q for q in asked if q is not None))


def make_clip(seed: int) -> ClipWithQuestions:
    """The clip of a seed with its questions; deterministic. `seed` is a whole number >= 0."""
    clip = render_clip(seed)
    rng = np.random.default_rng((seed, 1))
    asked = (make_clip_question(clip.plan, kind, rng) for kind in CLIP_KINDS)
    return ClipWithQuestions(clip, tuple(q for q in asked if q is not None))
