"""Decide what is trained when: which questions are asked, and which visual tokens are kept."""

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
    """Sample the texts of one page about a scene; there is always at least one.

    Args:
        scene: what to ask about.
        rng: the source of random numbers.
        share: the probability that the description of the scene comes first.
        count: how many questions to try; a scene may allow no question of a kind.
        kinds: kinds to sample from; a kind that stands more than once is sampled more often.
    """
    questions = [make_scene_question(scene, kinds[int(rng.integers(len(kinds)))], rng) for _ in range(count)]
    questions = [q for q in questions if q is not None]
    return [describe_scene(scene), *questions] if rng.random() < share or not questions else questions


def scene_curriculum(progress: float) -> tuple[float, int, tuple[str, ...]]:
    """Return the share of descriptions, the questions per page and their kinds, for stills.

    Look-ups come first, then a drill, then all kinds. The description gives a dense signal for the look-ups.
    A relation needs two look-ups and a comparison, so it gets a drill: in the one run that was made its
    accuracy stayed near 0.7 among all kinds and reached 0.99 in the drill. Nothing here was ablated.

    Args:
        progress: of the stage, [0, 1].
    """
    if progress < 0.25:
        return 0.9, 3, ("color", "shape", "digit")
    if progress < 0.4:
        return 0.3, 6, ("color", "shape", "digit", "position", "existence")
    if progress < 0.75:
        return 0.0, 7, ("relation",) * 12 + ("count",) * 4 + KINDS
    return 0.1, 7, KINDS + ("relation",) * 5 + ("count",) * 5 + ("position",) * 2


def drop_tokens(owner: Tensor, k: int, rng: np.random.Generator, keep_each: bool) -> Tensor:
    """Keep K random patches per image.

    Args:
        owner: int64 [B, N], the shape that holds each patch; negative for none.
        k: patches to keep.
        rng: the source of random numbers.
        keep_each: keep at least one patch of every shape, as far as K allows, so that no question is about
            something that cannot be seen.

    Returns:
        int64 [B, K], ascending patch indices.
    """
    # The K patches of highest priority [B, N] are kept; one random patch of every shape is lifted above the
    # rest.
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
    """Sample the texts of one page about a clip; there is always at least one.

    Args:
        plan: what happens in the clip.
        rng: the source of random numbers.
        share: the probability that the description of the clip comes first.
        count: how many questions to try; a clip may allow no question of a kind.
        kinds: kinds to sample from; a kind that stands more than once is sampled more often.
    """
    questions = [make_clip_question(plan, kinds[int(rng.integers(len(kinds)))], rng) for _ in range(count)]
    questions = [q for q in questions if q is not None]
    return [describe_clip(plan), *questions] if rng.random() < share or not questions else questions


def clip_curriculum(progress: float) -> tuple[float, int, tuple[str, ...]]:
    """Return the share of descriptions, the questions per page and their kinds, for clips.

    Descriptions, look-ups and the frame of an appearance come first; then a drill of what compares frames, a
    drill of what asks about a single frame, and all kinds.

    Args:
        progress: of the stage, [0, 1].
    """
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
    """Keep K random visual tokens per clip.

    Args:
        owner: int64 [B, T, 196], the shape that holds each patch of each frame; negative for none.
        k: tokens to keep.
        rng: the source of random numbers.
        keep_each: keep a patch of every shape in every frame, as far as K allows.
        even: keep K // T tokens of every frame, like a budget per frame; otherwise K tokens of all frames
            together.

    Returns:
        int64 [B, K], ascending, as t * 196 + n; with `even` K is rounded down to a multiple of T.
    """
    n, n_frames, _ = owner.shape
    frame = torch.arange(n_frames)[:, None]
    if even:
        kept = drop_tokens(owner.flatten(0, 1), k // n_frames, rng, keep_each)
        return (kept.view(n, n_frames, -1) + frame * N_PATCHES).flatten(1)
    by_frame = torch.where(owner >= 0, owner + MAX_SHAPES * frame, -1)
    return drop_tokens(by_frame.flatten(1), k, rng, keep_each)
