"""Turn frames, tokens and picking orders into the message from which the browser draws. No model."""

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
from .evidence import MOST_SENT, count_pairs, pack_array, pack_distances, pack_pick_evidence

PREVIEW = 768  # longest side of the picture that is sent to the browser, in pixels
FILM = 480  # longest side of each frame of a clip that is sent, in pixels


def explorer_payload(
    media: MediaInput,
    vision: VisionTokens,
    selection: Selection,
    relevance: np.ndarray | None,
    about: str,
    why: str,
    setting: dict,
) -> dict:
    """Return all that the browser needs to draw every setting of both sliders by itself.

    Args:
        media: the picture, or the frames; sent as small copies.
        vision: the visual tokens, T frames or tiles of N.
        selection: one order for each of WEIGHTS, [W, G, M].
        relevance: [T, N], NaN for a cell without a token; None if there is none to show.
        about, why: what relevance is measured against, and why.
        setting: what the picture belongs to: "picture" (its key), "method", "query", "budget", "weighted"
            (whether the method uses the weight), "seed" and "clip" (of a rendered input; None for a file),
            "trace" (whether that file is a saved run).
    """
    used = sorted(set(picture_index(len(media.frames), vision)))
    side = PREVIEW if len(media.frames) == 1 else FILM
    order, budget = selection.order.numpy(), selection.config.budget
    return {
        "pictures": [data_url(_shrink(media.frames[i], side)) for i in used],
        # One string, because Gradio compares nested values number by number.
        "frames": json.dumps(_describe_frames(media, vision, used, side)),
        "clip": media.clip,
        "n": vision.shape[1],
        "counts": list(selection.counts),
        "weights": list(WEIGHTS),
        "wide": order.shape[-1] > 2**16,
        "orders": pack_array(order, "<u4" if order.shape[-1] > 2**16 else "<u2"),
        "relevance": "" if relevance is None else pack_array(relevance, "<f4"),
        **pack_pick_evidence(selection),
        # If there are more, they are sent when a view asks for them (evidence.distances_payload).
        "between": pack_distances(vision, budget) if count_pairs(vision, budget) <= MOST_SENT else "",
        "about": about,
        "why": why,
        "setting": setting,
    }


def user_choice(tokens: Tensor, config: PruneConfig) -> dict:
    """Return the part of the message about tokens [K] that the visitor chose, with the slider positions."""
    stops = {"keep": round(100 * config.keep_ratio) / 100, "weight": WEIGHTS[nearest_stop(config.weight)]}
    return {"tokens": tokens.tolist(), **stops}


def _describe_frames(media: MediaInput, vision: VisionTokens, used: list[int], side: int) -> list[dict]:
    """Return for every frame in which small picture its tokens lie, where, and what the frame is called."""
    found = []
    for t, (i, place) in enumerate(
        zip(picture_index(len(media.frames), vision), vision.geometry, strict=True)
    ):
        scale = min(1.0, side / max(place.image_size))
        x, y = ((spans * scale).round(decimals=2).flatten().tolist() for spans in place.spans)
        second = media.seconds[i] if media.seconds else float(i)
        tiles = vision.shape[0] // len(media.frames)  # of each picture, the overview included
        names = [f"{second:.1f} s"] if media.seconds else []
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


def _shrink(image: Image.Image, side: int) -> Image.Image:
    copy = image.copy()
    copy.thumbnail((side, side), Image.Resampling.LANCZOS)
    return copy


def data_url(image: Image.Image) -> str:
    """Return a picture as a data URL: PNG if it is small (sharp edges stay sharp), else JPEG."""
    out = io.BytesIO()
    if max(image.size) <= 256:
        kind = "png"
        image.save(out, format="PNG", compress_level=1)
    else:
        kind = "jpeg"
        image.save(out, format="JPEG", quality=88)
    return f"data:image/{kind};base64,{base64.b64encode(out.getvalue()).decode('ascii')}"
