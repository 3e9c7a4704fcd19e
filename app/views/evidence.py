"""Why every token was picked, and how far all lie from each other, as the browser reads it. No Gradio.

Nothing is rounded: what the browser works out of these float32 numbers is what the library has.
"""

from __future__ import annotations

import base64

import numpy as np
import torch

from rediprune.selection.greedy import distances
from rediprune.tokens import VisionTokens
from rediprune.trace import Selection

SENT = 200_000  # so many distances go with the picture: one frame of 576 tokens, or 8 of 196
MOST = 2**22  # so many are sent when the browser asks for them: 16 MiB


def packed(array: np.ndarray, kind: str) -> str:
    """base64 of an array as `kind` ("<f4", "<u2", ...): Gradio compares nested values number by number."""
    return base64.b64encode(np.ascontiguousarray(array, dtype=kind).tobytes()).decode("ascii")


def of_picks(selection: Selection) -> dict:
    """Selection.distance and .score, packed float32 [W, G, M] by pick.

    [1, G, M] where no weight plays a part, "" where the method measures none.
    """
    rows = None if selection.config.method == "rediprune" else 1
    return {
        f"pick_{name}": "" if (x := getattr(selection, name)) is None else packed(x[:rows].numpy(), "<f4")
        for name in ("distance", "score")
    }


def pairs(vision: VisionTokens, budget: str) -> int:
    """How many distances there are between tokens that compete for one budget."""
    frames, n = vision.shape
    groups, size = (1, frames * n) if budget == "shared" else (frames, n)
    return groups * size * (size - 1) // 2


@torch.no_grad()
def between(vision: VisionTokens, budget: str) -> str:
    """Cosine distances of the tokens before the projector, packed float32 [G, M * (M - 1) / 2].

    Of every group the triangle above the diagonal, row by row: (0, 1), (0, 2), ..., (1, 2), ... What belongs
    to a token that is not present means nothing.
    """
    tokens = vision.features.flatten(0, 1)[None] if budget == "shared" else vision.features
    found = distances(tokens).cpu()
    i, j = torch.triu_indices(*found.shape[1:], offset=1)
    return packed(found[:, i, j].numpy(), "<f4")
