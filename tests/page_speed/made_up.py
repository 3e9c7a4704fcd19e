"""Make the explorer's message for tokens of no model: random features, real picks, real evidence."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from PIL import Image

from app.state.options import WEIGHTS
from app.views import evidence, explorer
from rediprune import PruneConfig, alpha_from_weight
from rediprune.explainer.encode import MediaInput
from rediprune.selection.select import select
from rediprune.tokens import Geometry, VisionTokens

C = 64  # vision width: nothing in the browser depends on it
# By name: frames or tiles T, side of their grid, whether it is a clip, and in how many frames of 60 Hz the
# page is to follow.
SIZES = {
    "1 x 576": (1, 24, False, 1),
    "5 x 576 (anyres)": (5, 24, False, 2),
    "32 x 144 (clip)": (32, 12, True, 2),
}


@cache
def message(size: str, whole: bool) -> dict:
    """Make what the server sends for these tokens; `whole`: with all distances, however many they are."""
    t, side, clip, _ = SIZES[size]
    torch.manual_seed(0)
    frames = tuple(_picture(i) for i in range(t if clip else 1))
    shown = MediaInput(frames, clip=clip, seconds=tuple(i / 4 for i in range(t)) if clip else ())
    vision = VisionTokens(torch.randn(t, side * side, C), tuple(_place(i, t, side, clip) for i in range(t)))
    query = torch.randn(C)
    config = PruneConfig()
    orders = select(vision.features, query, config, [alpha_from_weight(w) for w in WEIGHTS])
    setting = {"picture": size, "method": "rediprune", "query": "prompt-tail", "weighted": True}
    setting |= {"budget": "frame", "model": 0, "seed": None, "clip": clip}
    relevance = np.asarray(orders.relevance, dtype=np.float32)
    sent = explorer.explorer_payload(
        shown, vision, orders, relevance, "Made-up tokens", "No model made them.", setting
    )
    return sent | ({"between": evidence.pack_distances(vision, "frame")} if whole else {})


def _picture(i: int) -> Image.Image:
    """Draw a smooth picture, another one for every i."""
    x, y = np.meshgrid(np.linspace(0, 1, 768), np.linspace(0, 1, 768))
    waves = np.stack([np.sin(5 * x + i), np.cos(4 * y - i), np.sin(3 * (x + y) + 2 * i)], axis=-1)
    return Image.fromarray((127 + 120 * waves).astype(np.uint8))


def _place(i: int, t: int, side: int, clip: bool) -> Geometry:
    """Place the tokens on all of the picture; with anyres, on the overview first and then on its quarters."""
    if clip or i == 0:
        return Geometry(side, side, (0, 0, 768, 768), (768, 768))
    left, top = 384 * ((i - 1) % 2), 384 * ((i - 1) // 2)
    return Geometry(side, side, (left, top, left + 384, top + 384), (768, 768))
