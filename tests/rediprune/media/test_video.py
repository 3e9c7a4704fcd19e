"""Check which frames load_video returns, at which times, how they look, and what it refuses."""

import random
import re
import struct
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
from PIL import Image

from rediprune import load_video
from rediprune.media import MediaError, container, sampling, stream
from rediprune.media.image import to_rgb
from rediprune.media.orientation import MAX_SIDE
from rediprune.media.video import MAX_FRAMES

from ...support.footage import grey, indices, write, write_sound

CONTAINERS = [
    ("mp4", "libx264", "yuv420p"),
    ("mov", "libx264", "yuv420p"),
    ("mkv", "libx264", "yuv420p10le"),
    ("webm", "libvpx", "yuv420p"),
    ("webm", "libvpx-vp9", "yuv420p"),
    ("avi", "mjpeg", "yuvj420p"),
    ("ts", "libx264", "yuv420p"),
]


@pytest.fixture
def decoded_times(monkeypatch) -> list[int]:
    """Record the presentation times of all video frames that were decoded, in order."""
    times, decode = [], stream.decode_frames

    def noted(*args):
        for frame in decode(*args):
            times.append(frame.pts)
            yield frame

    monkeypatch.setattr(stream, "decode_frames", noted)
    return times


def refusal(path, n_frames: int = 4) -> str:
    """Return the message that `path` is refused with, after checking that it is one sentence."""
    with pytest.raises(MediaError) as caught:
        load_video(path, n_frames)
    message = str(caught.value)
    assert message.endswith(".") and not re.search(r"\.\s|\n", message), f"not one sentence: {message!r}"
    return message


@pytest.mark.parametrize("n", [1, 2, 3, 7, 30, 31, 100, 1001])
@pytest.mark.parametrize("asked", [1, 2, 5, 8, 16])
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(60)])
def test_at_a_constant_rate_the_frames_are_those_of_the_published_code(n, asked, rate):
    """Include times that a container rounds to milliseconds, up to 30 frames per second."""
    published = sorted(set(np.linspace(0, n - 1, asked, dtype=int).tolist())) if n > asked else list(range(n))
    exact = [i / rate for i in range(n)]
    rounded = [Fraction(round(time * 1000), 1000) for time in exact]
    assert sampling.select_frames(exact, asked) == published
    assert rate > 30 or sampling.select_frames(rounded, asked) == published


@pytest.mark.parametrize(("ending", "codec", "pix_fmt"), CONTAINERS)
@pytest.mark.parametrize("n", [1, 5, 8])
def test_uniform_sampling_in_every_container(tmp_path, ending, codec, pix_fmt, n):
    video = load_video(write(tmp_path / f"clip.{ending}", n=29, codec=codec, gop=10, pix_fmt=pix_fmt), n)
    expected = np.linspace(0, 28, n, dtype=int).tolist()
    assert indices(video.frames) == expected
    assert video.seconds == pytest.approx([i / 10 for i in expected], abs=0.001)
    assert video.duration == pytest.approx(2.9, abs=0.002)
    assert video.notes == () and {frame.mode for frame in video.frames} == {"RGB"}


def test_every_frame_of_a_short_clip_once_and_a_note(tmp_path):
    video = load_video(write(tmp_path / "clip.mp4", n=5), 8)
    assert indices(video.frames) == [0, 1, 2, 3, 4]
    assert video.notes == ("The clip has only 5 frames, not the 8 asked for.",)


@pytest.mark.parametrize(("ending", "codec", "pix_fmt"), CONTAINERS)
def test_one_frame_is_a_clip(tmp_path, ending, codec, pix_fmt):
    video = load_video(write(tmp_path / f"clip.{ending}", n=1, codec=codec, pix_fmt=pix_fmt))
    assert indices(video.frames) == [0] and video.seconds == (0.0,)
    assert video.notes == ("The clip has only one frame, not the 8 asked for.",)


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_a_variable_rate_is_sampled_by_the_clock_not_by_index(tmp_path, ending):
    times = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 2.0, 4.0, 6.0, 8.0]
    video = load_video(write(tmp_path / f"clip.{ending}", n=13, times=times), 5)
    assert indices(video.frames) == [0, 9, 10, 11, 12]
    assert video.seconds == pytest.approx([0, 2, 4, 6, 8])


@pytest.mark.parametrize("n", [12, 40])  # few enough to be read whole, and too many
def test_a_frame_that_stands_for_long_is_given_once_and_a_note(tmp_path, n):
    times = [*(i / 100 for i in range(n - 1)), 60.0]
    video = load_video(write(tmp_path / "clip.mkv", n=n, times=times), 8)
    assert video.seconds == pytest.approx([0, times[-2], 60])
    assert video.notes == ("Only 3 different frames are on screen at the 8 moments: each is used once.",)


@pytest.mark.parametrize(
    ("ending", "codec"), [("mp4", "libx264"), ("mkv", "libx264"), ("webm", "libvpx"), ("ts", "libx264")]
)
def test_ten_hours_cost_no_more_decoding_than_a_minute(tmp_path, decoded_times, ending, codec):
    def count(n: int, fps) -> int:
        decoded_times.clear()
        video = load_video(
            write(tmp_path / f"{n}.{ending}", n=n, codec=codec, fps=fps, gop=30, size=(32, 32)), 4
        )
        expected = np.linspace(0, n - 1, 4, dtype=int)
        assert indices(video.frames) == (expected % 30).tolist()
        assert video.duration == pytest.approx(n / fps, rel=0.001)
        return len(decoded_times)

    most = 4 * (30 + 5)  # a run from keyframe to moment for each, and the frame that follows
    assert count(600, 10) <= most and count(3600, Fraction(1, 10)) <= most


def test_ten_hours_between_a_few_frames(tmp_path):
    video = load_video(write(tmp_path / "clip.mp4", n=5, times=[0, 1, 9000, 18000, 36000]), 3)
    assert video.seconds == (0, 18000, 36000) and indices(video.frames) == [0, 3, 4]


def test_with_one_keyframe_in_all_each_frame_is_decoded_once(tmp_path, decoded_times):
    path = write(
        tmp_path / "clip.mp4", n=600, gop=10**6, size=(32, 32), options={"x264-params": "keyint=infinite"}
    )
    assert indices(load_video(path, 4).frames) == [0, 199 % 30, 399 % 30, 599 % 30]
    assert len(decoded_times) == len(set(decoded_times)) == 600


def test_a_run_without_end_is_given_up_and_said(tmp_path, monkeypatch, decoded_times):
    path = write(
        tmp_path / "clip.mp4", n=600, gop=10**6, size=(32, 32), options={"x264-params": "keyint=infinite"}
    )
    monkeypatch.setattr(stream, "MAX_RUN_PIXELS", 50 * 32 * 32)
    video = load_video(path, 4)
    assert len(decoded_times) <= 4 * 50 + 1 and indices(video.frames)[0] == 0
    assert "Parts too far from a keyframe, or from the beginning, were not read." in video.notes


@pytest.mark.parametrize(
    ("ending", "codec", "muxer"),
    [("webm", "libvpx", {"live": "1"}), ("mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"})],
    ids=["webm", "mp4"],
)
def test_what_a_browser_records_has_neither_length_nor_index(tmp_path, ending, codec, muxer):
    video = load_video(write(tmp_path / f"clip.{ending}", n=100, codec=codec, gop=20, container=muxer), 4)
    assert indices(video.frames) == [0, 33 % 30, 66 % 30, 99 % 30] and video.notes == ()


def test_what_cannot_seek_is_read_from_the_beginning(tmp_path, monkeypatch, decoded_times):
    def no_seek(*args):
        raise av.error.PermissionError(1, "no seeking")

    path = write(tmp_path / "clip.mkv", n=100, gop=10)
    monkeypatch.setattr(stream, "seek", no_seek)
    assert indices(load_video(path, 4).frames) == [0, 33 % 30, 66 % 30, 99 % 30]
    assert len(decoded_times) == 100


QUADRANTS = np.array([[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 255)]], np.uint8)
MATRICES = [(1, 0, 0, 1), (-1, 0, 0, 1), (1, 0, 0, -1), (-1, 0, 0, -1)]
MATRICES += [(0, 1, -1, 0), (0, -1, 1, 0), (0, 1, 1, 0), (0, -1, -1, 0)]


@pytest.mark.parametrize("matrix", MATRICES, ids=str)
@pytest.mark.parametrize("ending", ["mp4", "mov"])
def test_rotation_and_mirroring_are_applied(tmp_path, ending, matrix):
    """Compare the corners with the formula of the file format."""
    a, b, c, d = matrix
    stored = Image.fromarray(QUADRANTS.repeat(32, 0).repeat(48, 1))
    fixed = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    path = write(tmp_path / f"clip.{ending}", images=[stored] * 3, matrix=fixed)
    frame = load_video(path, 1).frames[0]
    assert frame.size == ((96, 64) if a else (64, 96))
    for y in (-1, 1):
        for x in (-1, 1):
            shown_x, shown_y = a * x + c * y, b * x + d * y
            at = (frame.width * (2 + shown_x) // 4, frame.height * (2 + shown_y) // 4)
            expected = QUADRANTS[(y + 1) // 2, (x + 1) // 2]
            assert np.abs(np.array(frame.getpixel(at), int) - expected).max() < 12


@pytest.mark.parametrize(
    ("shape", "size"), [(Fraction(2), (128, 48)), (Fraction(1, 2), (64, 96)), (Fraction(4, 3), (85, 48))]
)
def test_pixels_are_made_square(tmp_path, shape, size):
    assert load_video(write(tmp_path / "clip.mp4", pixel_shape=shape), 2).frames[0].size == size


def test_large_frames_are_scaled_down_and_odd_sizes_kept(tmp_path):
    video = load_video(write(tmp_path / "large.mkv", n=2, codec="ffv1", size=(2561, 1441)), 2)
    assert {frame.size for frame in video.frames} == {(MAX_SIDE, 720)} and indices(video.frames) == [0, 1]
    assert load_video(write(tmp_path / "odd.mkv", n=2, codec="ffv1", size=(31, 17)), 2).frames[0].size == (
        31,
        17,
    )


def test_too_large_or_too_long_a_strip_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "clip.mp4")
    monkeypatch.setattr(container, "MAX_PIXELS", 64 * 48 - 1)
    assert "megapixels a frame" in refusal(path)
    monkeypatch.undo()
    assert "strip" in refusal(write(tmp_path / "strip.mkv", n=2, codec="ffv1", size=(1020, 16)))


def test_hdr_is_noted(tmp_path):
    path = write(
        tmp_path / "clip.mp4", pix_fmt="yuv420p10le", options={"x264-params": "transfer=arib-std-b67"}
    )
    assert load_video(path, 4).notes[0].startswith("The file is HDR (HLG): ")


@pytest.mark.parametrize("file_format", ["gif", "webp", "png", "avif"])
def test_animated_pictures_by_their_own_times(tmp_path, file_format):
    frames, lengths = [grey(i) for i in range(10)], [100] * 8 + [800, 100]
    options = {"lossless": True} if file_format == "webp" else {}
    path = tmp_path / f"clip.{file_format}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=lengths, **options)
    video = load_video(path, 5)  # moments 0, 0.4, 0.8, 1.2, 1.6 s
    assert indices(video.frames) == [0, 4, 8, 9]
    assert video.seconds == pytest.approx((0, 0.4, 0.8, 1.6)) and video.duration == pytest.approx(1.7)
    assert indices(load_video(path, 16).frames) == list(range(10))


def test_a_still_picture_is_a_clip_of_one_frame(tmp_path):
    grey(7).save(tmp_path / "still.gif")
    video = load_video(tmp_path / "still.gif")
    assert indices(video.frames) == [7] and video.notes[0].startswith("The clip has only one frame")


def test_a_gif_in_a_hurry_is_shown_as_browsers_show_it(tmp_path):
    frames = [grey(i) for i in range(3)]
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:], duration=10)
    assert load_video(tmp_path / "clip.gif").seconds == pytest.approx((0, 0.1, 0.2))


def test_holes_in_an_animation_show_white(tmp_path):
    frames = [Image.new("RGBA", (8, 8), (250, 0, 0, 255)), Image.new("RGBA", (8, 8), (0, 0, 0, 0))]
    frames[0].save(
        tmp_path / "clip.webp", save_all=True, append_images=frames[1:], duration=100, lossless=True
    )
    video = load_video(tmp_path / "clip.webp", 2)
    assert [f.getpixel((4, 4)) for f in video.frames] == [(250, 0, 0), (255, 255, 255)]
    assert "Transparent parts are shown on white." in video.notes


def test_a_gif_that_breaks_off_is_used_as_far_as_it_goes(tmp_path):
    noise = [
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)) for i in range(9)
    ]
    noise[0].save(tmp_path / "clip.gif", save_all=True, append_images=noise[1:], duration=100)
    whole = (tmp_path / "clip.gif").read_bytes()
    (tmp_path / "cut.gif").write_bytes(whole[: len(whole) // 2])
    video = load_video(tmp_path / "cut.gif", 4)
    first = to_rgb(Image.open(BytesIO(whole)), "GIF", "clip.gif", [])
    assert np.abs(np.asarray(video.frames[0], int) - np.asarray(first, int)).max() == 0
    assert len(video.frames) >= 3 and "broken" in video.notes[0]


@pytest.mark.parametrize(
    ("ending", "codec", "muxer"),
    [
        ("mp4", "libx264", {"movflags": "+faststart"}),
        ("mkv", "libx264", {}),
        ("webm", "libvpx", {}),
        ("ts", "libx264", {}),
    ],
    ids=["mp4", "mkv", "webm", "ts"],
)
def test_a_truncated_file_gives_what_is_there_or_one_sentence(tmp_path, ending, codec, muxer):
    noise = [
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8)) for i in range(60)
    ]
    whole = write(
        tmp_path / f"clip.{ending}", images=noise, codec=codec, gop=10, container=muxer
    ).read_bytes()
    path, ends = tmp_path / f"cut.{ending}", []
    for part in (0.001, 0.02, 0.3, 0.6, 0.9):
        path.write_bytes(whole[: int(len(whole) * part)])
        try:
            video = load_video(path, 4)
        except MediaError:
            refusal(path)
            continue
        ends.append(video.seconds[-1])
        assert ending == "ts" or video.notes or 6 - video.duration < 1.1  # MPEG-TS declares no length
    assert len(ends) >= 3 and ends == sorted(ends) and ends[0] < 2.5 and ends[-1] > 4.5


def test_an_mp4_without_its_index_is_named_as_such(tmp_path):
    whole = write(tmp_path / "clip.mp4", n=60).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: whole.index(b"moov") - 4])
    assert "cut off or damaged" in refusal(tmp_path / "cut.mp4")


@pytest.mark.parametrize(
    ("ending", "codec"), [("mp4", "libx264"), ("mkv", "libx265"), ("webm", "libvpx-vp9"), ("webm", "libvpx")]
)
def test_damaged_bytes_load_or_are_refused_quietly_and_nothing_else(tmp_path, capfd, ending, codec):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    whole = write(tmp_path / f"clip.{ending}", n=40, codec=codec, gop=10, options=options).read_bytes()
    rng, path = random.Random(0), tmp_path / f"damaged.{ending}"
    capfd.readouterr()
    for trial in range(60):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            damaged[rng.randrange(len(damaged) if trial % 2 else 600)] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            assert len({frame.size for frame in load_video(path, 4).frames}) == 1
        except MediaError as error:
            assert len(str(error)) < 300
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("ending", "codec"),
    [("wav", "pcm_s16le"), ("ogg", "libopus"), ("m4a", "aac"), ("mp3", "libmp3lame"), ("mkv", "libopus")],
)
def test_sound_alone_is_refused(tmp_path, ending, codec):
    assert "only sound or a cover" in refusal(write_sound(tmp_path / f"sound.{ending}", codec))


def test_a_cover_picture_is_no_video(tmp_path):
    sound, cover = write_sound(tmp_path / "sound.mp3", "libmp3lame").read_bytes(), BytesIO()
    grey(5).save(cover, "JPEG")
    body = b"\0image/jpeg\0\x03\0" + cover.getvalue()
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
    (tmp_path / "cover.mp3").write_bytes(b"ID3\x03\0\0" + size + frame + sound)
    with av.open(str(tmp_path / "cover.mp3")) as file:
        assert len(file.streams.video) == 1, "the cover was not understood as one"
    assert "only sound or a cover" in refusal(tmp_path / "cover.mp3")


def test_an_encrypted_file_is_named_as_such(tmp_path):
    key = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "0f" * 16, "encryption_kid": "f0" * 16}
    assert "is encrypted" in refusal(write(tmp_path / "clip.mp4", container=key))


def test_a_track_without_frames(tmp_path):
    assert "ends before its first frame" in refusal(write(tmp_path / "clip.webm", codec="libvpx", images=[]))
    whole = write(tmp_path / "clip.mkv", n=1, size=(640, 480)).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: whole.index(b"\x1f\x43\xb6\x75") + 400])
    assert "without any frame" in refusal(tmp_path / "cut.mkv")


@pytest.mark.parametrize(
    "text", [b"hello", b"#EXTM3U\n#EXTINF:1,\nother.mp4\n", b"ffconcat version 1.0\nfile other.mp4\n"]
)
def test_a_text_file_and_a_playlist_are_no_video_and_open_no_other_file(tmp_path, text):
    write(tmp_path / "other.mp4")
    (tmp_path / "clip.mp4").write_bytes(text)
    assert "no video that can be read" in refusal(tmp_path / "clip.mp4")


def test_no_file_no_bytes_no_path(tmp_path):
    (tmp_path / "empty.mp4").touch()
    assert "is empty (0 bytes)" in refusal(tmp_path / "empty.mp4")
    assert "is not a file" in refusal(tmp_path) and "is not a file" in refusal(tmp_path / "absent.mp4")
    assert "web address" in refusal("https://example.org/clip.mp4")
    assert "not a video" in refusal(None)


def test_a_name_in_any_script_that_looks_like_a_protocol(tmp_path):
    assert len(load_video(write(tmp_path / "a.mp4").rename(tmp_path / "concat:übung 1%d.mp4"), 2).frames) == 2


@pytest.mark.parametrize("n", [0, -1, MAX_FRAMES + 1, 2.0, True, None])
def test_how_many_frames_is_checked(tmp_path, n):
    with pytest.raises(ValueError, match="n_frames"):
        load_video(tmp_path / "any.mp4", n)
