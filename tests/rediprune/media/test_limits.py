"""Check that every reader ends within its limits of pixels and seconds, and when it is told to stop."""

import io
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from rediprune import load_video
from rediprune.media import (
    MediaError,
    ReadingStopped,
    animation,
    load_image,
    picture_file,
    sampling,
    stream,
)
from rediprune.media.limits import ReadingLimit, TimeLimitReached
from rediprune.media.load import load_media
from rediprune.media.picture_file import WITHOUT_END

from ...support.footage import grey, indices, write
from .test_file_parts import gif

READERS = [load_image, load_video, load_media]


class StopAfter:
    """Return True at the given call, and count the calls."""

    def __init__(self, questions: int) -> None:
        self.left = questions
        self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        self.left -= 1
        return self.left < 0


def animated(path: Path, n: int = 40) -> Path:
    frames = [grey(i) for i in range(n)]
    options = {"lossless": True} if path.suffix == ".webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, **options)
    return path


def made(folder: Path, kind: str) -> Path:
    """Write a clip of 40 frames."""
    if kind in ("gif", "webp", "png", "avif"):
        return animated(folder / f"clip.{kind}")
    codec = "libvpx" if kind == "webm" else "libx264"
    return write(folder / f"clip.{kind}", n=40, codec=codec, gop=10)


KINDS = ["gif", "webp", "png", "avif", "mp4", "mkv", "webm", "ts"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_clip_can_be_stopped_at_every_question(tmp_path, kind):
    path = made(tmp_path, kind)
    never = StopAfter(10**9)
    whole = load_video(path, 4, stop=never)
    assert len(whole.frames) == 4 and never.asked > 40, "asked for every frame at least"
    for questions in sorted({0, 1, 2, 5, never.asked // 2, never.asked - 1}):
        stop = StopAfter(questions)
        with pytest.raises(ReadingStopped, match=r"^Reading clip\.\w+ was stopped\.$"):
            load_video(path, 4, stop=stop)
        assert stop.asked == questions + 1, "went on after it was told to stop"


@pytest.mark.parametrize("reader", READERS)
def test_a_still_picture_can_be_stopped(tmp_path, reader):
    grey(3).save(tmp_path / "still.png")
    with pytest.raises(ReadingStopped):
        reader(tmp_path / "still.png", stop=lambda: True)


def test_a_stop_is_no_fault_of_the_file(tmp_path):
    """Stop load_media, which tries a file without a known suffix as both kinds, without a failure message."""
    path = made(tmp_path, "mp4").rename(tmp_path / "unnamed")
    for questions in range(0, 40, 7):
        with pytest.raises(ReadingStopped):
            load_media(path, 4, stop=StopAfter(questions))


class Clock:
    """Simulate time that passes by a step whenever it is read."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += self.step
        return self.now


@pytest.mark.parametrize("kind", KINDS)
def test_when_the_seconds_are_over_what_was_read_is_shown_and_said(tmp_path, monkeypatch, kind):
    path = made(tmp_path, kind)
    outcomes = set()
    for step in (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 20.0):
        monkeypatch.setattr("rediprune.media.limits.time", Clock(step))
        try:
            video = load_video(path, 4, seconds=10.0)
        except TimeLimitReached as error:
            assert str(error).startswith(f"clip.{kind} takes longer than 10 s to read: ")
            outcomes.add("refused")
            continue
        assert 1 <= len(video.frames) <= 4
        is_late = any("took too long" in note for note in video.notes)
        assert is_late or len(video.frames) == 4
        outcomes.add("late" if is_late else "whole")
    assert {"whole", "refused"} <= outcomes
    assert "late" in outcomes or kind in ("mkv", "webm", "mp4", "ts", "avif")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_seconds_are_checked(tmp_path, reader, seconds):
    grey(3).save(tmp_path / "still.png")
    with pytest.raises(ValueError, match="seconds"):
        reader(tmp_path / "still.png", seconds=seconds)


def test_no_limit_of_time(tmp_path, monkeypatch):
    monkeypatch.setattr("rediprune.media.limits.time", Clock(10**6))
    assert len(load_video(made(tmp_path, "mp4"), 4, seconds=None).frames) == 4
    ReadingLimit("any", None, None).check()


def apng(canvas: tuple[int, int], frames: int) -> bytes:
    """Build a PNG of frames of one pixel each on a canvas."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def control(number: int, size: tuple[int, int]) -> bytes:
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *size, 0, 0, 1, 10, 0, 0))

    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", *canvas, 8, 2, 0, 0, 0))]
    parts += [chunk(b"acTL", struct.pack(">II", frames, 0)), control(0, canvas)]
    parts.append(chunk(b"IDAT", zlib.compress((b"\0" + bytes(3 * canvas[0])) * canvas[1], 1)))
    pixel = zlib.compress(b"\0\1\2\3")
    for i in range(1, 2 * frames - 1, 2):
        parts += [control(i, (1, 1)), chunk(b"fdAT", struct.pack(">I", i + 1) + pixel)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def webp(canvas: tuple[int, int], frames: int) -> bytes:
    """Build a WebP of frames of one pixel each on a canvas."""
    buffer = io.BytesIO()
    Image.new("RGB", (1, 1)).save(buffer, "WEBP", lossless=True)
    frame = bytes(12) + (50).to_bytes(3, "little") + b"\0" + buffer.getvalue()[12:]
    part = b"ANMF" + struct.pack("<I", len(frame)) + frame + bytes(len(frame) % 2)
    sides = b"".join((side - 1).to_bytes(3, "little") for side in canvas)
    head = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + sides + b"ANIM" + struct.pack("<I", 6) + bytes(6)
    body = b"WEBP" + head + part * frames
    return b"RIFF" + struct.pack("<I", len(body)) + body


MAKERS = {"gif": gif, "png": apng, "webp": webp}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("reader", [load_video, load_media])
def test_a_canvas_of_79_megapixels_is_refused_at_once(tmp_path, kind, reader):
    """Refuse a file of 5 KB with 200 frames of one pixel, which once took 152 s."""
    path = tmp_path / f"clip.{kind}"
    path.write_bytes(MAKERS[kind]((8900, 8900), 2 if kind == "png" else 200))
    start = time.monotonic()
    with pytest.raises(MediaError, match=r"more than 16 megapixels a frame"):
        reader(path, 8)
    assert time.monotonic() - start < 15


@pytest.mark.parametrize("kind", MAKERS)
def test_frames_without_end_on_a_small_canvas(tmp_path, monkeypatch, kind):
    path = tmp_path / f"clip.{kind}"
    path.write_bytes(MAKERS[kind]((4, 4), 3000))
    monkeypatch.setattr(animation, "MAX_PASS_PIXELS", 500 * (animation.PIXELS_PER_FRAME + 16))
    start = time.monotonic()
    video = load_video(path, 8)
    assert time.monotonic() - start < 15 and len(video.frames) == 8
    assert "Only the first 500 frames were read: the animation has too many or too large ones." in video.notes
    assert video.duration < 500 * 0.1 + 0.01


def test_the_budget_of_pixels_counts_the_canvas_not_the_frame(tmp_path, monkeypatch):
    (tmp_path / "clip.gif").write_bytes(gif((400, 300), 50))
    monkeypatch.setattr(animation, "MAX_PASS_PIXELS", 10 * (400 * 300 + animation.PIXELS_PER_FRAME))
    assert "Only the first 10 frames were read" in load_video(tmp_path / "clip.gif", 4).notes[0]


def test_an_animation_within_its_budget_has_no_note(tmp_path):
    assert load_video(animated(tmp_path / "clip.gif"), 4).notes == ()


@pytest.mark.parametrize("duration", [0, 65_535], ids=["none", "eleven minutes each"])
def test_durations_of_a_gif_of_any_length(tmp_path, duration):
    whole = gif((4, 4), 300).replace(
        b"\x21\xf9\x04\x04\x0a\0", b"\x21\xf9\x04\x04" + struct.pack("<H", duration)
    )
    (tmp_path / "clip.gif").write_bytes(whole)
    video = load_video(tmp_path / "clip.gif", 4)
    assert len(video.frames) == 4 and video.duration == pytest.approx(300 * (duration / 100 or 0.1))


def test_what_one_run_leaves_of_the_budget_another_may_use(tmp_path, monkeypatch):
    """Share the frames that eight runs may decode among eight moments of a clip with one keyframe."""
    path = write(tmp_path / "clip.mp4", n=200, gop=10**6, options={"x264-params": "keyint=infinite"})
    monkeypatch.setattr(stream, "MAX_RUN_PIXELS", 30 * 64 * 48)
    assert load_video(path, 8).notes == ()
    monkeypatch.setattr(stream, "MAX_RUN_PIXELS", 20 * 64 * 48)
    assert "Parts too far from a keyframe, or from the beginning, were not read." in load_video(path, 8).notes


def test_what_a_clip_may_decode_takes_seconds_on_one_core():
    """Bound eight moments to half a minute, at about 300 frames of 1080p decoded per second."""
    assert 8 * sampling.MAX_RUN_PIXELS / (1920 * 1080) / 300 < 40


def bomb(path: Path, claimed: int, filled: bool) -> Path:
    """Build an MP4 whose index claims more frames than there are, padded to as many bytes."""
    whole = bytearray(write(path, n=20).read_bytes())
    at = whole.index(b"stsz")
    whole[at + 8 : at + 16] = struct.pack(">II", 1, claimed)
    at = whole.index(b"stts")
    whole[at + 8 : at + 16] = struct.pack(">II", 1, claimed)
    at = whole.index(b"stsc")
    whole[at + 16 : at + 20] = struct.pack(">I", claimed)
    rest = struct.pack(">I4s", claimed + 8, b"free") + bytes(claimed) if filled else b""
    path.write_bytes(bytes(whole) + rest)
    return path


def test_an_index_of_more_frames_than_bytes_is_refused(tmp_path):
    """Refuse an index of a million entries in 3 KB, in which FFmpeg needs minutes for one seek."""
    for claimed in (300_000, 2**32 - 1):  # 300 GB of FFmpeg's memory
        path = bomb(tmp_path / "clip.mp4", claimed, filled=False)
        start = time.monotonic()
        with pytest.raises(MediaError, match="claims more frames than it can hold"):
            load_video(path)
        assert time.monotonic() - start < 5


def test_an_index_of_too_many_frames_is_refused_however_large_the_file(tmp_path):
    path = bomb(tmp_path / "clip.mp4", 5_000_000, filled=True)
    with pytest.raises(MediaError, match="claims 5,000,000 frames, too many to read"):
        load_video(path)


def test_where_a_seek_would_take_minutes_none_is_tried(tmp_path, monkeypatch):
    """Read what can be reached without seeking in an index of 200,000 frames with keyframes at its start."""
    path = bomb(tmp_path / "clip.mp4", 200_000, filled=True)
    start = time.process_time()
    try:
        load_video(path, 4, seconds=5)
    except MediaError as error:
        assert len(str(error)) < 200
    assert time.process_time() - start < 12


def test_a_run_of_frames_without_bytes_is_counted(tmp_path):
    path = write(tmp_path / "clip.mp4", n=20)
    run = struct.pack(">I4sII", 16, b"trun", 0, 2**31)
    path.write_bytes(path.read_bytes() + struct.pack(">I4s", 8 + len(run), b"moof") + run)
    with pytest.raises(MediaError, match="claims more frames than it can hold"):
        load_video(path)


def test_where_seeking_is_slow_no_more_is_tried(tmp_path, monkeypatch):
    monkeypatch.setattr("rediprune.media.container.MAX_SEEK_SECONDS", -1.0)
    video = load_video(write(tmp_path / "clip.mkv", n=100, gop=10), 4)
    assert indices(video.frames) == [0, 33 % 30, 66 % 30, 99 % 30]


MEASURE = """
import resource, sys
from rediprune import load_video
load_video(sys.argv[1])
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    load_video(path)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) // 1024)
"""


def test_memory_is_that_of_a_few_canvases(tmp_path):
    """Bound the memory; a canvas of 4000 x 3900 with alpha takes 62 MB."""
    paths = [tmp_path / f"clip.{kind}" for kind in MAKERS]
    for path in paths:
        path.write_bytes(MAKERS[path.suffix[1:]]((4000, 3900), 3))
    small = animated(tmp_path / "small.gif", 3)
    command = [sys.executable, "-c", MEASURE, str(small), *map(str, paths)]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True)
    assert int(done.stdout) < 700, "MB"


def broken_jpeg(path, side, cut):
    """A photo of noise whose last bytes are missing: the end marker alone, or pixels too."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, quality=90)
    path.write_bytes(path.read_bytes()[:-cut])
    return path


def count_decodings(monkeypatch) -> list[str]:
    """Count how often Pillow decodes a JPEG."""
    begun = []
    real = JpegImagePlugin.JpegImageFile.load_prepare

    def load_prepare(image):
        if image.tile:
            begun.append(image.format)
        return real(image)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load_prepare", load_prepare)
    return begun


def test_a_damaged_picture_that_took_long_is_not_decoded_again(tmp_path, monkeypatch):
    path = broken_jpeg(tmp_path / "cut.jpg", 300, 2)
    begun = count_decodings(monkeypatch)
    assert load_image(path).notes == (WITHOUT_END,)
    assert len(begun) > 5  # what finding out takes
    begun.clear()
    monkeypatch.setattr(ReadingLimit, "is_spent", lambda limit, share: share < 1)
    with pytest.raises(MediaError, match="image file is truncated"):
        load_image(path)
    assert len(begun) == 1


def test_the_end_of_a_large_photo_is_not_searched_for(tmp_path, monkeypatch):
    path = broken_jpeg(tmp_path / "cut.jpg", 300, 2)
    monkeypatch.setattr(picture_file, "MAX_RESTORED_PIXELS", 300 * 300 - 1)
    begun = count_decodings(monkeypatch)
    with pytest.raises(MediaError, match="image file is truncated"):
        load_image(path)
    assert len(begun) <= 2
