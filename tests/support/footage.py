"""Make small clips on the spot, each frame one grey level, so that a sample tells its number."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

STEP = 8  # grey levels between two frames: more than any of these encoders is off


def grey(index: int, size=(64, 48)) -> Image.Image:
    return Image.new("RGB", size, (index % 30 * STEP,) * 3)


def indices(frames: Sequence[Image.Image]) -> list[int]:
    """Read the number of each picture's frame, up to multiples of 30."""
    return [round(np.asarray(frame).mean() / STEP) for frame in frames]


def write(path: Path, n=10, codec="libx264", fps=10, times=None, gop=5, size=(64, 48), **how) -> Path:
    """Write `n` frames, frame i at i / fps or at times[i] seconds, with a keyframe every `gop` frames.

    `how` may hold `images` instead of grey levels, `matrix`, `pixel_shape` and `pix_fmt`; and `container` and
    `options`, which go to the muxer and the encoder.
    """
    images = how.get("images", [grey(i, size) for i in range(n)])
    with av.open(str(path), "w", options=how.get("container", {})) as file:
        stream = file.add_stream(codec, rate=fps, options=how.get("options", {}))
        (stream.width, stream.height) = images[0].size if images else size
        stream.pix_fmt = how.get("pix_fmt", "yuv420p")
        context = stream.codec_context
        context.gop_size = gop
        if times is not None:
            context.time_base = Fraction(1, 1000)
        if "pixel_shape" in how:
            context.sample_aspect_ratio = how["pixel_shape"]
        if "matrix" in how:
            stream.set_display_matrix(how["matrix"])
        file.start_encoding()
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_image(image)
            if times is not None:
                frame.pts, frame.time_base = round(times[i] * 1000), Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def write_sound(path: Path, codec: str) -> Path:
    """Write a second of silence, in two channels."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=48000)
        form, samples = stream.codec_context.format.name, 960
        dtype = {"s16": np.int16, "s32": np.int32, "flt": np.float32}[form.removesuffix("p")]
        silence = np.zeros((2, samples) if form.endswith("p") else (1, 2 * samples), dtype)
        for i in range(50):
            frame = av.AudioFrame.from_ndarray(silence, format=form, layout="stereo")
            frame.sample_rate, frame.pts = 48000, i * samples
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path
