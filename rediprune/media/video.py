"""Read T upright RGB frames with their times from a video file or an animated picture."""

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

# 128 frames of 1280 x 720 need 350 MB, and no model of these families was trained on more than 64 frames.
MAX_FRAMES = 128
KNOWN = "MP4, MOV, MKV, WebM, AVI, MPEG-TS, GIF, animated WebP, PNG or AVIF"
# In an undamaged file the picture may end a little before the sound.
CUT_SECONDS = 1


@dataclass(frozen=True)
class LoadedVideo:
    """Hold checked frames of a clip, and notes on how they were obtained.

    Attributes:
        frames: T pictures of one size: PIL, mode RGB, 8 bits, upright, square pixels, sides in [1, 1280].
        seconds: time of appearance of each frame, ascending, counted from the first frame of the clip.
        duration: seconds from the first frame of the clip to the end of the last.
        notes: short sentences for the reader on how the frames differ from the request or the file.
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
    """Sample `n_frames` frames uniformly in time, including the first and the last frame (see sampling).

    T is n_frames, or less where the clip has fewer frames, or fewer different ones on screen at the moments
    (a variable frame rate may show one frame for minutes): then each frame is returned once, and a note says
    so. Times are the file's presentation times. Rotation and pixel shape are applied, alpha is laid on white,
    and sides above 1280 pixels are scaled down. Of several tracks the default one is used, with a note. Of a
    damaged file everything that can be decoded is used, with a note. Long files are not decoded between the
    samples, and only the returned frames are held in memory. Moments that would need too much decoding are
    left out, with a note.

    Args:
        path: MP4, MOV, MKV, WebM, AVI, MPEG-TS, or an animated GIF, WebP, PNG or AVIF.
        n_frames: 1 to MAX_FRAMES. 8 is the published default.
        stop: called before every packet and every read from the file, from this thread; once it returns True
            the reading ends with ReadingStopped. At most one frame is decoded between two calls.
        seconds: how long the reading may take. After that the frames read so far are returned with a note, or
            TimeLimitReached is raised if there are none. None: without a limit, so that the frames do not
            depend on the speed of the machine.

    Raises:
        MediaError: no such file, not a video, only sound, encrypted, no frame that can be decoded, too large.
        ReadingStopped, TimeLimitReached: subclasses of MediaError, see the arguments.
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
    except Exception as error:  # decoders raise nearly every type of exception for hostile bytes
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


def _notes(clip: DecodedClip, n_frames: int) -> tuple[str, ...]:
    """Write the notes on a clip of which `n_frames` frames were requested."""
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
        notes.append(f"At {clip.n_missed} of the {n_frames} moments nothing could be decoded.")
    if used < n_frames and clip.has_all_frames:
        frames = "one frame" if used == 1 else f"{used} frames"
        notes.append(f"The clip has only {frames}, not the {n_frames} asked for.")
    elif used < n_frames and not clip.hit_time_limit:
        notes.append(
            f"Only {used} different frames are on screen at the {n_frames} moments: each is used once."
        )
    return tuple(notes)
