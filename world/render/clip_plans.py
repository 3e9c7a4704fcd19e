"""What happens in a clip: a few shapes over T frames; some move, appear, vanish or change their colour.

A shape moves by whole patches, so that in every frame it covers its patches as it does in a still, which is
what the vision tower was trained on. Shapes never touch, and no two of a clip have the same form.
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
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}  # patches a step: x, y
MIN_STEPS = 4  # of N_FRAMES - 1: a shape that moves moves clearly
EARLIEST_EVENT, LATEST_EVENT = (
    2,
    N_FRAMES - 2,
)  # frames in which something may appear, vanish or change its colour
MIN_FRAMES_APART = 2  # frames between two that appear late: "which comes first" must be clear


@dataclass(frozen=True)
class Actor:
    """One shape of a clip.

    Attributes:
        shape, radius, rotation: as in a scene; they stay.
        colors: [T], its colour in every frame.
        track: [T], its centre (x, y) in pixels.
        visible: [T], whether it is there; one unbroken stretch of frames.
        direction: "left", "right", "up", "down", or "" where it stands still.
        patches: [T], indices of the patches it holds; none where it is not there.
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
        """The frame in which it appears."""
        return self.visible.index(True)

    @property
    def changes_color(self) -> bool:
        return len(set(self.colors)) > 1

    def token_indices(self, frames: Sequence[int] = range(N_FRAMES)) -> list[int]:
        """Its visual tokens in these frames (default: all), as t * N + n."""
        return [t * N_PATCHES + p for t in frames for p in self.patches[t]]


@dataclass(frozen=True)
class ClipPlan:
    """What happens in a clip, without its pixels: all that questions and symbols need.

    Attributes:
        actors: 2 to 4.
        touched: bool [T, N], patches that some shape covers by more than MIN_TOUCH.
    """

    actors: tuple[Actor, ...]
    touched: np.ndarray = field(repr=False)

    def to_attributes(self) -> np.ndarray:
        """int64 [T, 6, 6]: every frame as a scene's row of SceneBank."""
        found = np.full((N_FRAMES, MAX_SHAPES, 6), -1)
        names = list(COLORS)
        for j, a in enumerate(self.actors):
            for t in np.flatnonzero(a.visible):
                found[t, j] = (names.index(a.colors[t]), SHAPES.index(a.shape), 0, *a.track[t], a.radius)
        return found

    def to_owner(self) -> np.ndarray:
        """int64 [T, N]: which actor holds the patch, -1 background, -2 neither clearly."""
        found = np.where(self.touched, -2, -1)
        for j, a in enumerate(self.actors):
            for t in range(N_FRAMES):
                found[t, list(a.patches[t])] = j
        return found


def plan_clip(seed: int) -> ClipPlan:
    """What happens in the clip of a seed."""
    if seed < 0:
        raise ValueError(f"seed={seed} is negative: clips are numbered from 0")
    rng = np.random.default_rng((seed, 2))
    movers = int(rng.integers(1, 3))
    others = int(rng.integers(1, 3 if movers == 2 else 4))
    while (placed := _place(rng, [True] * movers + [False] * others)) is None:
        pass  # too crowded: draw again
    roles = [str(rng.choice(("still", "late", "gone"), p=(0.3, 0.5, 0.2))) for _ in range(others)]
    seen = [(True,) * N_FRAMES] * movers + _presence(roles, rng)
    forms = rng.permutation(SHAPES)
    always = [i for i, s in enumerate(seen) if all(s)]
    changer = int(rng.choice(always)) if rng.random() < 0.6 else -1
    actors, touched = [], np.zeros((N_FRAMES, N_PATCHES), dtype=bool)
    for i, (track, radius, direction) in enumerate(placed):
        shape, rotation = str(forms[i]), int(rng.choice(ROTATIONS))
        color, other = (str(c) for c in rng.choice(list(COLORS), 2, replace=False))
        turn = int(rng.integers(EARLIEST_EVENT + 1, LATEST_EVENT)) if i == changer else N_FRAMES
        share = _cover(shape, radius, rotation, track)
        patches = tuple(
            tuple(np.flatnonzero(s >= MIN_COVER).tolist()) if there else ()
            for s, there in zip(share, seen[i], strict=True)
        )
        touched |= (share > MIN_TOUCH) & np.array(seen[i])[:, None]
        colors = (color,) * turn + (other,) * (N_FRAMES - turn)
        actors.append(Actor(shape, radius, rotation, colors, tuple(track), seen[i], direction, patches))
    order = rng.permutation(len(actors))
    return ClipPlan(tuple(actors[i] for i in order), touched)


def _presence(roles: list[str], rng: np.random.Generator) -> list[tuple[bool, ...]]:
    """In which frames each of the standing shapes is there; those that appear late do so well apart."""
    found, taken = [], []
    for role in roles:
        free = [
            t
            for t in range(EARLIEST_EVENT, LATEST_EVENT + 1)
            if all(abs(t - u) >= MIN_FRAMES_APART for u in taken)
        ]
        t = int(rng.choice(free)) if free else EARLIEST_EVENT
        if role == "late" and free:
            taken.append(t)
            found.append(tuple(u >= t for u in range(N_FRAMES)))
        elif role == "gone":
            found.append(tuple(u < t for u in range(N_FRAMES)))
        else:
            found.append((True,) * N_FRAMES)
    return found


Track = list[tuple[int, int]]


def _place(rng: np.random.Generator, moves: list[bool]) -> list[tuple[Track, int, str]] | None:
    """Tracks [T] of centres, radii and directions that never touch each other, or None if luck ran out."""
    placed: list[tuple[Track, int, str]] = []
    for moving in moves:
        for _ in range(40):
            radius = int(rng.choice(RADII)) + int(rng.integers(-1, 2))
            direction = str(rng.choice(list(DIRECTIONS))) if moving else ""
            steps = int(rng.integers(MIN_STEPS, N_FRAMES)) if moving else 0
            start = int(rng.integers(0, N_FRAMES - steps))
            dx, dy = DIRECTIONS.get(direction, (0, 0))
            low = math.ceil((radius - PATCH_SIZE / 2) / PATCH_SIZE)
            col, row = (
                int(rng.integers(low - min(0, d) * steps, GRID_SIZE - low - max(0, d) * steps))
                for d in (dx, dy)
            )
            jx, jy = (int(rng.integers(-JITTER, JITTER + 1)) for _ in range(2))
            gone = [min(max(t - start, 0), steps) for t in range(N_FRAMES)]
            track = [
                (
                    (col + dx * g) * PATCH_SIZE + PATCH_SIZE // 2 + jx,
                    (row + dy * g) * PATCH_SIZE + PATCH_SIZE // 2 + jy,
                )
                for g in gone
            ]
            if all(
                math.dist(p, q) > radius + r + 5
                for other, r, _ in placed
                for p, q in zip(track, other, strict=True)
            ):
                placed.append((track, radius, direction))
                break
        else:
            return None
    return placed


def _cover(shape: str, radius: int, rotation: int, track: Track) -> np.ndarray:
    """Share of each patch that the shape covers, [T, N]: that of the first frame, moved along."""
    (x, y), mask = track[0], shape_mask(shape, radius, rotation)
    half = mask.shape[0] // 2
    canvas = np.zeros((IMAGE_SIZE, IMAGE_SIZE), dtype=np.float32)
    y0, x0 = max(0, y - half), max(0, x - half)
    part = mask[y0 - y + half : IMAGE_SIZE - y + half, x0 - x + half : IMAGE_SIZE - x + half]
    canvas[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part
    grid = mean_per_patch(canvas).reshape(GRID_SIZE, GRID_SIZE)
    moved = [np.roll(grid, ((v - y) // PATCH_SIZE, (u - x) // PATCH_SIZE), (0, 1)) for u, v in track]
    return np.stack(moved).reshape(len(track), N_PATCHES)
