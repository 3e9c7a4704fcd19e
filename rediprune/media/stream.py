"""Read the frames on screen at T moments from a video container, decoding only from the keyframe before each.

Three steps, each with at most one decoded frame in memory. First, the first packets and, after a seek, the
last ones tell when the clip begins and ends, so that a long clip costs no more than a short one. Second, a
seek for every moment finds the keyframe before it. Third, the runs from keyframe to moment are decoded, each
frame once: moments that share a keyframe share a run, and a container that cannot seek is a single run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path

import av

from .clock import Clock
from .container import (
    decode_frames,
    has_separate_alpha,
    is_seek_bounded,
    open_video,
    read_declared_duration,
    read_packets,
    seek,
    timestamp,
    video_tracks,
)
from .image import MediaError
from .limits import ReadingLimit, TimeLimitReached
from .orientation import to_upright_rgb
from .sampling import GRACE, MAX_RUN_PIXELS, DecodedClip, is_on_screen, sample_moments, select_frames

# Packets searched for a keyframe before the search starts again from an earlier time.
MAX_SEARCH = 2000
END = 2**60  # in ticks of any time base: later than the end of every clip
HDR = {16: "PQ", 18: "HLG"}  # transfer curves by their number in ITU-T H.273


@dataclass
class _Run:
    """Hold one run of decoding: from `offset` (None: the beginning) past all `wanted` times, ascending."""

    offset: int | None
    wanted: list[Fraction]


@dataclass
class _Budget:
    """Count the frames that may still be decoded."""

    frames: int


class _ClockRestarts(Exception):
    """Report that the clock of the file restarts, so that seeking by time finds the wrong place."""


def read(path: Path, n: int, limit: ReadingLimit) -> DecodedClip:
    """Read the clip at `n` moments.

    Raises:
        MediaError: no moving picture, no frames, encrypted, too large, an unknown codec; see
            ReadingLimit.check.
        av.FFmpegError: not one of FORMATS, or damaged at its head.
    """
    try:
        return _read_by_seeking(path, n, limit)
    except _ClockRestarts:
        return _read_in_order(path, n, limit)


def _read_by_seeking(path: Path, n: int, limit: ReadingLimit) -> DecodedClip:
    """Read the clip at `n` moments, seeking to each of them.

    Raises:
        _ClockRestarts: times do not name a unique place in the file.
    """
    with open_video(path, limit) as (container, stream):
        may_jump = container.format.name == "mpegts"
        clock = Clock(stream, may_jump)
        head = list(islice(read_packets(container, stream, limit), 2 * n + 2))
        if not head:
            raise MediaError(f"{path.name} has a video track without any frame: save it again.")
        if head[0].has_sidedata("encryption_info"):
            raise MediaError(f"{path.name} is encrypted: give a copy without protection.")
        if not is_seek_bounded(stream):
            limit.is_seeking_slow = True
        # Find out when the clip begins and ends. Times are in ticks until the moments are computed.
        tick = stream.time_base
        first = min(map(timestamp, head))
        usual = int(1 / (stream.average_rate * tick)) if stream.average_rate else 0
        grace = _grace(head, tick)
        is_short = len(head) < 2 * n + 2
        if is_short:
            last, length = _last_frame(head, clock)
        else:
            last, length = _end(container, stream, first, limit, clock)
        if not is_short and (may_jump or last <= first):
            # The clock may restart anywhere, or seeking to the end failed: look at every packet.
            with open_video(path, limit) as reopened:
                clock = Clock(stream, may_jump)
                last, length = _last_frame(read_packets(*reopened, limit), clock)
        if clock.restarts:
            raise _ClockRestarts
        clip = DecodedClip(
            {},
            (last + (length or usual) - first) * tick,
            declared_duration=read_declared_duration(container, stream),
        )
        _note_tracks(container, stream, clip)

        # Plan what is decoded: a short clip in one run, otherwise one run for each keyframe.
        if is_short:
            with open_video(path, limit) as reopened:
                times = sorted({timestamp(frame) * tick for frame in decode_frames(*reopened, limit)})
            clip.has_all_frames = len(times) <= n
            runs = [_Run(None, [times[i] for i in select_frames(times, n)])] if times else []
        else:
            wanted = sample_moments(first * tick, last * tick, n)
            runs = _runs(container, stream, first, wanted, grace, limit)
    _decode_runs(path, n, runs, first * tick, clip, limit, may_jump=None)
    return clip


def _read_in_order(path: Path, n: int, limit: ReadingLimit) -> DecodedClip:
    """Read the clip at `n` moments from a file whose clock restarts, from its beginning to its end."""
    with open_video(path, limit) as (container, stream):
        may_jump = container.format.name == "mpegts"
        clock = Clock(stream, may_jump)
        tick = stream.time_base
        times = set()
        end = 0
        for packet in read_packets(container, stream, limit, clock):
            times.add(timestamp(packet))
            end = max(end, timestamp(packet) + (packet.duration or 0))
        ordered = [time * tick for time in sorted(times)]
        clip = DecodedClip({}, end * tick - ordered[0], has_all_frames=len(ordered) <= n)
        _note_tracks(container, stream, clip)
    count = "once" if clock.restarts == 1 else f"{clock.restarts} times"
    clip.note(f"The clock in the file starts again {count}: its parts are shown one after the other.")
    wanted = ordered if clip.has_all_frames else sample_moments(ordered[0], ordered[-1], n)
    _decode_runs(path, n, [_Run(None, wanted)], ordered[0], clip, limit, may_jump)
    return clip


def _note_tracks(container, stream, clip: DecodedClip) -> None:
    """Note video tracks that are not used, and alpha that cannot be read."""
    number = len(video_tracks(container))
    if number > 1:
        clip.note(f"The file has {number} video tracks: only the one that players show is used.")
    if stream.metadata.get("alpha_mode") == "1" and not has_separate_alpha(stream):
        clip.note("Which parts of the file are transparent could not be read.")


def _grace(head: list[av.Packet], tick: Fraction) -> Fraction:
    """Return how many seconds after a moment a keyframe may appear and still be the frame on screen."""
    times = sorted({timestamp(packet) for packet in head})
    steps = [later - earlier for earlier, later in pairwise(times)]
    return min(GRACE, min(steps) * tick / 2) if steps else GRACE


def _end(container, stream, first: int, limit: ReadingLimit, clock: Clock) -> tuple[int, int]:
    """Return (time, duration) in ticks of the frame shown last; (0, 0) if seeking does not find it.

    The clock follows the packets from there to the end of the file.
    """
    if limit.is_seeking_slow:
        return 0, 0
    try:
        seek(container, stream, END, limit)
    except av.FFmpegError:
        return 0, 0
    rest = read_packets(container, stream, limit)
    landed = next(rest, None)
    if landed is None or landed.is_keyframe:
        return _last_frame(chain([landed], rest) if landed else (), clock)
    # Some containers seek to the packet stored last, whose frame need not be the one shown last.
    moment = timestamp(landed) * stream.time_base
    _, offset = _keyframe(container, stream, first, moment, GRACE, limit)
    if offset is None:
        return 0, 0
    seek(container, stream, offset, limit)
    return _last_frame(read_packets(container, stream, limit), clock)


def _last_frame(packets: Iterable[av.Packet], clock: Clock) -> tuple[int, int]:
    """Return (time, duration) in ticks of the packet shown last; (0, 0) if there is none.

    The clock follows the packets.
    """
    last = 0, 0
    for number, packet in enumerate(packets):
        clock.observe(packet)
        current = timestamp(packet), packet.duration or 0
        last = current if number == 0 else max(last, current)
    return last


def _runs(
    container, stream, first: int, wanted: list[Fraction], grace: Fraction, limit: ReadingLimit
) -> list[_Run]:
    """Group the wanted times by the keyframe that each is decoded from."""
    runs: dict[int, _Run] = {}
    for moment in wanted:
        key, offset = _keyframe(container, stream, first, moment, grace, limit)
        runs.setdefault(key, _Run(offset, [])).wanted.append(moment)
    return [runs[key] for key in sorted(runs)]


def _keyframe(
    container, stream, first: int, moment: Fraction, grace: Fraction, limit: ReadingLimit
) -> tuple[int, int | None]:
    """Find a keyframe at or before `moment`: (its time, where to seek), or (first, None) for the start.

    Some containers seek to a place after the moment (by decoding time, or to any frame). Then earlier and
    earlier places are tried.
    """
    target = int((moment + grace) / stream.time_base)
    back = 0
    while target - back > first and not limit.is_seeking_slow:
        try:
            seek(container, stream, target - back, limit)
        except av.FFmpegError:
            break
        near = islice(read_packets(container, stream, limit), MAX_SEARCH)
        key = next((timestamp(packet) for packet in near if packet.is_keyframe), None)
        if key is not None and key <= target:
            return (key, target - back) if key > first else (first, None)
        back = max(2 * back, int(1 / stream.time_base), 1)  # a tick may be longer than a second
    return first, None


def _decode_runs(
    path: Path,
    n: int,
    runs: list[_Run],
    zero: Fraction,
    clip: DecodedClip,
    limit: ReadingLimit,
    may_jump: bool | None,
) -> None:
    """Decode the runs into `clip`, as far as the limits of pixels and of time allow.

    Args:
        path, n, limit: arguments of `read`.
        runs: by ascending times.
        zero: the beginning of the clip in seconds of the file's clock.
        clip: receives the pictures.
        may_jump: argument of Clock, for a file whose clock restarts; None: the clock does not restart.
    """
    with open_video(path, limit) as (container, stream):
        budget = _Budget(n * max(1, MAX_RUN_PIXELS // (stream.width * stream.height)))
        clock = None
        if may_jump is not None:
            clock = Clock(stream, may_jump)
        for run in runs:
            try:
                _decode(container, stream, run, zero, clip, limit, budget, clock)
            except TimeLimitReached:
                if not clip.pictures:
                    raise
                clip.hit_time_limit = True
                return


def _decode(
    container,
    stream,
    run: _Run,
    zero: Fraction,
    clip: DecodedClip,
    limit: ReadingLimit,
    budget: _Budget,
    clock: Clock | None,
) -> None:
    """Decode one run and put into `clip` the frame on screen at each of its wanted times."""
    wanted = list(run.wanted)
    shown = None
    shown_time = None

    def keep(frame: av.VideoFrame) -> None:
        """Convert a frame and put it into the clip, unless it is there."""
        time = timestamp(frame) * stream.time_base - zero
        if time not in clip.pictures:
            size = None  # all pictures of a clip have the size of the first
            if clip.pictures:
                size = next(iter(clip.pictures.values())).size
            codec = stream.codec_context.name
            clip.pictures[time] = to_upright_rgb(frame, stream.sample_aspect_ratio, size, codec, clip.note)
            if curve := HDR.get(frame.color_trc):
                clip.note(
                    f"The file is HDR ({curve}): its colours look paler here than on a screen made for it."
                )

    if run.offset is not None:
        seek(container, stream, run.offset, limit)
    for frame in decode_frames(container, stream, limit, clock):
        time = timestamp(frame) * stream.time_base
        while wanted and not is_on_screen(time, wanted[0], shown_time):
            if shown is None:
                clip.n_missed += 1
            else:
                keep(shown)
            wanted.pop(0)
        if not wanted:
            return
        if shown is not None and time == shown_time and (len(wanted) > 1 or time == zero):
            continue  # of two frames that a container rounds to one time, the clip begins with the first
        budget.frames -= 1
        if budget.frames < 0:
            clip.hit_pixel_limit = True
            break
        shown = frame
        shown_time = time
    if shown is None:
        clip.n_missed += len(wanted)
    else:
        keep(shown)
