"""The sampling rule: at which moments a clip is looked at, and which frame is on screen then.

T moments, evenly spaced from the moment the first frame appears to the moment the last one does; at each the
frame on screen, which is the latest that has appeared. At a constant frame rate these are the frames
`np.linspace(0, n - 1, T, dtype=int)` of the published LLaVA-NeXT-Video code (LLaVA-VL/LLaVA-NeXT,
playground/demo/video_demo.py, load_video); at a variable one they follow the clock where indices would not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from PIL import Image

# Matroska and WebM count in milliseconds: a frame's time is rounded by up to half of one, and so is the last
# frame's, from which the moments are computed. Without this much grace a frame could miss its own moment.
GRACE = Fraction(1, 1000)
# Decoded for one moment at most, on average over the moments: 300 frames of 4K or 1200 of 1080p. Video
# encoders set a keyframe every 250 frames unless told otherwise: this only stops files with next to none.
MAX_RUN_PIXELS = 25 * 10**8


@dataclass
class DecodedClip:
    """What a reader found.

    Attributes:
        pictures: by the time at which each appears, in seconds from the first frame; RGB, upright.
        duration: seconds from the first frame to the end of the last.
        declared: seconds that the file claims to last; None if it claims nothing.
        notes: sentences on how the pictures differ from what the file holds.
        missed: moments at which nothing could be decoded.
        cut: the file is broken after what was read.
        far: reading stopped at the limit of pixels.
        late: reading stopped at the limit of time.
        whole: the pictures are all frames of the clip.
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
        """Add a sentence, once however many frames it is about."""
        if sentence not in self.notes:
            self.notes.append(sentence)


def sample_moments(first: Fraction, last: Fraction, n: int) -> list[Fraction]:
    """`n` >= 1 moments in seconds, from `first` to `last` inclusive; a single one is `first`."""
    return [first + (last - first) * i / max(n - 1, 1) for i in range(n)]


def is_on_screen(time: Fraction, moment: Fraction, before: Fraction | None) -> bool:
    """Return whether the frame that appears at `time` is on screen at `moment`.

    Times are rounded by their container, so a frame may appear up to GRACE after the moment; but no later
    than half of the time since the frame before it, which at 1000 frames a second is less.

    Args:
        time: in seconds.
        moment: in seconds.
        before: when the frame before appears; None: it is the first.
    """
    grace = GRACE if before is None else min(GRACE, (time - before) / 2)
    return time <= moment + grace


def select_frames(times: Sequence[Fraction], n: int) -> list[int]:
    """Return the indices of the frames on screen at the `n` moments, each once; of `n` frames or fewer, all.

    Args:
        times: when each frame appears, in seconds, ascending; at least one.
        n: how many moments, at least 1.
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
