"""Clips: the plan of a seed, drawn on one quiet background."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from .clip_plans import N_FRAMES, ClipPlan, plan_clip
from .drawing import background, clutter, paste, shape_mask
from .scenes import COLORS, IMAGE_SIZE


@dataclass(frozen=True)
class Clip:
    """T frames and what happens in them.

    Attributes:
        frames: uint8 [T, 224, 224, 3].
        plan: the ground truth.
        seed: what `render_clip` was given.
    """

    frames: np.ndarray = field(repr=False)
    plan: ClipPlan
    seed: int

    @property
    def images(self) -> list[Image.Image]:
        return [Image.fromarray(frame) for frame in self.frames]


def render_clip(seed: int) -> Clip:
    """Draw the clip of a seed (a whole number >= 0); the same seed gives the same pixels."""
    plan, rng = plan_clip(seed), np.random.default_rng((seed, 3))
    stage = background(rng, IMAGE_SIZE)
    clutter(stage, rng)
    tints = [rng.normal(0, 7, 3) for _ in plan.actors]
    lights = [rng.uniform(0.05, 0.2) for _ in plan.actors]
    noise, frames = rng.uniform(1, 7), []
    for t in range(N_FRAMES):
        canvas = stage.copy()
        for actor, tint, light in zip(plan.actors, tints, lights, strict=True):
            if actor.visible[t]:
                mask = shape_mask(actor.shape, actor.radius, actor.rotation)
                paste(canvas, mask, np.array(COLORS[actor.colors[t]]) + tint, *actor.track[t], light)
        grain = rng.normal(0, noise, canvas.shape)
        frames.append(np.clip(canvas + grain, 0, 255).astype(np.uint8))
    return Clip(np.stack(frames), plan, seed)
