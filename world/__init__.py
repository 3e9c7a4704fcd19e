"""Render the world of the embedded model, ask about it, train the model in it and evaluate the model.

A scene is a still picture of coloured shapes; a clip is a sequence of frames in which some of them move or
change.
"""

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
    """A scene with a question of every kind that the scene can answer.

    Attributes:
        scene: the rendered scene, shapes included.
        questions: at most one per kind, in the order of KINDS.
    """

    scene: Scene
    questions: tuple[Question, ...]

    @property
    def image(self) -> Image.Image:
        """Return the picture, RGB."""
        return self.scene.image


@dataclass(frozen=True)
class ClipWithQuestions:
    """A clip with a question of every kind that the clip can answer.

    Attributes:
        clip: the rendered clip, its plan included.
        questions: at most one per kind, in the order of CLIP_KINDS.
    """

    clip: Clip
    questions: tuple[Question, ...]

    @property
    def images(self) -> list[Image.Image]:
        """Return the frames in order, RGB."""
        return self.clip.images


def make_scene(seed: int) -> SceneWithQuestions:
    """Render the scene of a seed, and ask about it; equal seeds give equal scenes and questions.

    Args:
        seed: a whole number of at least 0.

    Raises:
        ValueError: the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed={seed} is negative: scenes are numbered from 0")
    scene = render_scene(seed)
    rng = np.random.default_rng((seed, 1))
    questions = (make_scene_question(scene, kind, rng) for kind in KINDS)
    return SceneWithQuestions(scene, tuple(question for question in questions if question is not None))


def make_clip(seed: int) -> ClipWithQuestions:
    """Render the clip of a seed, and ask about it; equal seeds give equal clips and questions.

    Args:
        seed: a whole number of at least 0.

    Raises:
        ValueError: the seed is negative.
    """
    clip = render_clip(seed)
    rng = np.random.default_rng((seed, 1))
    questions = (make_clip_question(clip.plan, kind, rng) for kind in CLIP_KINDS)
    return ClipWithQuestions(clip, tuple(question for question in questions if question is not None))
