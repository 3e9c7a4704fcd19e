"""Sample frames of a clip at evenly spaced moments.

The T moments are evenly spaced from the time of the first frame to the time of the last one. At each moment
the frame on screen is taken, which is the latest that has appeared. At a constant frame rate these are the
frames `np.linspace(0, n - 1, T, dtype=int)` of the published LLaVA-NeXT-Video code (LLaVA-VL/LLaVA-NeXT,
playground/demo/video_demo.py, load_video). At a variable frame rate they follow the clock, where indices
would not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from PIL import Image

# Seconds. Matroska and WebM round the time of every frame, and of the last one from which the moments are
# computed, by up to half a millisecond. Without this tolerance a frame could miss its own moment.
GRACE = Fraction(1, 1000)
# Pixels decoded per moment at most, on average over the moments: 300 frames of 4K or 1200 of 1080p. By
# default encoders set a keyframe every 250 frames, so only files with very few keyframes reach this limit.
MAX_RUN_PIXELS = 25 * 10**8


@dataclass
class DecodedClip:
    """Hold the frames that a reader decoded, and what it could not decode.

    Attributes:
        pictures: time of appearance, in seconds from the first frame, -> picture, RGB and upright.
        duration: seconds from the first frame to the end of the last one.
        declared_duration: seconds that the file declares; None if it declares none.
        notes: sentences on how the pictures differ from the file.
        n_missed: number of moments at which nothing could be decoded.
        is_truncated: the file is damaged after the part that was read.
        hit_pixel_limit: reading stopped at the limit of pixels.
        hit_time_limit: reading stopped at the limit of time.
        has_all_frames: the pictures are all frames of the clip.
    """

    pictures: dict[Fraction, Image.Image]
    duration: Fraction
    declared_duration: Fraction | None = None
    notes: list[str] = field(default_factory=list)
    n_missed: int = 0
    is_truncated: bool = False
    hit_pixel_limit: bool = False
    hit_time_limit: bool = False
    has_all_frames: bool = False

    def note(self, sentence: str) -> None:
        """Add a sentence, unless it is there already."""
        if sentence not in self.notes:
            self.notes.append(sentence)


def sample_moments(first: Fraction, last: Fraction, n: int) -> list[Fraction]:
    """Space `n` >= 1 moments evenly, in seconds, from `first` to `last` inclusive; one alone is `first`."""
    return [first + (last - first) * i / max(n - 1, 1) for i in range(n)]


def is_on_screen(time: Fraction, moment: Fraction, before: Fraction | None) -> bool:
    """Return whether the frame that appears at `time` is on screen at `moment`.

    Containers round times, so a frame may appear up to GRACE after the moment, but no later than half of the
    time since the frame before it, which is less than GRACE at 1000 frames per second.

    Args:
        time: in seconds.
        moment: in seconds.
        before: time of the frame before, in seconds; None: there is none.
    """
    grace = GRACE if before is None else min(GRACE, (time - before) / 2)
    return time <= moment + grace


def select_frames(times: Sequence[Fraction], n: int) -> list[int]:
    """Return the indices of the frames on screen at `n` moments, each once; all if there are at most `n`.

    Args:
        times: time of each frame in seconds, ascending; at least one.
        n: number of moments, at least 1.
    """
    if len(times) <= n:
        return list(range(len(times)))
    found = set()
    for moment in sample_moments(times[0], times[-1], n):
        index = bisect_right(times, moment) - 1
        following = index + 1
        if following < len(times) and is_on_screen(times[following], moment, times[index]):
            index = following
        found.add(index)
    return sorted(found)
