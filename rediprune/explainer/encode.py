"""An image or a clip -> its visual tokens, with what a prompt about it needs to know."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from PIL import Image
from torch import Tensor

from ..query.question import prompt_text
from ..tokens import VisionTokens, joined
from ..trace import on_device

if TYPE_CHECKING:
    from ..media import LoadedImage
    from ..media.video import LoadedVideo
    from ..models import Adapter, EncodedItem

    Media: TypeAlias = Image.Image | Sequence[Image.Image] | LoadedImage | LoadedVideo


@dataclass(frozen=True)
class Shown:
    """What is put before the model: a still image, or the frames of a clip.

    Attributes:
        frames: RGB; of a clip all of one size.
        clip: whether it was given as a clip, even of a single frame.
        seconds: when each frame is shown; empty where nobody said.
    """

    frames: tuple[Image.Image, ...]
    clip: bool = False
    seconds: tuple[float, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of every frame."""
        return self.frames[0].size

    def blank(self) -> Shown:
        """The same without its pictures: one black frame, repeated."""
        return replace(self, frames=(Image.new("RGB", self.size),) * len(self.frames))

    def fingerprint(self) -> str:
        """Names the pixels and how they are shown, whatever file they came from."""
        digest = hashlib.blake2b(f"{self.clip} {self.seconds} {self.size}".encode(), digest_size=16)
        for frame in self.frames:
            digest.update(frame.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Look:
    """One image or clip as the model sees it.

    Attributes:
        key: names its pixels.
        shown: what was shown, its frames blank.
        seen: what the encoder gave: one EncodedItem, or one for each frame where a clip is read as images.
        vision: the visual tokens of all of them, one frame behind the other.
    """

    key: str
    shown: Shown
    seen: tuple[EncodedItem, ...]
    vision: VisionTokens

    @property
    def n_visual(self) -> int:
        """Visual tokens of all frames together."""
        return self.vision.n_tokens


def shown_media(media: Media) -> Shown:
    """A picture or a clip made ready to be shown: PIL, or what `load_image` and `load_video` returned.

    Raises:
        ValueError: no frames, frames of different sizes, or another number of times than of frames.
        TypeError: something that is no picture, such as the name of a file.
    """
    if isinstance(media, Shown):
        return media
    media = getattr(media, "image", media)
    if isinstance(media, Image.Image):
        return Shown((media.convert("RGB"),))
    frames = getattr(media, "frames", media)
    frames = tuple(frames) if isinstance(frames, Iterable) else (frames,)
    for frame in frames:
        if not isinstance(frame, Image.Image):
            raise TypeError(
                f"a {type(frame).__name__} is not a picture: give PIL images, or open files with load_image "
                "and load_video"
            )
    frames = tuple(frame.convert("RGB") for frame in frames)
    sizes = sorted({frame.size for frame in frames})
    if len(sizes) != 1:
        raise ValueError(f"a clip needs at least one frame, all of one size, but its sizes are {sizes}")
    seconds = tuple(map(float, getattr(media, "seconds", ())))
    if seconds and len(seconds) != len(frames):
        raise ValueError(f"{len(seconds)} times were given for {len(frames)} frames")
    return Shown(frames, True, seconds)


def processed(adapter: Adapter, processor, shown: Shown, question: str) -> Mapping[str, Any]:
    """The processor's output for the whole prompt; families without videos see a clip as several images."""
    as_video = shown.clip and "video" in adapter.kinds
    count = 1 if as_video else len(shown.frames)
    text = prompt_text(processor, question, "video" if as_video else "image", count)
    return adapter.run_processor(processor, text, shown.frames, as_video, shown.seconds)


def encode(
    adapter: Adapter, processor, shown: Shown, key: str, keep_on: str | torch.device | None = None
) -> Look:
    """Run the vision encoder; its features are moved to `keep_on`, or stay where they are (None)."""
    model, inputs = adapter.model, dict(processed(adapter, processor, shown, ""))
    for name, value in inputs.items():
        if isinstance(value, Tensor):
            inputs[name] = value.to(adapter.device, model.dtype if value.is_floating_point() else None)
    as_video = shown.clip and "video" in adapter.kinds
    seen = tuple(adapter.look(inputs, [shown.size] * (1 if as_video else len(shown.frames)), processor))
    if keep_on is not None:
        seen = on_device(seen, keep_on)
    return Look(key, shown.blank(), seen, joined([one.vision for one in seen]))
