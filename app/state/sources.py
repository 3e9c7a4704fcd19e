"""Find the picture or clip that the page shows: rendered from a seed, or a file that a visitor uploaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import BoundedSemaphore

from gradio.utils import get_upload_folder

from rediprune import load_trace
from rediprune.explainer.encode import MediaInput, as_media_input
from rediprune.explainer.lru_cache import LruCache
from rediprune.media.limits import ReadingStopped
from rediprune.media.load import load_media
from rediprune.replay.recorded_run import RecordedRun
from rediprune.trace import Trace
from world import make_clip, make_scene

from ..server.departures import stop_when_caller_leaves

# Seeds of the scenes that are offered first: chosen by eye for light and variety, not by answers.
EXAMPLES = (42, 21, 28, 12, 32, 49)
# Seeds of clips whose every question the built-in model answers correctly with all tokens and with 15% of
# them. They show what pruning does, not how good the model is; for that see docs/findings.md.
CLIP_EXAMPLES = (4, 10, 11)
CLIP_SECONDS = 0.5  # duration of a frame of a rendered clip
MAX_SEED = 2**31 - 1
N_FRAMES = (4, 8, 16, 32)  # how many frames may be taken of a visitor's clip; 8 is the published number
READ_SECONDS = 20.0  # for one file; a longer one is refused, so that nobody waits for it
_READERS = BoundedSemaphore(2)  # files that are read together
NO_UPLOAD = "No uploaded file arrived: choose one, paste a picture or take one with the camera."
GONE = "Your file is no longer on the server, which forgets files after a while: give it again."
PHOTO_QUESTIONS = (
    "What is in this picture?",
    "What color is the largest object?",
    "How many objects are there?",
    "What is on the left?",
)
CLIP_QUESTIONS = (
    "What happens in this clip?",
    "What moves?",
    "Which way does it move?",
    "What is there at the end?",
)


# How many files are kept between two answers, and how much memory they may take. Not the size of the files
# counts: a PNG of some kilobytes can hold a picture of hundreds of megabytes.
KEPT_FILES, KEPT_BYTES = 4, 512 * 2**20
_files: LruCache[tuple[MediaInput, tuple[str, ...]]] = LruCache(KEPT_FILES, KEPT_BYTES)
_runs: LruCache[tuple[RecordedRun, Trace]] = LruCache(
    KEPT_FILES, KEPT_BYTES
)  # with the trace, the large part


@dataclass(frozen=True)
class Source:
    """Hold where an input comes from: either a seed (a whole number >= 0) or the path of a file.

    Attributes:
        clip: whether the rendered input is a clip; not used for a file.
        n_frames: how many frames are taken of a file that is a clip.
        trace: whether the file is a saved run, which contains its own input.
    """

    seed: int | None = None
    path: str | None = None
    clip: bool = False
    n_frames: int = 8
    trace: bool = False

    @property
    def is_scene(self) -> bool:
        """Return whether it was rendered here, so that the built-in model knows it."""
        return self.seed is not None


def scene_source(seed: object, clip: bool = False) -> Source:
    """Return the source of a scene or a clip by the seed that a visitor sent.

    Raises:
        ValueError: not a whole number in 0..MAX_SEED.
    """
    number = isinstance(seed, int | float) and not isinstance(seed, bool)
    if not number or not 0 <= seed <= MAX_SEED or seed != int(seed):
        raise ValueError(f"A scene's number is a whole number from 0 to {MAX_SEED:,}.")
    return Source(seed=int(seed), clip=clip)


def file_source(file: object, n_frames: object = 8) -> Source:
    """Return the source of an upload: a dict whose "path" is a file in the folder where Gradio keeps uploads.

    Handlers get the file unread (preprocess=False), and a stranger's request may name any path: Gradio
    checks only files that carry its own mark, so the check is made here. Whatever is wrong with a path, the
    sentence is the same, so that nobody learns which files the server has.

    Raises:
        ValueError: anything but the path of an uploaded file, or a number of frames out of range.
    """
    count = checked_n_frames(n_frames)
    try:
        path = Path(file["path"]).resolve(strict=True)  # links are followed: one may lead out of the folder
        if path.is_file() and is_inside_uploads(path):
            return Source(path=str(path), n_frames=count)
    except (TypeError, KeyError, ValueError, OSError, RuntimeError):
        pass
    raise ValueError(NO_UPLOAD)


def is_inside_uploads(path: Path) -> bool:
    """Return whether a path, with links resolved, lies in the folder where Gradio keeps uploads."""
    return path.is_relative_to(Path(get_upload_folder()).resolve())


def inside_uploads(path: str) -> str:
    """Return an upload's path inside the folder of uploads; "" for any other file."""
    if not is_inside_uploads(Path(path)):
        return ""
    return str(Path(path).relative_to(Path(get_upload_folder()).resolve()))


def under_uploads(inside: str) -> dict:
    """Return what `file_source` takes for a path that `inside_uploads` returned; not checked here.

    Raises:
        TypeError: something that is no text.
    """
    return {"path": str(Path(get_upload_folder()) / inside)}


def trace_source(file: object) -> Source:
    """Return the source of a saved run that a visitor uploaded; `file` as in file_source.

    Raises:
        ValueError: it was not uploaded, or it cannot be opened and shown; one sentence.
    """
    try:
        source = replace(file_source(file), trace=True)
    except ValueError:
        raise ValueError("No file arrived: choose one that was saved here.") from None
    load_saved_run(source)
    return source


def load_saved_run(source: Source) -> RecordedRun:
    """Return the run in the file of a source.

    Raises:
        ValueError: the file is gone, or cannot be opened and shown.
    """
    if not Path(source.path).is_file():
        raise ValueError(GONE)
    return _opened(source.path)


def checked_n_frames(n: object) -> int:
    """Return the number of frames to take of a clip, after checking it.

    Raises:
        ValueError: not a whole number from 1 to N_FRAMES[-1].
    """
    number = isinstance(n, int | float) and not isinstance(n, bool)
    if not number or not 1 <= n <= N_FRAMES[-1] or n != int(n):
        raise ValueError(f"The number of frames is a whole number from 1 to {N_FRAMES[-1]}.")
    return int(n)


def load_frames(source: Source, stop: Callable[[], bool] | None = None) -> tuple[MediaInput, tuple[str, ...]]:
    """Return the picture or the frames of a source, and sentences on what had to be done to them.

    A file is read without the model; reading ends when `stop` returns True or the caller has left.

    Raises:
        rediprune.media.MediaError (a ValueError): an unreadable file.
    """
    if source.is_scene:
        if not source.clip:
            return as_media_input(_scene(source.seed).image), ()
        frames = tuple(_clip(source.seed).images)
        return MediaInput(frames, True, tuple(t * CLIP_SECONDS for t in range(len(frames)))), ()
    if source.trace:
        return load_saved_run(source).media, ()
    if not Path(source.path).is_file():
        raise ValueError(GONE)
    return _file(source.path, source.n_frames, stop)


def suggestions(source: Source) -> tuple[str, ...]:
    """Return questions that fit: a scene or clip has its own, with known answers; a file gets general ones.

    Raises:
        ValueError: a file that cannot be read (any more).
    """
    if not source.is_scene:
        return CLIP_QUESTIONS if load_frames(source)[0].clip else PHOTO_QUESTIONS
    rendered = _clip(source.seed) if source.clip else _scene(source.seed)
    return tuple(question.text for question in rendered.questions)


def is_suggested(question: str, source: Source) -> bool:
    """Return whether the page suggested a question, so that it may be replaced along with the picture."""
    ours = suggestions(source) if source.is_scene else PHOTO_QUESTIONS + CLIP_QUESTIONS
    return question in ours


@lru_cache(maxsize=64)
def _scene(seed: int):
    return make_scene(seed)


@lru_cache(maxsize=16)
def _clip(seed: int):
    return make_clip(seed)


def _file(path: str, n_frames: int, stop: Callable[[], bool] | None) -> tuple[MediaInput, tuple[str, ...]]:
    """Read a file, or take it from those that were read last: every answer asks for it again."""
    known = _files.get((path, n_frames))
    if known is not None:
        return known
    with stop_when_caller_leaves() as left:

        def over() -> bool:
            return left.is_set() or (stop is not None and stop())

        with _reader(over):
            loaded = load_media(path, n_frames, stop=over, seconds=READ_SECONDS)
    return _files.put((path, n_frames), (as_media_input(loaded), loaded.notes))


@contextmanager
def _reader(over: Callable[[], bool]) -> Iterator[None]:
    """Wait until fewer files are being read than may be read at a time.

    Raises:
        ReadingStopped: nobody waits for the file any more.
    """
    while not _READERS.acquire(timeout=0.05):
        if over():
            raise ReadingStopped("Nobody waits for the file any more.")
    try:
        yield
    finally:
        _READERS.release()


def _opened(path: str) -> RecordedRun:
    known = _runs.get(path)
    if known is None:
        trace = load_trace(path)
        known = _runs.put(path, (RecordedRun(trace), trace))
    return known[0]
