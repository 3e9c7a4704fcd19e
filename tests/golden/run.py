"""Make a still and a clip from formulas: no weights, no random numbers, no picking."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw

from app.state.options import WEIGHTS
from app.views import explorer
from rediprune import PruneConfig
from rediprune.explainer.encode import MediaInput
from rediprune.tokens import Geometry, VisionTokens
from rediprune.trace import Selection

# Grids so fine that no pick number fits on a patch: how text looks differs between machines.
STILL = Geometry(15, 22, (15.0, 0.0, 235.0, 150.0), (250, 150))  # the sides are cropped away
FRAME = Geometry(18, 18, (0.0, 0.0, 252.0, 252.0), (252, 252), n_global=1)
FRAMES = 3


def still() -> dict:
    """Make a wide picture of which the model sees the middle."""
    return _message([_scene(0, STILL.image_size)], STILL, None, ())


def clip() -> dict:
    """Make square frames with one global token each; the last three rows of the second hold no tokens."""
    present = torch.ones(FRAMES, FRAME.cells + 1, dtype=torch.bool)
    present[1, 15 * 18 : FRAME.cells] = False
    frames = [_scene(t, FRAME.image_size) for t in range(FRAMES)]
    return _message(frames, FRAME, present, (0.0, 0.5, 1.0))


def _scene(t: int, size: tuple[int, int]) -> Image.Image:
    """Draw four plain grounds and three shapes that move with t; small enough to be sent without loss."""
    width, height = size
    step = 14 * t
    made = Image.new("RGB", size, "#8096b4")
    pen = ImageDraw.Draw(made)
    pen.rectangle((width // 2, 0, width, height // 2), fill="#b09a78")
    pen.rectangle((0, height // 2, width // 2, height), fill="#7aa08c")
    pen.rectangle((width // 2, height // 2, width, height), fill="#a88aa8")
    pen.ellipse((width // 2 - 40 + step, 20, width // 2 + 20 + step, 80), fill="#d62728")
    pen.rectangle((40, height - 60 - step, 90, height - 20 - step), fill="#2ca02c")
    pen.polygon(
        [(width - 40, height - 15), (width - 90, height - 15), (width - 65, height - 75)], fill="#ffd92f"
    )
    return made


def _message(
    frames: list[Image.Image], place: Geometry, present: torch.Tensor | None, seconds: tuple[float, ...]
) -> dict:
    t, n = len(frames), place.cells + place.n_global
    at = torch.arange(t * n, dtype=torch.float32).view(t, n)
    row, column = (at % n) // place.cols, (at % n) % place.cols
    # Features [T, N, 6] that turn smoothly with row, column and frame.
    angle = torch.stack([row / place.rows, column / place.cols, at // n / 7], dim=-1) * 2.2
    vision = VisionTokens(torch.cat([angle.cos(), angle.sin()], dim=-1), (place,) * t, present)
    relevance = 0.2 * torch.sin(0.31 * column + at // n) + 0.15 * torch.cos(0.43 * row)
    if present is not None:
        relevance = relevance.masked_fill(~present, torch.nan)
    orders = _orders(t, n, present).expand(len(WEIGHTS), -1, -1)
    counts = None if present is None else tuple(present.sum(-1).tolist())
    nothing = torch.zeros(orders.shape)
    selection = Selection(orders, relevance, nothing, nothing, tuple(WEIGHTS), PruneConfig(), counts)
    shown = MediaInput(tuple(frames), clip=t > 1, seconds=seconds)
    setting = {
        "method": "rediprune",
        "query": "",
        "budget": "frame",
        "model": 0,
        "picture": "",
        "weighted": True,
    }
    return explorer.explorer_payload(shown, vision, selection, relevance.numpy(), "", "", setting)


def _orders(t: int, n: int, present: torch.Tensor | None) -> torch.Tensor:
    """Make orders [T, N] in long strides, absent tokens last; frame 1 begins with its last token."""
    rows = []
    for frame in range(t):
        order = (torch.arange(n) * 97 + n - 1 + 31 * (frame - 1)) % n  # 97 shares no factor with any n here
        there = torch.ones(n, dtype=torch.bool) if present is None else present[frame]
        rows.append(torch.cat([order[there[order]], order[~there[order]]]))
    return torch.stack(rows)
