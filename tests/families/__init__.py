"""Every model family with random weights, real classes and a real processor: what the shared tests run on.

One module a family, each with a `FAMILY`. tests/rediprune/models/families/test_every_family.py asks the same
of all of them, and `python -m tests.families` writes the README's table of what it asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import torch
from PIL import Image

from rediprune.query.question import prompt_text

QUESTIONS = (
    "What color is the star?",
    "How many circles are there in this picture, please?",
    "Where is the cat?",
)


@dataclass(frozen=True)
class Family:
    """One family.

    Attributes:
        name: as the README calls it.
        kinds: what its prompts may hold, of "image" and "video".
        model: a fresh tiny model in eval mode, of the given dtype, always with the same weights.
        processor: the family's own, with a chat template; built once.
        patches: processor output of one medium -> [T, N, P], the preprocessed pixels that each visual token
            of the adapter sees, from the processor's output alone.
        size: (width, height) of a picture that shows what is special about the family.
        sizes: pictures whose overlay is checked, with odd aspect ratios among them.
        n_frames: of a clip.
    """

    name: str
    kinds: tuple[str, ...]
    model: Callable[[torch.dtype], torch.nn.Module]
    processor: Callable[[], object]
    patches: Callable[[dict, str], torch.Tensor]
    size: tuple[int, int] = (84, 84)
    sizes: tuple[tuple[int, int], ...] = ((84, 84), (200, 90), (61, 150))
    n_frames: int = 4

    def pictures(self, seed: int, count: int = 1, size: tuple[int, int] | None = None) -> list[Image.Image]:
        """Coloured blocks, no two pictures alike."""
        blocks = np.random.default_rng(seed).integers(0, 256, (count, 9, 9, 3), dtype=np.uint8)
        return [Image.fromarray(b).resize(size or self.size, Image.Resampling.NEAREST) for b in blocks]

    def inputs(self, kind: str, media: Sequence[int] = (1,)) -> dict:
        """The processor's output for a batch; `media` says how many images or clips each prompt holds."""
        processor, count = self.processor(), sum(media)
        texts = [prompt_text(processor, QUESTIONS[i % 3], kind, n) for i, n in enumerate(media)]
        if kind == "image":
            return self.processed(texts, images=self.pictures(0, count))
        clips = [self.pictures(10 + i, self.n_frames) for i in range(count)]
        return self.processed(texts, videos=clips)

    def processed(self, texts: list[str], images: list | None = None, videos: list | None = None) -> dict:
        """A call of the processor with images, or with clips as lists of frames."""
        if images is not None:
            return dict(self.processor()(text=texts, images=images, padding=True, return_tensors="pt"))
        arrays = [np.stack([np.asarray(frame) for frame in clip]) for clip in videos]
        return dict(
            self.processor()(
                text=texts, videos=arrays, padding=True, do_sample_frames=False, return_tensors="pt"
            )
        )


def families() -> list[Family]:
    """All of them, by name."""
    modules = (import_module(f"{__name__}.{m.name}") for m in iter_modules(__path__) if m.name != "__main__")
    return sorted((m.FAMILY for m in modules if hasattr(m, "FAMILY")), key=lambda f: f.name)
