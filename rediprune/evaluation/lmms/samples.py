"""Prepare one sample of a benchmark: its visual tokens, its prompt, and which tokens are kept."""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from PIL import Image
from torch import Tensor

from ...config import PruneConfig
from ...explainer.encode import MediaInput, as_media_input
from ...media import load_image
from ...media.load import load_media
from ...media.video import MAX_FRAMES, load_video
from ...models.query_text import TURN_NOTE

if TYPE_CHECKING:
    from ...explainer.ask import PreparedQuestion
    from ...explainer.encode import Encoding
    from ...explainer.explainer import Explainer


class SampleError(ValueError):
    """Report a sample that cannot be asked as it is; the message is one sentence."""


@dataclass(frozen=True)
class Segment:
    """Hold the part of a video file that a question is about, in seconds from its first frame."""

    path: str
    start: float
    end: float


@dataclass(frozen=True)
class PreparedSample:
    """Hold one sample, ready for the LLM.

    Attributes:
        look, asked: as the Explainer made them.
        kept: [K] flat indices (t * N + n) of the kept tokens, ascending; None at keep_ratio 1.
    """

    look: Encoding
    asked: PreparedQuestion
    kept: Tensor | None

    @property
    def n_visual(self) -> int:
        """Return the number of visual tokens before pruning."""
        return self.look.n_visual


def load_sample_media(visuals: Sequence[object] | None, n_frames: int) -> MediaInput:
    """Load what a task's doc_to_visual gave: a picture, or frames of a video.

    Args:
        visuals: of length 1: a PIL image, the path of a video (or of a picture), or a Segment.
        n_frames: frames taken of a video, uniformly in time.

    Raises:
        SampleError: no picture, several pictures, or an object of another type.
        MediaError: a file that cannot be read.
    """
    visuals = list(visuals or ())
    if len(visuals) != 1:
        raise SampleError(
            f"the sample shows {len(visuals)} pictures: this plug-in is for tasks that show one picture or "
            "one video"
        )
    (one,) = visuals
    if isinstance(one, Image.Image):
        return as_media_input(load_image(one, seconds=None))
    if isinstance(one, str | os.PathLike):
        return as_media_input(load_media(one, n_frames, seconds=None))
    if isinstance(one, Segment):
        return _load_segment(one, n_frames)
    raise SampleError(
        f"the sample shows a {type(one).__name__}, which is neither a picture nor the path of a video"
    )


def prepare_sample(
    explainer: Explainer, media: MediaInput, text: str, config: PruneConfig, name: str
) -> PreparedSample:
    """Look, ask and select, as the page does.

    Warns of a keep_ratio below 1 that keeps every token, and of a query other than the published one.

    Args:
        config: at keep_ratio 1 nothing is selected.
        name: names the sample, independent of batch, process and run. The random method draws from it and
            config.seed, so that a sample has the same mask everywhere.

    Raises:
        QuestionError, ValueError: a prompt or a query that this model cannot do.
    """
    if config.keep_ratio == 1 or not config.asks_query:
        config = replace(config, query="prompt-tail")  # the query changes nothing here, and this one is cheap
    look = explainer.look(media)
    asked = explainer.ask(look, text, config, longest=sys.maxsize, most_tokens=None)
    if config.keep_ratio == 1:
        return PreparedSample(look, asked, None)
    if config.method == "random":
        digest = hashlib.blake2b(f"{config.seed} {name}".encode(), digest_size=8).digest()
        config = replace(config, seed=int.from_bytes(digest))
    selection = explainer.select(look, asked, config)
    of_query = [note for note in asked.notes if note == TURN_NOTE]
    for note in (*of_query, *selection.notes):  # without the sample's name, so that Python prints it once
        warnings.warn(note, stacklevel=2)
    return PreparedSample(look, asked, selection.kept())


def _load_segment(segment: Segment, n: int) -> MediaInput:
    """Load the frames at n evenly spaced moments of the segment, out of MAX_FRAMES of the whole video.

    A moment is met to within the video's length divided by MAX_FRAMES; frames between are not looked at.
    """
    clip = load_video(segment.path, MAX_FRAMES, seconds=None)
    step = (segment.end - segment.start) / max(n - 1, 1)
    moments = [segment.start + i * step for i in range(n)]
    found = sorted({max(0, bisect_right(clip.seconds, moment) - 1) for moment in moments})
    first = clip.seconds[found[0]]
    return MediaInput(
        tuple(clip.frames[i] for i in found), True, tuple(clip.seconds[i] - first for i in found)
    )
