"""A video container -> the frames on screen at T moments, decoding only from the keyframe before each.

Three steps, none of which holds more than one decoded frame. The first packets and, after a seek, the last
ones say when the clip begins and ends, so that its length costs nothing. A seek for every moment says where
the keyframe before it lies. Then the runs from keyframe to moment are decoded, each frame once: moments that
share a keyframe share a run, and a container that cannot seek is one single run.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice
from pathlib import Path

import av

from .container import declared, decoded, opened, packets, seek, time_of
from .image import MediaError
from .orientation import picture
from .sampling import GRACE, MAX_RUN_PIXELS, Clip, chosen, moments

# Packets looked through for a keyframe, before an earlier place is tried.
MAX_SEARCH = 2000
END = 2**60  # in ticks of any time base: after the end of every clip
HDR = {16: "PQ", 18: "HLG"}  # transfer curves by their number in ITU-T H.273


@dataclass
class _Run:
    """Decode from `offset` (None: from the beginning) until all `wanted` times, ascending, are passed."""

    offset: int | None
    wanted: list[Fraction]


def read(path: Path, n: int) -> Clip:
    """The clip at `n` moments.

    Raises:
        MediaError: no picture in it, no frames, encrypted, too large, or an unknown codec.
        av.FFmpegError: not one of FORMATS, or damaged at its head.
    """
    with opened(path) as (container, stream):
        head = list(islice(packets(container, stream), 2 * n + 2))
        if not head:
            raise MediaError(f"{path.name} has a video track without any frame: save it again.")
        if head[0].has_sidedata("encryption_info"):
            raise MediaError(f"{path.name} is encrypted: give a copy without protection.")
        tick, first = stream.time_base, min(map(time_of, head))
        usual = int(1 / (stream.average_rate * tick)) if stream.average_rate else 0
        short = len(head) < 2 * n + 2
        last, length = _last(head) if short else _end(container, stream, first)
        if not short and last <= first:  # no seeking to the end, or nothing is there any more
            with opened(path) as whole:
                last, length = _last(packets(*whole))
        clip = Clip({}, (last + (length or usual) - first) * tick, declared=declared(container, stream))
        if short:
            with opened(path) as whole:
                times = sorted({time_of(frame) * tick for frame in decoded(*whole)})
            clip.whole = len(times) <= n
            runs = [_Run(None, [times[i] for i in chosen(times, n)])] if times else []
        else:
            runs = _runs(container, stream, first, moments(first * tick, last * tick, n))
    with opened(path) as (container, stream):
        for run in runs:
            _decode(container, stream, run, first * tick, clip)
    return clip


def _end(container, stream, first: int) -> tuple[int, int]:
    """(time, duration) in ticks of the frame that is shown last; (0, 0) where seeking does not get there."""
    try:
        seek(container, stream, END)
    except av.FFmpegError:
        return 0, 0
    rest = packets(container, stream)
    landed = next(rest, None)
    if landed is None or landed.is_keyframe:
        return _last(chain([landed], rest) if landed else ())
    # Some land on the packet stored last, whose frame need not be the one shown last.
    _, offset = _keyframe(container, stream, first, time_of(landed) * stream.time_base)
    if offset is None:
        return 0, 0
    seek(container, stream, offset)
    return _last(packets(container, stream))


def _last(some) -> tuple[int, int]:
    """The same of these packets."""
    return max(((time_of(packet), packet.duration or 0) for packet in some), default=(0, 0))


def _runs(container, stream, first: int, wanted: list[Fraction]) -> list[_Run]:
    """The wanted times by the keyframe that each is decoded from."""
    runs: dict[int, _Run] = {}
    for moment in wanted:
        key, offset = _keyframe(container, stream, first, moment)
        runs.setdefault(key, _Run(offset, [])).wanted.append(moment)
    return [runs[key] for key in sorted(runs)]


def _keyframe(container, stream, first: int, moment: Fraction) -> tuple[int, int | None]:
    """(time of a keyframe at or before `moment`, where to seek for it), or (first, None): from the beginning.

    Some containers land after the moment (they seek by decoding time, or to any frame): then ever earlier
    places are tried.
    """
    target, back = int((moment + GRACE) / stream.time_base), 0
    while target - back > first:
        try:
            seek(container, stream, target - back)
        except av.FFmpegError:
            break
        near = islice(packets(container, stream), MAX_SEARCH)
        key = next((time_of(packet) for packet in near if packet.is_keyframe), None)
        if key is not None and key <= target:
            return (key, target - back) if key > first else (first, None)
        back = max(2 * back, int(1 / stream.time_base), 1)  # a tick may be longer than a second
    return first, None


def _decode(container, stream, run: _Run, zero: Fraction, clip: Clip) -> None:
    """Decode one run and put into `clip` the frame on screen at each of its wanted times."""
    wanted, shown = list(run.wanted), None
    left = len(wanted) * max(1, MAX_RUN_PIXELS // (stream.width * stream.height))

    def keep(frame: av.VideoFrame) -> None:
        time = time_of(frame) * stream.time_base - zero
        if time not in clip.pictures:
            size = next(iter(clip.pictures.values())).size if clip.pictures else None
            clip.pictures[time] = picture(frame, stream.sample_aspect_ratio, size)
            if curve := HDR.get(frame.color_trc):
                clip.note(
                    f"The file is HDR ({curve}): its colours look paler here than on a screen made for it."
                )

    if run.offset is not None:
        seek(container, stream, run.offset)
    for frame in decoded(container, stream):
        while wanted and time_of(frame) * stream.time_base > wanted[0] + GRACE:
            if shown is None:
                clip.missed += 1
            else:
                keep(shown)
            wanted.pop(0)
        if not wanted:
            return
        shown, left = frame, left - 1
        if left < 0:
            clip.far = True
            break
    if shown is None:
        clip.missed += len(wanted)
    else:
        keep(shown)
