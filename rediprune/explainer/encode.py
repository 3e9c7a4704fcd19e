"""Run the vision encoder: an image or a clip becomes visual tokens, with what a prompt about it needs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import torch
from PIL import Image
from torch import Tensor

from ..query.question import prompt_text
from ..tokens import VisionTokens, concat_tokens
from ..trace import on_device

if TYPE_CHECKING:
    from ..media import LoadedImage
    from ..media.video import LoadedVideo
    from ..models import Adapter, EncodedItem

    Media: TypeAlias = Image.Image | Sequence[Image.Image] | LoadedImage | LoadedVideo


# Far above what any model reads: 128 frames of LLaVA-1.5 are 73,728. The features of as many take half a GB.
MOST_VISUAL_TOKENS = 2**17


@dataclass(frozen=True)
class MediaInput:
    """Hold what the model is given to look at: a still image, or the frames of a clip.

    Attributes:
        frames: RGB images; the frames of a clip have one size.
        clip: whether it was given as a clip, even of a single frame.
        seconds: when each frame appears, in seconds from the start; empty if the times are unknown.
    """

    frames: tuple[Image.Image, ...]
    clip: bool = False
    seconds: tuple[float, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Return (width, height) of every frame, in pixels."""
        return self.frames[0].size

    def blank(self) -> MediaInput:
        """Return a copy whose frames are one black image, repeated: sizes and times without the pixels."""
        return replace(self, frames=(Image.new("RGB", self.size),) * len(self.frames))

    def fingerprint(self) -> str:
        """Return a hash of the pixels, the times and the kind of input; the source file plays no part."""
        digest = hashlib.blake2b(f"{self.clip} {self.seconds} {self.size}".encode(), digest_size=16)
        for frame in self.frames:
            digest.update(frame.tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Encoding:
    """Hold one image or clip as the model sees it.

    Attributes:
        key: hash of its pixels (MediaInput.fingerprint).
        media: the input, its frames blank.
        items: what the vision encoder returned: one item, or one per frame if the family reads a clip as
            several images.
        vision: the visual tokens of all items, frame after frame.
    """

    key: str
    media: MediaInput
    items: tuple[EncodedItem, ...]
    vision: VisionTokens

    @property
    def n_visual(self) -> int:
        """Return the number of visual tokens of all frames together."""
        return self.vision.n_tokens


def as_media_input(media: Media) -> MediaInput:
    """Convert a picture or a clip to a MediaInput.

    Args:
        media: a PIL image, a sequence of PIL images, or what `load_image` or `load_video` returned. A
            MediaInput is returned as it is.

    Raises:
        ValueError: no frames, frames of different sizes, or another number of times than of frames.
        TypeError: something that is no picture, such as the name of a file.
    """
    if isinstance(media, MediaInput):
        return media
    media = getattr(media, "image", media)
    if isinstance(media, Image.Image):
        return MediaInput((media.convert("RGB"),))
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
    return MediaInput(frames, True, seconds)


def run_processor(adapter: Adapter, processor, media: MediaInput, question: str) -> Mapping[str, Any]:
    """Return the processor's output for the whole prompt: ids, masks and pixels.

    A family that takes no videos gets the frames of a clip as several images.
    """
    as_video = _is_video(adapter, media)
    kind = "video" if as_video else "image"
    text = prompt_text(processor, question, kind, _n_items(adapter, media))
    return adapter.run_processor(processor, text, media.frames, as_video, media.seconds)


def encode(
    adapter: Adapter, processor, media: MediaInput, key: str, keep_on: str | torch.device | None = None
) -> Encoding:
    """Run the vision encoder on an image or a clip.

    Args:
        key: becomes Encoding.key.
        keep_on: the device that the features are moved to; None leaves them where the encoder put them.

    Raises:
        ModelError: the processor makes more than MOST_VISUAL_TOKENS of it; nothing is encoded then.
    """
    # Imported here because models imports transformers, and `import rediprune` is to be quick.
    from ..models import ModelError

    model = adapter.model
    inputs = dict(run_processor(adapter, processor, media, ""))
    n_tokens = int(adapter.is_placeholder(inputs["input_ids"]).sum())
    if n_tokens > MOST_VISUAL_TOKENS:
        width, height = media.size
        raise ModelError(
            f"the processor makes {n_tokens:,} visual tokens of {width} x {height} pixels, more than the "
            f"{MOST_VISUAL_TOKENS:,} that are encoded at once: give a smaller picture or fewer frames, or "
            "lower the number of tiles or pixels in the settings of the model's processor"
        )
    # Pixels also take the number format of the model; ids and sizes stay whole numbers.
    for name, value in inputs.items():
        if isinstance(value, Tensor):
            inputs[name] = value.to(adapter.device, model.dtype if value.is_floating_point() else None)
    items = tuple(adapter.look(inputs, [media.size] * _n_items(adapter, media), processor))
    if keep_on is not None:
        items = on_device(items, keep_on)
    return Encoding(key, media.blank(), items, concat_tokens([item.vision for item in items]))


def _is_video(adapter: Adapter, media: MediaInput) -> bool:
    """Tell whether the model reads this input as a video and not as images."""
    return media.clip and "video" in adapter.kinds


def _n_items(adapter: Adapter, media: MediaInput) -> int:
    """Count the images or videos that the prompt holds for this input."""
    return 1 if _is_video(adapter, media) else len(media.frames)
