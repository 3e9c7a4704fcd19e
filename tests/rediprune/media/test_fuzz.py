"""Feed damaged files of every format to every reader: each loads or is refused in seconds, in a sentence.

The mutations are seeded, so that a failure names the file that caused it: format, seed and number. Those that
once caused a fault are kept in FOUND and tried in every run.
"""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from rediprune import load_video
from rediprune.media import MediaError, load_image
from rediprune.media.load import load_media

from ...support.footage import write

pytestmark = pytest.mark.filterwarnings("ignore")  # decoders warn of what they skip; only the outcome counts

QUICK = 25  # mutations of each format in the default run
MANY = 250  # in `pytest -m slow`: ten minutes on two cores
MOST_SECONDS = 30.0  # for one file, on a busy machine; the originals take hundredths
PICTURES = ("png", "png16", "apng", "jpeg", "progressive", "gif", "animated gif", "webp", "animated webp")
PICTURES += ("tiff", "zipped tiff", "bmp", "ppm", "avif", "animated avif")
CLIPS = ("mp4", "fragmented mp4", "mov", "mkv", "webm", "alpha webm", "vp9 webm", "avi", "ts", "hevc mkv")
# (format, seed, number) of mutations that once ended otherwise than in a picture or a sentence.
FOUND: tuple[tuple[str, int, int], ...] = ()

MAGIC = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def _frames(n: int = 4, size: tuple[int, int] = (48, 32)) -> list[Image.Image]:
    frames = []
    for i in range(n):
        frame = Image.linear_gradient("L").resize(size).convert("RGBA")
        frame.paste((200, 30 * i, 0, 255), (4 * i, 4, 4 * i + 12, 16))
        frame.paste((0, 0, 0, 0), (40, 20, 48, 32))
        frames.append(frame)
    return frames


def _saved(file_format: str, animated: bool = False, mode: str = "RGBA", **options) -> bytes:
    frames = [frame.convert(mode) for frame in _frames()]
    if animated:
        options |= {"save_all": True, "append_images": frames[1:], "duration": 100}
    buffer = io.BytesIO()
    frames[0].save(buffer, file_format, **options)
    return buffer.getvalue()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[305] = "a program"
    return exif


def _clip(folder: Path, kind: str) -> bytes:
    codecs = {"webm": "libvpx", "alpha webm": "libvpx", "vp9 webm": "libvpx-vp9", "avi": "mjpeg"}
    codec = codecs.get(kind, "libx265" if kind == "hevc mkv" else "libx264")
    how = {}
    if kind == "fragmented mp4":
        how["container"] = {"movflags": "frag_keyframe+empty_moov"}
    if kind == "alpha webm":
        how["pix_fmt"] = "yuva420p"
        how["options"] = {"auto-alt-ref": "0"}
    if kind == "avi":
        how["pix_fmt"] = "yuvj420p"
    if kind == "hevc mkv":
        how["options"] = {"x265-params": "log-level=none"}
    path = folder / f"clip.{kind.split()[-1]}"
    return write(path, n=30, codec=codec, gop=10, **how).read_bytes()


SAVED: dict[str, Callable[[], bytes]] = {
    "png": lambda: _saved("PNG", exif=_exif(), dpi=(72, 72)),
    "png16": lambda: _grey16(),
    "apng": lambda: _saved("PNG", animated=True),
    "jpeg": lambda: _saved("JPEG", mode="RGB", exif=_exif(), comment=b"a comment"),
    "progressive": lambda: _saved("JPEG", mode="RGB", progressive=True),
    "gif": lambda: _saved("GIF", mode="P", comment=b"a comment"),
    "animated gif": lambda: _saved("GIF", animated=True),
    "webp": lambda: _saved("WEBP", exif=_exif(), xmp=b"<x/>"),
    "animated webp": lambda: _saved("WEBP", animated=True),
    "tiff": lambda: _saved("TIFF", exif=_exif()),
    "zipped tiff": lambda: _saved("TIFF", mode="RGB", compression="tiff_deflate"),
    "bmp": lambda: _saved("BMP", mode="RGB"),
    "ppm": lambda: _saved("PPM", mode="RGB"),
    "avif": lambda: _saved("AVIF"),
    "animated avif": lambda: _saved("AVIF", animated=True),
}


def _grey16() -> bytes:
    buffer = io.BytesIO()
    Image.new("I;16", (24, 16), 999).save(buffer, "PNG")
    return buffer.getvalue()


@cache
def whole(kind: str, folder: Path) -> bytes:
    """Return the undamaged file that mutations of a kind start from."""
    return SAVED[kind]() if kind in SAVED else _clip(folder, kind)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


def mutated(content: bytes, kind: str, seed: int, number: int) -> bytes:
    """Change a file in one to six places: bytes, integers, cuts, repeated and exchanged pieces."""
    rng = random.Random(f"{kind} {seed} {number}")
    data = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        # Heads decide more than pixels do.
        reach = min(len(data), rng.choice([64, 600, len(data)]))
        at = rng.randrange(reach) if reach else 0
        change = rng.choice(["byte", "byte", "number", "number", "cut", "repeat", "drop", "end"])
        length = rng.choice([1, 4, 16, 200])
        if change == "byte" and data:
            data[at] = rng.randrange(256)
        elif change == "number":
            size = rng.choice([2, 4, 8])
            value = rng.choice(MAGIC) % 256**size
            data[at : at + size] = value.to_bytes(size, rng.choice(["big", "little"]))
        elif change == "cut" and rng.random() < 0.3:
            del data[at:]
        elif change == "repeat":
            data[at:at] = data[at : at + length] * rng.choice([1, 3, 50])
        elif change == "drop":
            del data[at : at + length]
        elif change == "end":
            data += bytes(rng.randrange(256) for _ in range(length))
    return bytes(data)


def check(kind: str, seed: int, number: int, folder: Path) -> None:
    """Give one mutation to every reader that a visitor's file may come to."""
    path = folder / "damaged"
    path.write_bytes(mutated(whole(kind, folder), kind, seed, number))
    readers = [load_media, load_video] if kind in CLIPS else [load_media, load_video, load_image]
    for reader in readers:
        start = time.monotonic()
        try:
            loaded = reader(path)
        except MediaError as error:
            message = str(error)
            assert message.endswith(".") and "\n" not in message and len(message) < 400, message
        else:
            frames = getattr(loaded, "frames", None) or (loaded.image,)
            assert {frame.mode for frame in frames} == {"RGB"} and len({frame.size for frame in frames}) == 1
            assert len(loaded.notes) == len(set(loaded.notes))
            assert all(note.endswith(".") for note in loaded.notes)
        taken = time.monotonic() - start
        assert taken < MOST_SECONDS, f"{reader.__name__} took {taken:.1f} s"


@pytest.mark.parametrize("kind", PICTURES + CLIPS)
def test_a_sound_file_loads(kind, folder):
    path = folder / "sound"
    path.write_bytes(whole(kind, folder))
    loaded = load_media(path)
    assert (getattr(loaded, "frames", None) or (loaded.image,))[0].mode == "RGB"


@pytest.mark.parametrize("kind", PICTURES + CLIPS)
def test_damaged_files_load_or_get_one_sentence(kind, folder, capfd):
    for number in range(QUICK):
        check(kind, 0, number, folder)
    assert capfd.readouterr().out == ""


def test_what_once_was_found(folder):
    for kind, seed, number in FOUND:
        check(kind, seed, number, folder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", PICTURES + CLIPS)
def test_many_damaged_files_load_or_get_one_sentence(kind, folder):
    failures = []
    for number in range(MANY):
        try:
            check(kind, 1, number, folder)
        except Exception as error:
            failures.append((kind, 1, number, repr(error)[:200]))
    assert not failures
