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
    COVER,
    GRID,
    JITTER,
    MAX_SHAPES,
    N_PATCHES,
    PATCH,
    RADII,
    ROTATIONS,
    SHAPES,
    SIZE,
    TOUCH,
    per_patch,
)

FRAMES = 8
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}  # patches a step: x, y
MIN_STEPS = 4  # of FRAMES - 1: a shape that moves moves clearly
EARLIEST, LATEST = 2, FRAMES - 2  # frames in which something may appear, vanish or change its colour
APART = 2  # frames between two that appear late: "which comes first" must be clear


@dataclass(frozen=True)
class Actor:
    """One shape of a clip.

    Attributes:
        shape, radius, rotation: as in a scene; they stay.
        colors: [T], its colour in every frame.
        track: [T], its centre (x, y) in pixels.
        seen: [T], whether it is there; one unbroken stretch of frames.
        direction: "left", "right", "up", "down", or "" where it stands still.
        patches: [T], indices of the patches it holds; none where it is not there.
    """

    shape: str
    radius: int
    rotation: int
    colors: tuple[str, ...]
    track: tuple[tuple[int, int], ...]
    seen: tuple[bool, ...]
    direction: str
    patches: tuple[tuple[int, ...], ...]

    @property
    def first(self) -> int:
        """The frame in which it appears."""
        return self.seen.index(True)

    @property
    def changes(self) -> bool:
        return len(set(self.colors)) > 1

    def where(self, frames: Sequence[int] = range(FRAMES)) -> list[int]:
        """Its visual tokens in these frames (default: all), as t * N + n."""
        return [t * N_PATCHES + p for t in frames for p in self.patches[t]]


@dataclass(frozen=True)
class Plan:
    """What happens in a clip, without its pixels: all that questions and symbols need.

    Attributes:
        actors: 2 to 4.
        touched: bool [T, N], patches that some shape covers by more than TOUCH.
    """

    actors: tuple[Actor, ...]
    touched: np.ndarray = field(repr=False)

    def attributes(self) -> np.ndarray:
        """int64 [T, 6, 6]: every frame as a scene's row of SceneBank."""
        found = np.full((FRAMES, MAX_SHAPES, 6), -1)
        names = list(COLORS)
        for j, a in enumerate(self.actors):
            for t in np.flatnonzero(a.seen):
                found[t, j] = (names.index(a.colors[t]), SHAPES.index(a.shape), 0, *a.track[t], a.radius)
        return found

    def owner(self) -> np.ndarray:
        """int64 [T, N]: which actor holds the patch, -1 background, -2 neither clearly."""
        found = np.where(self.touched, -2, -1)
        for j, a in enumerate(self.actors):
            for t in range(FRAMES):
                found[t, list(a.patches[t])] = j
        return found


def plan_clip(seed: int) -> Plan:
    """What happens in the clip of a seed."""
    if seed < 0:
        raise ValueError(f"seed={seed} is negative: clips are numbered from 0")
    rng = np.random.default_rng((seed, 2))
    movers = int(rng.integers(1, 3))
    others = int(rng.integers(1, 3 if movers == 2 else 4))
    while (placed := _place(rng, [True] * movers + [False] * others)) is None:
        pass  # too crowded: draw again
    roles = [str(rng.choice(("still", "late", "gone"), p=(0.3, 0.5, 0.2))) for _ in range(others)]
    seen = [(True,) * FRAMES] * movers + _presence(roles, rng)
    forms = rng.permutation(SHAPES)
    always = [i for i, s in enumerate(seen) if all(s)]
    changer = int(rng.choice(always)) if rng.random() < 0.6 else -1
    actors, touched = [], np.zeros((FRAMES, N_PATCHES), dtype=bool)
    for i, (track, radius, direction) in enumerate(placed):
        shape, rotation = str(forms[i]), int(rng.choice(ROTATIONS))
        color, other = (str(c) for c in rng.choice(list(COLORS), 2, replace=False))
        turn = int(rng.integers(EARLIEST + 1, LATEST)) if i == changer else FRAMES
        share = _cover(shape, radius, rotation, track)
        patches = tuple(
            tuple(np.flatnonzero(s >= COVER).tolist()) if there else ()
            for s, there in zip(share, seen[i], strict=True)
        )
        touched |= (share > TOUCH) & np.array(seen[i])[:, None]
        colors = (color,) * turn + (other,) * (FRAMES - turn)
        actors.append(Actor(shape, radius, rotation, colors, tuple(track), seen[i], direction, patches))
    order = rng.permutation(len(actors))
    return Plan(tuple(actors[i] for i in order), touched)


def _presence(roles: list[str], rng: np.random.Generator) -> list[tuple[bool, ...]]:
    """In which frames each of the standing shapes is there; those that appear late do so well apart."""
    found, taken = [], []
    for role in roles:
        free = [t for t in range(EARLIEST, LATEST + 1) if all(abs(t - u) >= APART for u in taken)]
        t = int(rng.choice(free)) if free else EARLIEST
        if role == "late" and free:
            taken.append(t)
            found.append(tuple(u >= t for u in range(FRAMES)))
        elif role == "gone":
            found.append(tuple(u < t for u in range(FRAMES)))
        else:
            found.append((True,) * FRAMES)
    return found


Track = list[tuple[int, int]]


def _place(rng: np.random.Generator, moves: list[bool]) -> list[tuple[Track, int, str]] | None:
    """Tracks [T] of centres, radii and directions that never touch each other, or None if luck ran out."""
    placed: list[tuple[Track, int, str]] = []
    for moving in moves:
        for _ in range(40):
            radius = int(rng.choice(RADII)) + int(rng.integers(-1, 2))
            direction = str(rng.choice(list(DIRECTIONS))) if moving else ""
            steps = int(rng.integers(MIN_STEPS, FRAMES)) if moving else 0
            start = int(rng.integers(0, FRAMES - steps))
            dx, dy = DIRECTIONS.get(direction, (0, 0))
            low = math.ceil((radius - PATCH / 2) / PATCH)
            col, row = (
                int(rng.integers(low - min(0, d) * steps, GRID - low - max(0, d) * steps)) for d in (dx, dy)
            )
            jx, jy = (int(rng.integers(-JITTER, JITTER + 1)) for _ in range(2))
            gone = [min(max(t - start, 0), steps) for t in range(FRAMES)]
            track = [
                ((col + dx * g) * PATCH + PATCH // 2 + jx, (row + dy * g) * PATCH + PATCH // 2 + jy)
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
    canvas = np.zeros((SIZE, SIZE), dtype=np.float32)
    y0, x0 = max(0, y - half), max(0, x - half)
    part = mask[y0 - y + half : SIZE - y + half, x0 - x + half : SIZE - x + half]
    canvas[y0 : y0 + part.shape[0], x0 : x0 + part.shape[1]] = part
    grid = per_patch(canvas).reshape(GRID, GRID)
    moved = [np.roll(grid, ((v - y) // PATCH, (u - x) // PATCH), (0, 1)) for u, v in track]
    return np.stack(moved).reshape(len(track), N_PATCHES)
