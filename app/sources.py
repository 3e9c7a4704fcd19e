"""Where the picture on the page comes from: a rendered scene by its seed, or a file that a visitor gave."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gradio.utils import get_upload_folder
from PIL import Image

from rediprune import load_image
from world import make_scene

# Seeds of the scenes offered first: chosen by eye for light and variety, not by answers.
EXAMPLES = (42, 21, 28, 12, 32, 49)
MAX_SEED = 2**31 - 1
NO_UPLOAD = "No uploaded picture arrived: choose a file, paste one or take one with the camera."
PHOTO_QUESTIONS = (
    "What is in this picture?",
    "What color is the largest object?",
    "How many objects are there?",
    "What is on the left?",
)


@dataclass(frozen=True)
class Source:
    """A scene (seed, a whole number >= 0) or a file (path): one of them."""

    seed: int | None = None
    path: str | None = None

    @property
    def is_scene(self) -> bool:
        return self.seed is not None


def scene_source(seed: object) -> Source:
    """The source of what a visitor typed as a seed.

    Raises:
        ValueError: not a whole number in 0..MAX_SEED.
    """
    number = isinstance(seed, int | float) and not isinstance(seed, bool)
    if not number or not 0 <= seed <= MAX_SEED or seed != int(seed):
        raise ValueError(f"A scene's number is a whole number from 0 to {MAX_SEED:,}.")
    return Source(seed=int(seed))


def file_source(file: object) -> Source:
    """The source of an upload: a dict whose "path" is a file in the folder where Gradio keeps uploads.

    Handlers get the file unread (preprocess=False), and a stranger's request may name any path: Gradio
    checks only files that carry its own mark, so the check is made here. Whatever is wrong with a path, the
    sentence is the same, so that nobody learns which files the server has.

    Raises:
        ValueError: anything but the path of an uploaded file.
    """
    try:
        path = Path(file["path"]).resolve(strict=True)  # links are followed: one may lead out of the folder
        if path.is_file() and path.is_relative_to(Path(get_upload_folder()).resolve()):
            return Source(path=str(path))
    except (TypeError, KeyError, ValueError, OSError, RuntimeError):
        pass
    raise ValueError(NO_UPLOAD)


def picture(source: Source) -> tuple[Image.Image, tuple[str, ...]]:
    """The RGB picture of a source and what had to be done to it, as sentences.

    Raises:
        rediprune.media.MediaError (a ValueError): an unreadable file.
    """
    if source.is_scene:
        return _scene(source.seed).image, ()
    if not Path(source.path).is_file():
        raise ValueError(
            "Your picture is no longer on the server, which forgets files after a while: give it again."
        )
    return _file(source.path)


def suggestions(source: Source) -> tuple[str, ...]:
    """Questions that fit: the scene's own, with known answers, or general ones for a photo."""
    return tuple(q.text for q in _scene(source.seed).questions) if source.is_scene else PHOTO_QUESTIONS


@lru_cache(maxsize=64)
def _scene(seed: int):
    return make_scene(seed)


@lru_cache(maxsize=4)  # a file is read again at each answer; these few are at most 50 MB each
def _file(path: str) -> tuple[Image.Image, tuple[str, ...]]:
    loaded = load_image(path)
    return loaded.image, tuple(loaded.notes)
