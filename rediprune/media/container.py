"""Open one video file with FFmpeg, and read its packets and decoded frames.

Nothing is printed: PyAV keeps FFmpeg's log off unless a program turns it on, and this module does not.
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
from .index_claims import check_index
from .limits import LimitedFile, ReadingLimit

# FFmpeg also reads playlists and scripts that name further files to open, which untrusted files must not do.
FORMATS = "mov,mp4,matroska,webm,avi,mpegts,ogg,mp3,wav,flac,aac"
# An 8K frame has 33 million; a decoder holds up to sixteen frames.
MAX_PIXELS = 40_000_000
# A seek makes FFmpeg search the whole index of an MP4, and a hostile index makes it do so often.
MAX_SEEK_SECONDS = 1.0
# Frames of the whole index times frames without a keyframe: a billion take FFmpeg about a second.
MAX_SEEK_STEPS = 10**9
OPEN_SECONDS = 30.0  # for reading the headers, and for every later read

# FFmpeg's own decoders of VP8 and VP9 ignore the alpha that WebM stores beside each frame.
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
NOT_SHOWN = Disposition.attached_pic | Disposition.timed_thumbnails


@contextmanager
def open_video(
    path: Path, limit: ReadingLimit
) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """Open a file, and choose the track that players show.

    Raises:
        MediaError: no moving picture, an unknown codec, too large, an index that cannot be true; see
            ReadingLimit.check.
        av.FFmpegError: not one of FORMATS, or damaged at its head.
    """
    check_index(path)
    limits = {"max_pixels": str(MAX_PIXELS)}
    # Pass an open file rather than its name, because FFmpeg takes some names for protocols.
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
        stream = max(streams, key=_preference)  # the first of equal ones
        if stream.codec_context is None:
            raise MediaError(f"{path.name} is in a video codec that cannot be decoded: convert it to H.264.")
        width, height = stream.width, stream.height
        if width * height > MAX_PIXELS:
            most = MAX_PIXELS // 10**6
            raise MediaError(f"{path.name} has more than {most} megapixels a frame: save a smaller copy.")
        if stream.frames > path.stat().st_size:  # a few bytes can claim an index of any length
            raise MediaError(f"{path.name} claims more frames than it can hold: save it again.")
        if width * height == 0:  # the size is in the first frame, which is missing
            raise av.error.InvalidDataError(0, "no size")
        check_size((width, height), path.name)
        stream.codec_context.options = limits  # a frame may claim another size than the header
        # On some damaged files FFmpeg's frame threads wait for each other forever.
        stream.thread_count = 1
        yield container, stream


def video_tracks(container: av.container.InputContainer) -> list[av.VideoStream]:
    """List the tracks of moving pictures in the order of the file, without covers and thumbnails."""
    return [stream for stream in container.streams.video if not stream.disposition & NOT_SHOWN]


def _preference(stream: av.VideoStream) -> tuple[bool, bool]:
    """Rank tracks: those that can be decoded first, then the default one."""
    return stream.codec_context is not None, bool(stream.disposition & Disposition.default)


def is_seek_bounded(stream) -> bool:
    """Return whether FFmpeg finds a place in the index of an MP4 within about a second.

    Behind an edit list it looks through the frames between two keyframes again for each of them, in one call
    that nothing can interrupt: 300,000 frames without a keyframe take half a minute, ten times as many an
    hour. Windows so short that it cannot become slow are looked at for one without any keyframe.
    """
    entries = stream.index_entries
    count = len(entries)
    window = MAX_SEEK_STEPS // max(count, 1)
    if window >= count:
        return True
    for start in range(0, count - window, window):
        if not any(entries[i].is_keyframe for i in range(start, start + window)):
            return False
    return True


def seek(container, stream, ticks: int, limit: ReadingLimit) -> None:
    """Seek to the last keyframe at or before `ticks`, as far as the container knows.

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


def timestamp(item: av.Packet | av.VideoFrame) -> int | None:
    """Return the presentation time in ticks, or the decoding time where the file has none."""
    return item.pts if item.pts is not None else item.dts


def read_packets(container, stream, limit: ReadingLimit, clock: Clock | None = None) -> Iterator[av.Packet]:
    """Yield packets that have a time and are shown, up to the end or to where the file is damaged.

    Args:
        container, stream: from `open_video`.
        limit: checked before each packet.
        clock: changes the packets' times; None: the times of the container.

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
    """Yield undamaged, timed frames from the current position on; skip packets that cannot be decoded.

    Arguments and errors are those of `read_packets`.
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
            frames = decode(None if at_end else packet)  # None: return the frames that are still held back
        except av.FFmpegError:
            frames = []
        yield from (f for f in frames if timestamp(f) is not None and not f.is_corrupt)
        if at_end:
            return


def _decoder(stream: av.VideoStream) -> Callable[[av.Packet | None], list[av.VideoFrame]]:
    """Return the function that decodes packets of a track, including alpha where the track has it."""
    context = stream.codec_context
    if has_separate_alpha(stream):
        context = av.CodecContext.create(ALPHA_DECODERS[context.name], "r")
        context.options = {"max_pixels": str(MAX_PIXELS)}
        context.thread_count = 1
    return context.decode


def has_separate_alpha(stream: av.VideoStream) -> bool:
    """Return whether a track has its alpha beside the frames and this FFmpeg can decode it."""
    decoder = ALPHA_DECODERS.get(stream.codec_context.name)
    return decoder in av.codecs_available and stream.metadata.get("alpha_mode") == "1"


def read_declared_duration(container, stream) -> Fraction | None:
    """Return the duration in seconds that the file declares; None if it declares none."""
    if stream.duration is not None:
        return stream.duration * stream.time_base
    return Fraction(container.duration, av.time_base) if container.duration is not None else None
