"""One sample of a benchmark -> its visual tokens, its prompt, and which tokens are kept."""

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
    """A sample that cannot be asked as it is; the message is one sentence."""


@dataclass(frozen=True)
class Segment:
    """The part of a video file that a question is about, in seconds from its first frame."""

    path: str
    start: float
    end: float


@dataclass(frozen=True)
class Chosen:
    """One sample, ready for the LLM.

    Attributes:
        look, asked: as the Explainer made them.
        kept: [K] flat indices (t * N + n) of the kept tokens, ascending; None at keep_ratio 1.
    """

    look: Encoding
    asked: PreparedQuestion
    kept: Tensor | None

    @property
    def n_visual(self) -> int:
        """Visual tokens before pruning."""
        return self.look.n_visual


def shown(visuals: Sequence[object] | None, n_frames: int) -> MediaInput:
    """What a task's doc_to_visual gave, ready to be shown: a picture, or frames of a video.

    Args:
        visuals: of length 1: a PIL image, the path of a video (or of a picture), or a Segment.
        n_frames: taken of a video, uniformly in time.

    Raises:
        SampleError: no picture, or several; something else than these.
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
        return _part(one, n_frames)
    raise SampleError(
        f"the sample shows a {type(one).__name__}, which is neither a picture nor the path of a video"
    )


def choose(explainer: Explainer, media: MediaInput, text: str, config: PruneConfig, name: str) -> Chosen:
    """Look, ask and select, as the page does.

    Args:
        config: at keep_ratio 1 nothing is chosen.
        name: names the sample, whatever batch, process or run it is in. The random method draws from it and
            config.seed, so that the same sample has the same mask everywhere.

    Raises:
        QuestionError, ValueError: a prompt or a query that this model cannot do.

    A keep_ratio below 1 that keeps every token is warned of, and a query that is not the published one.
    """
    if config.keep_ratio == 1 or not config.asks_query:
        config = replace(config, query="prompt-tail")  # it plays no part, and this one costs next to nothing
    look = explainer.look(media)
    asked = explainer.ask(look, text, config, longest=sys.maxsize)
    if config.keep_ratio == 1:
        return Chosen(look, asked, None)
    if config.method == "random":
        digest = hashlib.blake2b(f"{config.seed} {name}".encode(), digest_size=8).digest()
        config = replace(config, seed=int.from_bytes(digest))
    selection = explainer.select(look, asked, config)
    of_query = [note for note in asked.notes if note == TURN_NOTE]
    for note in (*of_query, *selection.notes):  # without the sample's name: Python then says it once
        warnings.warn(note, stacklevel=2)
    return Chosen(look, asked, selection.kept())


def _part(segment: Segment, n: int) -> MediaInput:
    """Of `MAX_FRAMES` frames of the whole video those on screen at n moments of the segment, evenly spaced.

    So a moment is met to within the video's length by MAX_FRAMES; frames between are not looked at.
    """
    clip = load_video(segment.path, MAX_FRAMES, seconds=None)
    step = (segment.end - segment.start) / max(n - 1, 1)
    moments = [segment.start + i * step for i in range(n)]
    found = sorted({max(0, bisect_right(clip.seconds, moment) - 1) for moment in moments})
    first = clip.seconds[found[0]]
    return MediaInput(
        tuple(clip.frames[i] for i in found), True, tuple(clip.seconds[i] - first for i in found)
    )
