"""A video file or an animated picture -> T upright RGB frames with their times, or a sentence why not."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import av
from PIL import Image

from . import animation, stream
from .image import MediaError, existing_file
from .limits import MAX_SECONDS, ReadingLimit
from .sampling import DecodedClip

# 128 frames of 1280 x 720 are 350 MB, and no model of these families was trained on more than 64.
MAX_FRAMES = 128
KNOWN = "MP4, MOV, MKV, WebM, AVI, MPEG-TS, GIF, animated WebP, PNG or AVIF"
# The picture may end a little before the sound does in a file that is whole.
CUT_SECONDS = 1


@dataclass(frozen=True)
class LoadedVideo:
    """Frames of a clip, safe to hand on, and what had to be done to get them.

    Attributes:
        frames: T pictures of one size: PIL, mode RGB, 8 bits, upright, square pixels, sides in [1, 1280].
        seconds: T times, ascending: when each frame appears, counted from the first frame of the clip.
        duration: of the clip in seconds, from its first frame to the end of its last.
        notes: short sentences for the reader on how the frames differ from what was asked or given.
    """

    frames: tuple[Image.Image, ...]
    seconds: tuple[float, ...]
    duration: float
    notes: tuple[str, ...] = ()


def load_video(
    path: str | os.PathLike,
    n_frames: int = 8,
    *,
    stop: Callable[[], bool] | None = None,
    seconds: float | None = MAX_SECONDS,
) -> LoadedVideo:
    """Sample `n_frames` frames uniformly in time, the first and the last frame among them (see sampling).

    T = n_frames, but for a clip with fewer frames, or with fewer different ones on screen at those moments (a
    variable frame rate may hold one for minutes): then each is given once and a note says so. Times are the
    file's own presentation times. Rotation and pixel shape are applied, alpha is laid on white, sides above
    1280 pixels are scaled down. Of several tracks the default one is used, and a note says so. Of a damaged
    file what can be decoded is used and noted. Long files are not decoded between the samples, and memory is
    that of the frames returned. What would need too much decoding is left out and noted.

    Args:
        path: MP4, MOV, MKV, WebM, AVI, MPEG-TS, or an animated GIF, WebP, PNG or AVIF.
        n_frames: 1 to MAX_FRAMES. 8 is the published default.
        stop: asked before every packet and every read from the file, from this thread; once it returns True
            the reading ends with ReadingStopped. Between two questions lies at most one decoded frame.
        seconds: how long the reading may take; when they are over, the frames read until then are returned
            with a note, or TimeLimitReached is raised where there are none. None: without a limit, so that
            the frames do not depend on how fast the machine is.

    Raises:
        MediaError: no such file, not a video, only sound, encrypted, no frame that can be decoded, too large.
        ReadingStopped, TimeLimitReached: kinds of MediaError, see the arguments.
        ValueError: n_frames or seconds out of range.
    """
    if isinstance(n_frames, bool) or not isinstance(n_frames, int) or not 1 <= n_frames <= MAX_FRAMES:
        raise ValueError(f"n_frames is {n_frames!r}: give a whole number from 1 to {MAX_FRAMES}.")
    if not isinstance(path, str | os.PathLike):
        raise MediaError(f"A {type(path).__name__} is not a video: give the path of a file.")
    file = existing_file(path)
    limit = ReadingLimit(file.name, stop, seconds)
    try:
        clip = animation.read(file, n_frames, limit) or stream.read(file, n_frames, limit)
    except MediaError:
        raise
    except av.error.EOFError:
        raise MediaError(
            f"{file.name} ends before its first frame: it is cut off or was never finished, so save it again."
        ) from None
    except av.FFmpegError:
        raise MediaError(
            f"{file.name} is no video that can be read ({KNOWN}), or it is cut off or damaged: "
            "save it again as MP4."
        ) from None
    except Exception as error:  # decoders meet hostile bytes with exceptions of nearly every type
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise MediaError(
            f"{file.name} cannot be read ({reason}): it may be damaged, so save it again."
        ) from error
    if not clip.pictures:
        raise MediaError(
            f"{file.name} has no frame that can be decoded: it may be cut off, damaged or protected."
        )
    times, frames = zip(*sorted(clip.pictures.items(), key=lambda item: item[0]), strict=True)
    return LoadedVideo(frames, tuple(map(float, times)), float(clip.duration), _notes(clip, n_frames))


def _notes(clip: DecodedClip, asked: int) -> tuple[str, ...]:
    notes = list(clip.notes)
    used = len(clip.pictures)
    if clip.is_truncated:
        notes.append(
            f"The file is broken after {float(clip.duration):.1f} s: only what comes before is used."
        )
    elif clip.declared_duration is not None and clip.declared_duration - clip.duration > CUT_SECONDS:
        ends, claims = float(clip.duration), float(clip.declared_duration)
        notes.append(f"The picture ends after {ends:.1f} s of the {claims:.1f} s that the file declares.")
    if clip.hit_pixel_limit:
        notes.append("Parts too far from a keyframe, or from the beginning, were not read.")
    if clip.hit_time_limit:
        notes.append("Reading took too long and was ended: later parts are not shown.")
    if clip.n_missed:
        notes.append(f"At {clip.n_missed} of the {asked} moments nothing could be decoded.")
    if used < asked and clip.has_all_frames:
        frames = "one frame" if used == 1 else f"{used} frames"
        notes.append(f"The clip has only {frames}, not the {asked} asked for.")
    elif used < asked and not clip.hit_time_limit:
        notes.append(f"Only {used} different frames are on screen at the {asked} moments: each is used once.")
    return tuple(notes)
