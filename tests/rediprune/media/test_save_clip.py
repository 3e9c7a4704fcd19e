"""Check that saved clips play back frame by frame, with the same colours and speed."""

from io import BytesIO

import av
import numpy as np
import pytest
from PIL import Image

from rediprune import load_video
from rediprune.media.save_clip import save_clip

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 100, 50), (250, 250, 250)]


def coloured(size=(64, 48)) -> list[Image.Image]:
    return [Image.new("RGB", size, colour) for colour in COLOURS]


@pytest.mark.parametrize("kind", ["mp4", "gif"])
@pytest.mark.parametrize("fps", [0.5, 2.5, 10])
def test_a_clip_reads_back_as_it_was_written(tmp_path, kind, fps):
    save_clip(coloured(), tmp_path / f"clip.{kind}", fps)
    video = load_video(tmp_path / f"clip.{kind}", 5)
    assert video.seconds == pytest.approx([i / fps for i in range(5)], abs=0.001)
    assert video.duration == pytest.approx(5 / fps, abs=0.001) and video.frames[0].size == (64, 48)
    for frame, colour in zip(video.frames, COLOURS, strict=True):
        assert np.abs(np.asarray(frame, int).mean((0, 1)) - colour).max() < 4


def test_odd_sides_are_padded_with_the_edge(tmp_path):
    save_clip(coloured((63, 47)), tmp_path / "clip.mp4")
    frame = load_video(tmp_path / "clip.mp4", 5).frames[0]
    assert frame.size == (64, 48) and frame.getpixel((63, 47))[0] > 245


def test_mp4_is_what_every_browser_plays(tmp_path):
    save_clip(coloured(), tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as file:
        assert file.streams.video[0].codec_context.name == "h264"
        frame = next(file.decode(video=0))
    assert (
        frame.format.name == "yuv420p" and frame.colorspace == frame.color_trc == frame.color_primaries == 1
    )
    written = (tmp_path / "clip.mp4").read_bytes()
    assert written.index(b"moov") < written.index(b"mdat"), "a browser would wait for the end of the file"


@pytest.mark.parametrize("kind", ["mp4", "gif"])
def test_a_buffer_holds_the_same_clip(tmp_path, kind):
    buffer = BytesIO()
    save_clip(coloured(), buffer, 2, kind=kind)
    (tmp_path / "clip").write_bytes(buffer.getvalue())
    assert len(load_video(tmp_path / "clip", 5).frames) == 5


def test_one_frame_and_other_modes(tmp_path):
    save_clip([Image.new("L", (8, 8), 77)], tmp_path / "clip.mp4", 1)
    assert load_video(tmp_path / "clip.mp4", 1).frames[0].getpixel((4, 4)) == pytest.approx((77,) * 3, abs=3)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1000])
def test_the_pace_is_checked(tmp_path, fps):
    with pytest.raises(ValueError, match="fps"):
        save_clip(coloured(), tmp_path / "clip.mp4", fps)


def test_frames_and_kind_are_checked(tmp_path):
    with pytest.raises(ValueError, match="one size"):
        save_clip([], tmp_path / "clip.mp4")
    with pytest.raises(ValueError, match="one size"):
        save_clip([*coloured(), *coloured((8, 8))], tmp_path / "clip.mp4")
    with pytest.raises(ValueError, match="mp4 or gif"):
        save_clip(coloured(), tmp_path / "clip.txt")
    with pytest.raises(ValueError, match="mp4 or gif"):
        save_clip(coloured(), BytesIO())


def test_with_one_palette_a_gif_that_hardly_changes_is_small_and_keeps_its_colours(tmp_path):
    noise = np.random.default_rng(0).integers(0, 60, (96, 128, 3), dtype=np.uint8)
    frames = [Image.fromarray(noise) for _ in range(6)]
    for i, frame in enumerate(frames):
        frame.paste((240, 133, 58), (20 * i, 0, 20 * i + 16, 16))
    frames.append(frames[-1])
    for name, one_palette in (("each", False), ("one", True)):
        save_clip(frames, tmp_path / f"{name}.gif", 10, one_palette=one_palette)
    sizes = {name: (tmp_path / f"{name}.gif").stat().st_size for name in ("each", "one")}
    assert sizes["one"] < sizes["each"] / 3
    video = load_video(tmp_path / "one.gif", 6)
    assert video.duration == pytest.approx(0.7)
    for i, frame in enumerate(video.frames):
        mark = np.asarray(frame, int)[2:14, 20 * i + 2 : 20 * i + 14] if i < 5 else None
        assert mark is None or np.abs(mark.mean((0, 1)) - (240, 133, 58)).max() < 12
