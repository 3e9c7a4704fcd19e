"""Pack for the browser why every token was picked, and how far the tokens lie from each other.

Nothing is rounded: what the browser computes from these float32 numbers is what the library has.
"""

from __future__ import annotations

import base64

import numpy as np
import torch

from rediprune.selection.greedy import distances
from rediprune.tokens import VisionTokens
from rediprune.trace import Selection

from ..state.app_state import AppState, PageRun
from ..state.sources import load_frames

MOST_SENT = 200_000  # distances that go with the picture: one frame of 576 tokens, or 8 frames of 196
MOST_REQUESTED = 2**22  # distances that are sent when the browser asks for them: 16 MiB


def distances_payload(state: AppState, run: PageRun) -> dict:
    """Return the distances that the explorer asks for when a view needs them, and what they belong to.

    Raises:
        ValueError: too many tokens compete, or the picture is another model's.
        ModelError: no model is open at this moment.
    """
    media, _ = load_frames(run.source)
    with state.borrow_explainer_of(run) as explainer:
        encoding = explainer.look(media)
    count = count_pairs(encoding.vision, run.budget)
    if count > MOST_REQUESTED:
        raise ValueError(f"{count:,} distances are too many for a browser: give each frame its own budget.")
    return {
        "picture": encoding.key,
        "budget": run.budget,
        "between": pack_distances(encoding.vision, run.budget),
    }


def pack_array(array: np.ndarray, kind: str) -> str:
    """Return the base64 text of an array as `kind` ("<f4", "<u2", ...).

    A text, because Gradio compares nested values number by number.
    """
    return base64.b64encode(np.ascontiguousarray(array, dtype=kind).tobytes()).decode("ascii")


def pack_pick_evidence(selection: Selection) -> dict:
    """Return Selection.distance and .score under "pick_distance" and "pick_score", float32 [W, G, M] by pick.

    [1, G, M] if the method does not use the weight, "" if it measures no such number.
    """
    rows = None if selection.config.method == "rediprune" else 1
    packed = {}
    for name in ("distance", "score"):
        values = getattr(selection, name)
        packed[f"pick_{name}"] = "" if values is None else pack_array(values[:rows].numpy(), "<f4")
    return packed


def count_pairs(vision: VisionTokens, budget: str) -> int:
    """Count the distances between tokens that compete for one budget."""
    frames, n = vision.shape
    groups, size = (1, frames * n) if budget == "shared" else (frames, n)
    return groups * size * (size - 1) // 2


@torch.no_grad()
def pack_distances(vision: VisionTokens, budget: str) -> str:
    """Return the cosine distances of the tokens before the projector, packed float32 [G, M * (M - 1) / 2].

    Each group gives the triangle above the diagonal, row by row: (0, 1), (0, 2), ..., (1, 2), ... Values of a
    token that is not present have no meaning.
    """
    tokens = vision.features.flatten(0, 1)[None] if budget == "shared" else vision.features
    found = distances(tokens).cpu()  # [G, M, M]
    i, j = torch.triu_indices(*found.shape[1:], offset=1)
    return pack_array(found[:, i, j].numpy(), "<f4")  # [G, M * (M - 1) / 2]
