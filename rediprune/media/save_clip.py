"""Save frames as a clip that plays anywhere: H.264 in MP4, or GIF."""

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
# Constant rate factor of x264; 18 is regarded as visually lossless, also at the edges of patches.
QUALITY = "18"
BT709 = 1  # matrix, primaries and transfer curve have the same number in ITU-T H.273


def save_clip(
    frames: Sequence[Image.Image],
    target: str | os.PathLike | BinaryIO,
    fps: float = 2.0,
    kind: str | None = None,
    one_palette: bool = False,
) -> None:
    """Write `frames` as a clip in which each frame is shown for 1 / fps seconds.

    Args:
        frames: at least one; PIL, all of one size, shown as RGB. H.264 needs even sides: an odd one is
            padded by one pixel that repeats the edge.
        target: a path, or a binary file that can seek.
        fps: frames per second, above 0 and at most MAX_FPS. A GIF counts in hundredths of a second and has at
            most 50 frames per second.
        kind: "mp4" or "gif"; None: the suffix of the path.
        one_palette: all frames of a GIF share 256 colours, undithered: far smaller and quicker where frames
            mostly repeat the one before. Otherwise each frame has a palette of its own.

    Raises:
        ValueError: no frames, frames of several sizes, fps out of range, or another kind.
        OSError: the target cannot be written.
    """
    if not kind and isinstance(target, str | os.PathLike):
        kind = Path(target).suffix[1:].lower()
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
    """Encode the frames as H.264 in MP4."""
    width, height = frames[0].size
    padding = ((0, height % 2), (0, width % 2), (0, 0))
    # Put the index in front, so that a browser can play before all is loaded. FFmpeg needs a file name for
    # that.
    options = {"movflags": "+faststart"} if isinstance(target, str) else {}
    with av.open(target, "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": QUALITY})
        stream.width = width + width % 2
        stream.height = height + height % 2
        stream.pix_fmt = "yuv420p"
        # Without these tags players guess the colours by the size of the picture.
        context = stream.codec_context
        context.colorspace = BT709
        context.color_primaries = BT709
        context.color_trc = BT709
        for frame in frames:
            padded = np.pad(np.asarray(frame.convert("RGB")), padding, mode="edge")
            rgb = av.VideoFrame.from_ndarray(padded, format="rgb24")
            container.mux(stream.encode(rgb.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(stream.encode())


def _gif(frames: Sequence[Image.Image], target: str | BinaryIO, fps: Fraction) -> None:
    """Encode the frames as an endless GIF."""
    duration = max(20, round(100 / fps) * 10)  # ms; browsers slow down frames of 10 ms or less
    first, *rest = (frame if frame.mode == "P" else frame.convert("RGB") for frame in frames)
    first.save(target, "GIF", save_all=True, append_images=rest, duration=duration, loop=0)


def _with_one_palette(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """Reduce the frames to 256 shared colours, chosen from four frames that are evenly spaced in time."""
    width, height = frames[0].size
    last = len(frames) - 1
    samples = Image.new("RGB", (width, 4 * height))
    for i in range(4):
        samples.paste(frames[round(i * last / 3)], (0, i * height))
    palette = samples.quantize(256)
    converted: dict[int, Image.Image] = {}
    for frame in frames:  # a frame that is shown again is the same object
        if id(frame) not in converted:
            converted[id(frame)] = frame.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)
    return [converted[id(frame)] for frame in frames]


_WRITERS = {"mp4": _mp4, "gif": _gif}
