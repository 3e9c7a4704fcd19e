"""Frames -> a clip that plays anywhere: H.264 in MP4, or GIF."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from PIL import Image

from ..files.atomic_write import replace_file

MAX_FPS = 120
# Constant rate factor of x264: 18 is held to look the same as the source, also at the edges of patches.
QUALITY = "18"
BT709 = 1  # matrix, primaries and transfer curve have the same number in ITU-T H.273


def save_clip(
    frames: Sequence[Image.Image],
    target: str | os.PathLike | BinaryIO,
    fps: float = 2.0,
    kind: str | None = None,
    one_palette: bool = False,
) -> None:
    """Write `frames` as a clip in which each is shown for 1 / fps seconds.

    Args:
        frames: at least one; PIL, all of one size, shown as RGB. H.264 needs even sides: an odd one is
            padded by one pixel that repeats the edge.
        target: a path, or a binary file that can seek.
        fps: frames per second, above 0 and at most MAX_FPS. GIF counts in hundredths of a second, and
            50 is its fastest.
        kind: "mp4" or "gif"; None: by the ending of the path.
        one_palette: all frames of a GIF share 256 colours, undithered: far smaller and quicker where a frame
            mostly repeats the one before. Without it each frame has its own.

    Raises:
        ValueError: no frames, frames of several sizes, fps out of range, another kind.
        OSError: the target cannot be written.
    """
    where = os.fspath(target) if isinstance(target, str | os.PathLike) else target
    kind = kind or (Path(where).suffix[1:].lower() if isinstance(where, str) else None)
    if kind not in _WRITERS:
        raise ValueError(f"A clip of kind {kind!r} cannot be written: give {' or '.join(_WRITERS)}.")
    if not 0 < fps <= MAX_FPS:  # NaN fails as well
        raise ValueError(f"fps is {fps}: give more than 0 and at most {MAX_FPS}.")
    sizes = {frame.size for frame in frames}
    if len(sizes) != 1:
        raise ValueError(
            f"A clip needs frames of one size: {len(frames)} frames of {len(sizes)} sizes were given."
        )
    if one_palette and kind == "gif":
        frames = _with_one_palette(frames)
    rate = Fraction(fps).limit_denominator(1000)
    if not isinstance(target, str | os.PathLike):
        _WRITERS[kind](frames, target, rate)
        return
    with replace_file(target) as part:
        _WRITERS[kind](frames, str(part), rate)


def _mp4(frames: Sequence[Image.Image], target: str | BinaryIO, fps: Fraction) -> None:
    width, height = frames[0].size
    padding = ((0, height % 2), (0, width % 2), (0, 0))
    # The index goes to the front, so that a browser plays before all is there. FFmpeg needs a name for that.
    options = {"movflags": "+faststart"} if isinstance(target, str) else {}
    with av.open(target, "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": QUALITY})
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = (
            BT709  # untagged, players guess by size
        )
        for frame in frames:
            padded = np.pad(np.asarray(frame.convert("RGB")), padding, mode="edge")
            rgb = av.VideoFrame.from_ndarray(padded, format="rgb24")
            container.mux(stream.encode(rgb.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(stream.encode())


def _gif(frames: Sequence[Image.Image], target: str | BinaryIO, fps: Fraction) -> None:
    shown_for = max(20, round(100 / fps) * 10)  # ms; browsers slow down what asks for 10 or less
    first, *rest = (frame if frame.mode == "P" else frame.convert("RGB") for frame in frames)
    first.save(target, "GIF", save_all=True, append_images=rest, duration=shown_for, loop=0)


def _with_one_palette(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """The frames in 256 colours, chosen for four of them that lie evenly in time."""
    (width, height), last = frames[0].size, len(frames) - 1
    some = Image.new("RGB", (width, 4 * height))
    for i in range(4):
        some.paste(frames[round(i * last / 3)], (0, i * height))
    palette, made = some.quantize(256), {}
    for frame in frames:  # one that is shown again is the same object
        if id(frame) not in made:
            made[id(frame)] = frame.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)
    return [made[id(frame)] for frame in frames]


_WRITERS = {"mp4": _mp4, "gif": _gif}
