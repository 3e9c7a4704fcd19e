"""Render clips: the frames of a clip plan, on one background."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from .clip_plans import N_FRAMES, ClipPlan, plan_clip
from .drawing import paint_background, paint_clutter, paste_shape, shape_mask
from .scenes import COLORS, IMAGE_SIZE


@dataclass(frozen=True)
class Clip:
    """Frames with their ground truth.

    Attributes:
        frames: uint8 [T, 224, 224, 3].
        plan: the ground truth.
        seed: the argument of render_clip.
    """

    frames: np.ndarray = field(repr=False)
    plan: ClipPlan
    seed: int

    @property
    def images(self) -> list[Image.Image]:
        """Return the frames in order, RGB."""
        return [Image.fromarray(frame) for frame in self.frames]


def render_clip(seed: int) -> Clip:
    """Render the clip of a seed; equal seeds give equal pixels.

    Args:
        seed: a whole number of at least 0.

    Raises:
        ValueError: the seed is negative.
    """
    plan = plan_clip(seed)
    rng = np.random.default_rng((seed, 3))
    background = paint_background(rng, IMAGE_SIZE)
    paint_clutter(background, rng)
    tints = [rng.normal(0, 7, 3) for _ in plan.actors]
    lights = [rng.uniform(0.05, 0.2) for _ in plan.actors]
    noise = rng.uniform(1, 7)
    frames = []
    for t in range(N_FRAMES):
        canvas = background.copy()
        for actor, tint, light in zip(plan.actors, tints, lights, strict=True):
            if actor.visible[t]:
                mask = shape_mask(actor.shape, actor.radius, actor.rotation)
                color = np.array(COLORS[actor.colors[t]]) + tint
                paste_shape(canvas, mask, color, *actor.track[t], light)
        grain = rng.normal(0, noise, canvas.shape)
        frames.append(np.clip(canvas + grain, 0, 255).astype(np.uint8))
    return Clip(np.stack(frames), plan, seed)
