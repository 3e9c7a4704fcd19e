"""One video file as FFmpeg sees it: opened with care, its packets, its decoded frames.

Nothing is printed: PyAV keeps FFmpeg's log off unless a program turns it on, and nothing here touches that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from av.stream import Disposition

from .image import MediaError, check_size

# FFmpeg also knows playlists and scripts that name further files to open. A stranger's file is read alone.
FORMATS = "mov,mp4,matroska,webm,avi,mpegts,ogg,mp3,wav,flac,aac"
# An 8K frame has 33 million; a decoder holds up to sixteen frames.
MAX_PIXELS = 40_000_000
OPEN_SECONDS = 30.0  # for the reading of headers and for every later read


@contextmanager
def opened(path: Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    limits = {"max_pixels": str(MAX_PIXELS)}
    # As an open file rather than by name: FFmpeg reads some names as protocols.
    with (
        path.open("rb") as file,
        av.open(
            file, container_options={"format_whitelist": FORMATS}, options=limits, timeout=OPEN_SECONDS
        ) as container,
    ):
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not container.streams:
            raise av.error.InvalidDataError(0, "no streams")
        if not streams:
            raise MediaError(f"{path.name} has no moving picture, only sound or a cover: give a video.")
        stream = streams[0]
        if stream.codec_context is None:
            raise MediaError(f"{path.name} is in a video codec that cannot be decoded: convert it to H.264.")
        width, height = stream.width, stream.height
        if width * height > MAX_PIXELS:
            limit = MAX_PIXELS // 10**6
            raise MediaError(f"{path.name} has more than {limit} megapixels a frame: save a smaller copy.")
        if width * height == 0:  # the size stands in the first frame, and that is not there
            raise av.error.InvalidDataError(0, "no size")
        check_size((width, height), path.name)
        stream.codec_context.options = limits  # a frame may claim another size than the header
        stream.thread_count = (
            1  # FFmpeg's frame threads wait for each other without end on some damaged files
        )
        yield container, stream


def seek(container, stream, ticks: int) -> None:
    """To the last keyframe at or before `ticks`, as far as the container knows."""
    container.seek(ticks, stream=stream)


def time_of(timed: av.Packet | av.VideoFrame) -> int | None:
    """In ticks; a container without presentation times has its frames in that order anyway."""
    return timed.pts if timed.pts is not None else timed.dts


def packets(container, stream) -> Iterator[av.Packet]:
    """Timed packets whose frames are shown, until the end or until where the file is broken."""
    try:
        for packet in container.demux(stream):
            if (
                packet.size
                and not packet.is_discard
                and not packet.is_corrupt
                and time_of(packet) is not None
            ):
                yield packet
    except av.FFmpegError:
        return


def decoded(container, stream) -> Iterator[av.VideoFrame]:
    """Sound, timed frames from where the container stands; what cannot be decoded is passed over."""
    demuxed = container.demux(stream)
    while True:
        try:
            packet = next(demuxed, None)
        except av.FFmpegError:
            packet = None
        try:
            frames = stream.codec_context.decode(packet)  # None: give what is still held back
        except av.FFmpegError:
            frames = []
        yield from (f for f in frames if time_of(f) is not None and not f.is_corrupt)
        if packet is None or not packet.size:
            return


def declared(container, stream) -> Fraction | None:
    if stream.duration is not None:
        return stream.duration * stream.time_base
    return Fraction(container.duration, av.time_base) if container.duration is not None else None
