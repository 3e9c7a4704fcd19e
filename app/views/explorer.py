"""Frames, tokens and orders -> the one message from which the browser draws. No model, no Gradio."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
from PIL import Image
from torch import Tensor

from rediprune import PruneConfig
from rediprune.draw import picture_index
from rediprune.explainer.encode import MediaInput
from rediprune.tokens import VisionTokens
from rediprune.trace import Selection

from ..state.options import WEIGHTS, nearest_stop
from .evidence import SENT, between, of_picks, packed, pairs

PREVIEW = 768  # longest side of the picture that is sent to the browser, in pixels
FILM = 480  # the same for each frame of a clip


def explorer(
    shown: MediaInput,
    vision: VisionTokens,
    selection: Selection,
    relevance: np.ndarray | None,
    about: str,
    why: str,
    setting: dict,
) -> dict:
    """All that the browser needs to draw every setting of both sliders by itself.

    Args:
        shown: the picture, or the frames; sent as small copies.
        vision: the visual tokens, T frames or tiles of N.
        selection: of WEIGHTS, order [W, G, M].
        relevance: [T, N], NaN where there is no token, or None where there is none to show.
        about, why: what relevance is measured against, and why this is the choice.
        setting: what the picture belongs to: "picture" (its key), "method", "query", "budget", "weighted"
            (whether the method looks at the weight at all), "seed" and "clip" (of what was rendered; None for
            a file), "trace" (whether that file is a saved run).
    """
    used = sorted(set(picture_index(len(shown.frames), vision)))
    side = PREVIEW if len(shown.frames) == 1 else FILM
    order, budget = selection.order.numpy(), selection.config.budget
    return {
        "pictures": [data_url(_small(shown.frames[i], side)) for i in used],
        # One string, as below: Gradio compares nested values number by number.
        "frames": json.dumps(_frames(shown, vision, used, side)),
        "clip": shown.clip,
        "n": vision.shape[1],
        "counts": list(selection.counts),
        "weights": list(WEIGHTS),
        "wide": order.shape[-1] > 2**16,
        "orders": packed(order, "<u4" if order.shape[-1] > 2**16 else "<u2"),
        "relevance": "" if relevance is None else packed(relevance, "<f4"),
        **of_picks(selection),
        # More of them are sent when a view asks (measuring.py).
        "between": between(vision, budget) if pairs(vision, budget) <= SENT else "",
        "about": about,
        "why": why,
        "setting": setting,
    }


def chosen(own: Tensor, config: PruneConfig) -> dict:
    """What the message also holds where a visitor's own tokens [K] are shown, and where the sliders stand."""
    stops = {"keep": round(100 * config.keep_ratio) / 100, "weight": WEIGHTS[nearest_stop(config.weight)]}
    return {"tokens": own.tolist(), **stops}


def _frames(shown: MediaInput, vision: VisionTokens, used: list[int], side: int) -> list[dict]:
    """Of every frame: in which of the small pictures its tokens lie and where, and what it is called."""
    found = []
    for t, (i, place) in enumerate(
        zip(picture_index(len(shown.frames), vision), vision.geometry, strict=True)
    ):
        scale = min(1.0, side / max(place.image_size))
        x, y = ((spans * scale).round(decimals=2).flatten().tolist() for spans in place.spans)
        second = shown.seconds[i] if shown.seconds else float(i)
        tiles = vision.shape[0] // len(shown.frames)  # of each picture, the overview included
        names = [f"{second:.1f} s"] if shown.seconds else []
        if tiles > 1:
            names.append(f"part {t % tiles}" if t % tiles else "whole")
        found.append(
            {
                "picture": used.index(i),
                "box": [round(edge * scale, 2) for edge in place.box],
                "x": x,  # from, to, from, to, ... of every column, and so of every row
                "y": y,
                "whole": place.n_global,
                "second": second,
                "label": ", ".join(names),
            }
        )
    return found


def _small(image: Image.Image, side: int) -> Image.Image:
    copy = image.copy()
    copy.thumbnail((side, side), Image.Resampling.LANCZOS)
    return copy


def data_url(image: Image.Image) -> str:
    """The picture as a data URL: PNG where it is small (sharp edges stay sharp), JPEG else."""
    small = max(image.size) <= 256
    out = io.BytesIO()
    image.save(
        out, **({"format": "PNG", "compress_level": 1} if small else {"format": "JPEG", "quality": 88})
    )
    return f"data:image/{'png' if small else 'jpeg'};base64,{_base64(out.getvalue())}"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
