"""One video file as FFmpeg sees it: opened with care, its packets, its decoded frames.

Nothing is printed: PyAV keeps FFmpeg's log off unless a program turns it on, and nothing here touches that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
from av.stream import Disposition

from .clock import Clock
from .image import MediaError, check_size
from .limits import LimitedFile, ReadingLimit

# FFmpeg also knows playlists and scripts that name further files to open. A stranger's file is read alone.
FORMATS = "mov,mp4,matroska,webm,avi,mpegts,ogg,mp3,wav,flac,aac"
# An 8K frame has 33 million; a decoder holds up to sixteen frames.
MAX_PIXELS = 40_000_000
# FFmpeg looks through the whole index of an MP4 at a seek, and often so where the index is built for that.
MAX_SEEK_SECONDS = 1.0
OPEN_SECONDS = 30.0  # for the reading of headers and for every later read


# FFmpeg's own decoders of VP8 and VP9 leave out the alpha that WebM keeps beside each frame.
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
NOT_SHOWN = Disposition.attached_pic | Disposition.timed_thumbnails


@contextmanager
def open_video(
    path: Path, limit: ReadingLimit
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a file with the track that players show.

    Raises:
        MediaError: no moving picture, an unknown codec, too large; see ReadingLimit.check.
        av.FFmpegError: not one of FORMATS, or damaged at its head.
    """
    limits = {"max_pixels": str(MAX_PIXELS)}
    # As an open file rather than by name: FFmpeg reads some names as protocols.
    with (
        LimitedFile(path, limit) as file,
        av.open(
            file, container_options={"format_whitelist": FORMATS}, options=limits, timeout=OPEN_SECONDS
        ) as container,
    ):
        streams = video_tracks(container)
        if not container.streams:
            raise av.error.InvalidDataError(0, "no streams")
        if not streams:
            raise MediaError(f"{path.name} has no moving picture, only sound or a cover: give a video.")
        stream = max(streams, key=_preference)  # the first of several that are equal
        if stream.codec_context is None:
            raise MediaError(f"{path.name} is in a video codec that cannot be decoded: convert it to H.264.")
        width, height = stream.width, stream.height
        if width * height > MAX_PIXELS:
            most = MAX_PIXELS // 10**6
            raise MediaError(f"{path.name} has more than {most} megapixels a frame: save a smaller copy.")
        if stream.frames > path.stat().st_size:  # an index of any length fits into a few bytes
            raise MediaError(f"{path.name} claims more frames than it can hold: save it again.")
        if width * height == 0:  # the size stands in the first frame, and that is not there
            raise av.error.InvalidDataError(0, "no size")
        check_size((width, height), path.name)
        stream.codec_context.options = limits  # a frame may claim another size than the header
        stream.thread_count = (
            1  # FFmpeg's frame threads wait for each other without end on some damaged files
        )
        yield container, stream


def video_tracks(container: av.container.InputContainer) -> list[av.VideoStream]:
    """Return the tracks of moving pictures in the order of the file; covers and thumbnails are none."""
    return [stream for stream in container.streams.video if not stream.disposition & NOT_SHOWN]


def _preference(stream: av.VideoStream) -> tuple[bool, bool]:
    return stream.codec_context is not None, bool(stream.disposition & Disposition.default)


def seek(container, stream, ticks: int, limit: ReadingLimit) -> None:
    """Go to the last keyframe at or before `ticks`, as far as the container knows.

    Raises:
        av.FFmpegError: the container cannot seek.
        ReadingStopped, TimeLimitReached: see ReadingLimit.check.
    """
    limit.check()
    start = time.monotonic()
    container.seek(ticks, stream=stream)
    if time.monotonic() - start > MAX_SEEK_SECONDS:
        limit.is_seeking_slow = True
    limit.check()


def timestamp(timed: av.Packet | av.VideoFrame) -> int | None:
    """Return the time in ticks; without presentation times the frames are in that order anyway."""
    return timed.pts if timed.pts is not None else timed.dts


def read_packets(container, stream, limit: ReadingLimit, clock: Clock | None = None) -> Iterator[av.Packet]:
    """Yield timed packets whose frames are shown, until the end or until where the file is broken.

    Args:
        container, stream: what `opened` gives.
        limit: checked before each packet.
        clock: sets the packets' times; None: they are those of the container.

    Raises:
        ReadingStopped, TimeLimitReached: see ReadingLimit.check.
    """
    try:
        for packet in container.demux(stream):
            limit.check()
            if clock is not None:
                clock.set_time(packet)
            if (
                packet.size
                and not packet.is_discard
                and not packet.is_corrupt
                and timestamp(packet) is not None
            ):
                yield packet
    except av.FFmpegError:
        return


def decode_frames(
    container, stream, limit: ReadingLimit, clock: Clock | None = None
) -> Iterator[av.VideoFrame]:
    """Yield sound, timed frames from where the container stands; what cannot be decoded is passed over.

    Args and errors: as of `packets`.
    """
    demuxed = container.demux(stream)
    decode = _decoder(stream)
    while True:
        limit.check()
        try:
            packet = next(demuxed, None)
        except av.FFmpegError:
            packet = None
        if packet is not None and clock is not None:
            clock.set_time(packet)
        at_end = packet is None or not packet.size
        try:
            frames = decode(None if at_end else packet)  # None: give what is still held back
        except av.FFmpegError:
            frames = []
        yield from (f for f in frames if timestamp(f) is not None and not f.is_corrupt)
        if at_end:
            return


def _decoder(stream: av.VideoStream) -> Callable[[av.Packet | None], list[av.VideoFrame]]:
    """Return the function that decodes the packets of a track, with their alpha where it has any."""
    context = stream.codec_context
    if has_separate_alpha(stream):
        context = av.CodecContext.create(ALPHA_DECODERS[context.name], "r")
        context.options = {"max_pixels": str(MAX_PIXELS)}
        context.thread_count = 1
    return context.decode


def has_separate_alpha(stream: av.VideoStream) -> bool:
    """Return whether the alpha of a track lies beside its frames and can be decoded by this FFmpeg."""
    decoder = ALPHA_DECODERS.get(stream.codec_context.name)
    return decoder in av.codecs_available and stream.metadata.get("alpha_mode") == "1"


def read_declared_duration(container, stream) -> Fraction | None:
    """Return how many seconds the file claims to last; None if it claims nothing."""
    if stream.duration is not None:
        return stream.duration * stream.time_base
    return Fraction(container.duration, av.time_base) if container.duration is not None else None
