"""Plan clips: shapes over T frames, some of which move, appear, vanish or change their colour.

A shape moves by whole patches, so in every frame it covers patches as in a still, which is what the vision
tower was trained on. Shapes never touch, and no two shapes of a clip have equal forms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from .drawing import shape_mask
from .scenes import (
    COLORS,
    GRID_SIZE,
    IMAGE_SIZE,
    JITTER,
    MAX_SHAPES,
    MIN_COVER,
    MIN_TOUCH,
    N_PATCHES,
    PATCH_SIZE,
    RADII,
    ROTATIONS,
    SHAPES,
    mean_per_patch,
)

N_FRAMES = 8
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}  # patches per step: x, y
MIN_STEPS = 4  # of N_FRAMES - 1, so that every movement is clear
# Frames in which a shape may appear, vanish or change its colour.
EARLIEST_EVENT = 2
LATEST_EVENT = N_FRAMES - 2
MIN_FRAMES_APART = 2  # between two appearances, so that "which comes first" has a clear answer

Track = list[tuple[int, int]]  # the centre (x, y) in every frame, in pixels


@dataclass(frozen=True)
class Actor:
    """A shape of a clip and what it does.

    Attributes:
        shape: a name of scenes.SHAPES.
        radius: in pixels.
        rotation: in degrees.
        colors: [T], its colour in every frame.
        track: [T], its centre (x, y) in pixels.
        visible: [T], whether it is visible; one unbroken run of frames.
        direction: "left", "right", "up", "down", or "" if it stands still.
        patches: [T], indices of the patches that hold it; none in a frame without it.
    """

    shape: str
    radius: int
    rotation: int
    colors: tuple[str, ...]
    track: tuple[tuple[int, int], ...]
    visible: tuple[bool, ...]
    direction: str
    patches: tuple[tuple[int, ...], ...]

    @property
    def first_frame(self) -> int:
        """Return the first frame in which it is visible."""
        return self.visible.index(True)

    @property
    def changes_color(self) -> bool:
        """Return whether its colour changes."""
        return len(set(self.colors)) > 1

    def token_indices(self, frames: Sequence[int] = range(N_FRAMES)) -> list[int]:
        """Return the indices t * N + n of the visual tokens that hold it in the given frames."""
        return [t * N_PATCHES + p for t in frames for p in self.patches[t]]


@dataclass(frozen=True)
class ClipPlan:
    """What happens in a clip, without pixels: enough for questions and for training on symbols.

    Attributes:
        actors: the 2 to 4 shapes.
        touched: bool [T, N], patches that some shape covers by more than MIN_TOUCH.
    """

    actors: tuple[Actor, ...]
    touched: np.ndarray = field(repr=False)

    def to_attributes(self) -> np.ndarray:
        """Return the shapes of every frame in the layout of SceneStore.attributes, int64 [T, 6, 6]."""
        attributes = np.full((N_FRAMES, MAX_SHAPES, 6), -1)
        color_names = list(COLORS)
        for j, actor in enumerate(self.actors):
            shape = SHAPES.index(actor.shape)
            for t in np.flatnonzero(actor.visible):
                color = color_names.index(actor.colors[t])
                attributes[t, j] = (color, shape, 0, *actor.track[t], actor.radius)
        return attributes

    def to_owner(self) -> np.ndarray:
        """Return which actor holds each patch, int64 [T, N]; -1 is background, -2 is unclear."""
        owner = np.where(self.touched, -2, -1)
        for j, actor in enumerate(self.actors):
            for t in range(N_FRAMES):
                owner[t, list(actor.patches[t])] = j
        return owner


def plan_clip(seed: int) -> ClipPlan:
    """Plan the clip of a seed; equal seeds give equal plans.

    Args:
        seed: a whole number of at least 0.

    Raises:
        ValueError: the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"seed={seed} is negative: clips are numbered from 0")
    rng = np.random.default_rng((seed, 2))
    n_moving = int(rng.integers(1, 3))
    n_standing = int(rng.integers(1, 3 if n_moving == 2 else 4))
    paths = None
    while paths is None:  # None: the clip became too crowded
        paths = _place_shapes(rng, [True] * n_moving + [False] * n_standing)
    roles = [str(rng.choice(("still", "late", "gone"), p=(0.3, 0.5, 0.2))) for _ in range(n_standing)]
    visible = [(True,) * N_FRAMES] * n_moving + _plan_visibility(roles, rng)
    shapes = rng.permutation(SHAPES)
    always_visible = [i for i, frames in enumerate(visible) if all(frames)]
    color_changer = int(rng.choice(always_visible)) if rng.random() < 0.6 else -1
    actors = []
    touched = np.zeros((N_FRAMES, N_PATCHES), dtype=bool)
    for i, (track, radius, direction) in enumerate(paths):
        shape = str(shapes[i])
        rotation = int(rng.choice(ROTATIONS))
        color, other_color = (str(name) for name in rng.choice(list(COLORS), 2, replace=False))
        change = N_FRAMES  # the first frame in the other colour
        if i == color_changer:
            change = int(rng.integers(EARLIEST_EVENT + 1, LATEST_EVENT))
        share = _measure_cover(shape, radius, rotation, track)
        patches = tuple(
            tuple(np.flatnonzero(frame_share >= MIN_COVER).tolist()) if is_visible else ()
            for frame_share, is_visible in zip(share, visible[i], strict=True)
        )
        touched |= (share > MIN_TOUCH) & np.array(visible[i])[:, None]
        colors = (color,) * change + (other_color,) * (N_FRAMES - change)
        actors.append(Actor(shape, radius, rotation, colors, tuple(track), visible[i], direction, patches))
    order = rng.permutation(len(actors))
    return ClipPlan(tuple(actors[i] for i in order), touched)


def _plan_visibility(roles: list[str], rng: np.random.Generator) -> list[tuple[bool, ...]]:
    """Decide in which frames each standing shape is visible; late shapes appear well apart.

    Args:
        roles: of each shape "still", "late" (it appears) or "gone" (it vanishes). A shape for which no frame
            to appear in is left stays visible.
        rng: the source of random numbers.

    Returns:
        bool [T] for each shape.
    """
    visible = []
    appearances: list[int] = []
    for role in roles:
        free = [
            t
            for t in range(EARLIEST_EVENT, LATEST_EVENT + 1)
            if all(abs(t - other) >= MIN_FRAMES_APART for other in appearances)
        ]
        event = int(rng.choice(free)) if free else EARLIEST_EVENT
        if role == "late" and free:
            appearances.append(event)
            visible.append(tuple(t >= event for t in range(N_FRAMES)))
        elif role == "gone":
            visible.append(tuple(t < event for t in range(N_FRAMES)))
        else:
            visible.append((True,) * N_FRAMES)
    return visible


def _place_shapes(rng: np.random.Generator, moves: list[bool]) -> list[tuple[Track, int, str]] | None:
    """Draw tracks, radii and directions of shapes that never touch each other.

    Args:
        rng: the source of random numbers.
        moves: for each shape whether it moves.

    Returns:
        (centres [T] in pixels, radius in pixels, direction or "") of each shape; None if 40 attempts for one
        shape found no free place.
    """
    placed: list[tuple[Track, int, str]] = []
    for is_moving in moves:
        for _ in range(40):
            radius = int(rng.choice(RADII)) + int(rng.integers(-1, 2))
            direction = str(rng.choice(list(DIRECTIONS))) if is_moving else ""
            n_steps = int(rng.integers(MIN_STEPS, N_FRAMES)) if is_moving else 0
            start = int(rng.integers(0, N_FRAMES - n_steps))
            dx, dy = DIRECTIONS.get(direction, (0, 0))
            # The first patch, such that the shape lies inside the frame before and after its steps.
            low = math.ceil((radius - PATCH_SIZE / 2) / PATCH_SIZE)
            column, row = (
                int(rng.integers(low - min(0, d) * n_steps, GRID_SIZE - low - max(0, d) * n_steps))
                for d in (dx, dy)
            )
            jitter_x, jitter_y = (int(rng.integers(-JITTER, JITTER + 1)) for _ in range(2))
            steps_done = [min(max(t - start, 0), n_steps) for t in range(N_FRAMES)]
            track = [
                (
                    (column + dx * steps) * PATCH_SIZE + PATCH_SIZE // 2 + jitter_x,
                    (row + dy * steps) * PATCH_SIZE + PATCH_SIZE // 2 + jitter_y,
                )
                for steps in steps_done
            ]
            if all(
                math.dist(center, other_center) > radius + other_radius + 5
                for other_track, other_radius, _ in placed
                for center, other_center in zip(track, other_track, strict=True)
            ):
                placed.append((track, radius, direction))
                break
        else:
            return None
    return placed


def _measure_cover(shape: str, radius: int, rotation: int, track: Track) -> np.ndarray:
    """Return the share of each patch that the shape covers in every frame, [T, N].

    The shape moves by whole patches, so the cover of the first frame is computed and then shifted.
    """
    x, y = track[0]
    mask = shape_mask(shape, radius, rotation)
    half = mask.shape[0] // 2
    # The mask on a canvas of the frame's size, cut at the edges.
    canvas = np.zeros((IMAGE_SIZE, IMAGE_SIZE), dtype=np.float32)
    top = max(0, y - half)
    left = max(0, x - half)
    part = mask[top - y + half : IMAGE_SIZE - y + half, left - x + half : IMAGE_SIZE - x + half]
    canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
    cover = mean_per_patch(canvas).reshape(GRID_SIZE, GRID_SIZE)
    shifted = [np.roll(cover, ((v - y) // PATCH_SIZE, (u - x) // PATCH_SIZE), (0, 1)) for u, v in track]
    return np.stack(shifted).reshape(len(track), N_PATCHES)
