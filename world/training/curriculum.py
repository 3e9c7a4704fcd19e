"""What is taught when: which questions, and how many of the visual tokens are left to answer them from."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..render.clip_plans import ClipPlan
from ..render.scenes import MAX_SHAPES, N_PATCHES, Scene
from ..text.clip_questions import CLIP_KINDS, describe_clip, make_clip_question
from ..text.scene_questions import KINDS, Question, describe_scene, make_scene_question


def sample_questions(
    scene: Scene, rng: np.random.Generator, share: float, count: int, kinds: tuple[str, ...]
) -> list[Question]:
    """Up to `count` questions of random kinds; with probability `share` the description comes first."""
    asked = [make_scene_question(scene, kinds[int(rng.integers(len(kinds)))], rng) for _ in range(count)]
    asked = [q for q in asked if q is not None]  # a scene may have nothing to offer for a kind
    return [describe_scene(scene), *asked] if rng.random() < share or not asked else asked


def scene_curriculum(progress: float) -> tuple[float, int, tuple[str, ...]]:
    """(share of pages with the description, questions a page, their kinds): look-ups first,
    then a drill, then everything.

    The description is meant as the dense signal for the look-ups. A relation needs two look-ups and a
    comparison, which is why it gets a drill: in the one run that was made it stood near 0.7 among everything
    else and reached 0.99 in the drill. Nothing here was ablated.
    """
    if progress < 0.25:
        return 0.9, 3, ("color", "shape", "digit")
    if progress < 0.4:
        return 0.3, 6, ("color", "shape", "digit", "position", "existence")
    if progress < 0.75:
        return 0.0, 7, ("relation",) * 12 + ("count",) * 4 + KINDS
    return 0.1, 7, KINDS + ("relation",) * 5 + ("count",) * 5 + ("position",) * 2


def drop_tokens(owner: Tensor, k: int, rng: np.random.Generator, keep_each: bool) -> Tensor:
    """K random patches per image, sorted, [B, K].

    Args:
        owner: [B, N], which shape holds each patch, none below 0.
        keep_each: let every shape keep at least one of its patches (where K reaches), so that no question is
            about something that cannot be seen.
    """
    priority = torch.from_numpy(rng.random(owner.shape))
    if keep_each:
        for j in range(int(owner.max()) + 1):
            mine = torch.where(owner == j, priority, -1.0)
            best = mine.argmax(-1, keepdim=True)
            lift = (mine.gather(1, best) >= 0).double() * 2
            priority = priority.scatter_add(1, best, lift)
    return priority.topk(k, dim=-1).indices.sort(-1).values


def sample_clip_questions(
    plan: ClipPlan, rng: np.random.Generator, share: float, count: int, kinds: tuple[str, ...]
) -> list[Question]:
    """As sample_questions, of a clip."""
    asked = [make_clip_question(plan, kinds[int(rng.integers(len(kinds)))], rng) for _ in range(count)]
    asked = [q for q in asked if q is not None]
    return [describe_clip(plan), *asked] if rng.random() < share or not asked else asked


def clip_curriculum(progress: float) -> tuple[float, int, tuple[str, ...]]:
    """As curriculum: the description with look-ups, in which frame; then a drill of what compares frames and
    a drill of what asks for a single one, then everything."""
    if progress < 0.1:
        return 0.9, 3, ("color", "shape", "frame")
    if progress < 0.25:
        return 0.2, 6, ("frame", "frame", "change", "existence")
    if progress < 0.5:
        return 0.0, 7, ("direction",) * 5 + ("order",) * 5 + CLIP_KINDS
    if progress < 0.75:
        return 0.0, 7, ("change",) * 6 + ("existence",) * 6 + ("order",) * 3 + CLIP_KINDS
    return 0.1, 7, CLIP_KINDS + ("change",) * 4 + ("order",) * 2 + ("existence",) * 2


def drop_clip_tokens(owner: Tensor, k: int, rng: np.random.Generator, keep_each: bool, even: bool) -> Tensor:
    """K random tokens per clip as t * 196 + n, ascending, [B, K] (K is rounded down to even frames).

    Args:
        owner: [B, T, 196], who holds each patch of each frame.
        keep_each: let every shape keep a patch in every frame, where K reaches.
        even: every frame keeps K / T, as a budget per frame does; else K are drawn from all frames' tokens.
    """
    n, n_frames, _ = owner.shape
    frame = torch.arange(n_frames)[:, None]
    if even:
        kept = drop_tokens(owner.flatten(0, 1), k // n_frames, rng, keep_each)
        return (kept.view(n, n_frames, -1) + frame * N_PATCHES).flatten(1)
    by_frame = torch.where(owner >= 0, owner + MAX_SHAPES * frame, -1)
    return drop_tokens(by_frame.flatten(1), k, rng, keep_each)
