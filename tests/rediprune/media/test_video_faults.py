"""Check alpha, colour matrices, tracks, clocks and orientation, which were once dropped silently."""

import struct
import zlib
from fractions import Fraction
from io import BytesIO

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from rediprune import load_image, load_video
from rediprune.media import container
from rediprune.media.image import ON_WHITE

from ...support.footage import grey, indices, write

WHITE = (255, 255, 255)
RED = (250, 0, 0)
# Not in the table of `footage.write`, because these codecs take frames with alpha.
ALPHA = [
    ("webm", "libvpx", "yuva420p"),
    ("webm", "libvpx-vp9", "yuva420p"),
    ("mkv", "libvpx", "yuva420p"),
    ("mkv", "libvpx-vp9", "yuva420p"),
    ("mkv", "ffv1", "bgra"),
    ("mkv", "ffv1", "yuva420p"),
    ("mov", "prores_ks", "yuva444p10le"),
    ("mov", "qtrle", "argb"),
    ("mov", "png", "rgba"),
]


def write_alpha(path, codec: str, pix_fmt: str, n: int = 20, gop: int = 5):
    """Write `n` black, transparent frames with one opaque red square in a corner."""
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[:16, :16] = (*RED, 255)
    with av.open(str(path), "w") as file:
        options = {"auto-alt-ref": "0"} if "vpx" in codec else {}
        stream = file.add_stream(codec, rate=10, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.codec_context.gop_size = gop
        for _ in range(n):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format=pix_fmt)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


def is_near(pixel, expected, most: int = 25) -> bool:
    return np.abs(np.array(pixel, int) - np.array(expected, int)).max() <= most


@pytest.mark.parametrize(("ending", "codec", "pix_fmt"), ALPHA)
@pytest.mark.parametrize("n", [3, 20], ids=["read whole", "by seeking"])
def test_a_transparent_video_is_laid_on_white(tmp_path, ending, codec, pix_fmt, n):
    video = load_video(write_alpha(tmp_path / f"clip.{ending}", codec, pix_fmt, n), 3)
    assert len(video.frames) == 3 and video.notes == (ON_WHITE,)
    for frame in video.frames:
        assert frame.mode == "RGB" and is_near(frame.getpixel((6, 6)), RED), frame.getpixel((6, 6))
        assert is_near(frame.getpixel((50, 40)), WHITE)


def test_an_opaque_video_with_alpha_gets_no_note(tmp_path):
    video = load_video(write(tmp_path / "clip.mkv", codec="ffv1", pix_fmt="bgra", n=5), 5)
    assert video.notes == () and indices(video.frames) == [0, 1, 2, 3, 4]


def test_alpha_that_this_ffmpeg_cannot_decode_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(container, "ALPHA_DECODERS", {"vp9": "none such"})
    video = load_video(write_alpha(tmp_path / "clip.webm", "libvpx-vp9", "yuva420p"), 3)
    assert video.notes == ("Which parts of the file are transparent could not be read.",)


def png(depth: int, colour: int, rows: list[bytes], transparent: bytes, width: int) -> bytes:
    """Build a PNG of any bit depth with a transparent colour, which Pillow cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", head), chunk(b"tRNS", transparent), chunk(b"IDAT", data), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


KEYED = {
    "16-bit grey": png(16, 0, [struct.pack(">HH", 5, 6)], struct.pack(">H", 5), 2),
    "8-bit grey": png(8, 0, [b"\5\6"], b"\0\5", 2),
    "4-bit grey": png(4, 0, [b"\x34"], b"\0\3", 2),
    "2-bit grey": png(2, 0, [b"\x60"], b"\0\1", 2),
    "1-bit grey": png(1, 0, [b"\x80"], b"\0\1", 2),
    "16-bit colour": png(
        16, 2, [struct.pack(">6H", 999, 0, 70, 9999, 0, 70)], struct.pack(">3H", 999, 0, 70), 2
    ),
    "8-bit colour": png(8, 2, [b"\1\2\3\1\2\4"], b"\0\1\0\2\0\3", 2),
}


@pytest.mark.parametrize("content", KEYED.values(), ids=KEYED)
def test_the_transparent_colour_of_a_png_of_any_depth(tmp_path, content):
    loaded = load_image(content)
    assert loaded.notes == (ON_WHITE,)
    assert loaded.image.getpixel((0, 0)) == WHITE != loaded.image.getpixel((1, 0))
    (tmp_path / "still.png").write_bytes(content)
    assert load_video(tmp_path / "still.png", 1).frames[0].tobytes() == loaded.image.tobytes()
    assert load_image(Image.open(BytesIO(content))).image.tobytes() == loaded.image.tobytes()


def test_premultiplied_grey_with_alpha():
    image = Image.new("RGBA", (2, 2), (0, 0, 0, 51)).convert("LA").convert("La")
    assert load_image(image).image.getpixel((0, 0)) == (204, 204, 204)


@pytest.mark.parametrize("file_format", ["gif", "webp", "png"])
def test_a_note_about_every_frame_is_given_once(tmp_path, file_format):
    frames = [Image.new("RGBA", (8, 8), (30 * i, 0, 0, 255)) for i in range(8)]
    for frame in frames:
        frame.paste((0, 0, 0, 0), (0, 0, 4, 4))
    path = tmp_path / f"clip.{file_format}"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, disposal=2, lossless=True)
    notes = load_video(path).notes
    assert ON_WHITE in notes and len(notes) == len(set(notes))


@pytest.mark.parametrize("file_format", ["webp", "png", "avif"])
@pytest.mark.parametrize("value", range(1, 9))
def test_an_animated_picture_is_upright_for_both_readers(tmp_path, file_format, value):
    exif = Image.Exif()
    exif[0x0112] = value
    frames = [Image.new("RGB", (40, 20), (0, 0, 60 * i)) for i in range(3)]
    for frame in frames:
        frame.paste((255, 0, 0), (0, 0, 20, 10))
    path = tmp_path / f"clip.{file_format}"
    if (
        file_format == "avif"
    ):  # Pillow's encoder dies of an animation with an orientation: a clip of one frame
        frames = frames[:1]
        frames[0].save(path, exif=exif)
    else:
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, exif=exif, lossless=True)
    still = load_image(path).image
    clip = load_video(path, 3)
    exif[0x0112] = value  # Pillow takes it out when it saves an AVIF
    expected = np.asarray(load_image(upright_png(frames[0], exif)).image, int)
    assert np.abs(np.asarray(still, int) - expected).mean() < 8
    assert {frame.size for frame in clip.frames} == {still.size} and len(clip.frames) == len(frames)
    assert np.abs(np.asarray(clip.frames[0], int) - np.asarray(still, int)).mean() < 8


def upright_png(image: Image.Image, exif: Image.Exif) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG", exif=exif)
    return buffer.getvalue()


COLOUR = (200, 60, 30)
UNSTATED, BT709, BT601, BT2020 = 2, 1, 6, 9


def write_colour(path, size, matrix, full=False, tagged=UNSTATED, codec="libx264", tag_range=True, **tags):
    """Write frames of one colour in `matrix` (PyAV's name), tagged in the file as `tagged` (H.273)."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.colorspace = tagged
        stream.codec_context.color_range = 2 if full and tag_range else 0
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        rgb = av.VideoFrame.from_image(Image.new("RGB", size, COLOUR))
        for i in range(2):
            frame = rgb.reformat(
                format="yuv420p", dst_colorspace=matrix, dst_color_range="JPEG" if full else "MPEG"
            )
            frame.colorspace, frame.color_range, frame.pts = tagged, 2 if full and tag_range else 0, i
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("size", "matrix", "tagged"),
    [
        ((640, 480), "ITU601", UNSTATED),
        ((720, 576), "ITU601", UNSTATED),
        ((1280, 720), "ITU709", UNSTATED),
        ((720, 1280), "ITU709", UNSTATED),
        ((1280, 544), "ITU709", UNSTATED),
        ((1280, 720), "ITU601", BT601),
        ((640, 480), "ITU709", BT709),
        ((1280, 720), "BT2020", BT2020),
        ((640, 480), "BT2020", BT2020),
        ((640, 480), "BT2020", 10),  # constant luminance, shown as its sibling
        ((1280, 720), "SMPTE240M", 7),
    ],
)
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full range"])
def test_colours_by_the_stated_matrix_or_by_size(tmp_path, size, matrix, tagged, full):
    path = write_colour(tmp_path / "clip.mkv", size, matrix, full, tagged)
    video = load_video(path, 1)
    assert is_near(video.frames[0].getpixel((40, 40)), COLOUR, 5), video.frames[0].getpixel((40, 40))
    assert video.notes == ()


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_untagged_high_definition_in_other_containers(tmp_path, ending):
    codec = "libx264" if ending == "mp4" else "libvpx-vp9"
    path = write_colour(tmp_path / f"clip.{ending}", (1280, 720), "ITU709", codec=codec)
    assert is_near(load_video(path, 1).frames[0].getpixel((40, 40)), COLOUR, 6)


def test_vp8_knows_one_matrix_of_any_size(tmp_path):
    path = write_colour(tmp_path / "clip.webm", (1280, 720), "ITU601", codec="libvpx")
    assert is_near(load_video(path, 1).frames[0].getpixel((40, 40)), COLOUR, 6)


def test_primaries_of_bt2020_stand_for_its_matrix(tmp_path):
    path = write_colour(tmp_path / "clip.mkv", (640, 480), "BT2020", color_primaries=9)
    assert is_near(load_video(path, 1).frames[0].getpixel((40, 40)), COLOUR, 6)


@pytest.mark.parametrize("tagged", [8, 11, 14])
def test_a_matrix_that_is_not_known_is_said_instead_of_refusing_the_file(tmp_path, tagged):
    path = write_colour(tmp_path / "clip.mkv", (640, 480), "ITU601", tagged=tagged)
    video = load_video(path, 1)
    assert len(video.frames) == 1 and "colours" in video.notes[0]


@pytest.mark.parametrize("ending", ["mkv", "mp4", "mov"])
def test_of_several_tracks_the_default_one_is_read(tmp_path, ending):
    path = tmp_path / f"clip.{ending}"
    with av.open(str(path), "w") as file:
        streams = [file.add_stream("libx264", rate=10) for _ in range(3)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.disposition = Disposition(0)
        streams[1].disposition = Disposition.default
        for i in range(6):
            for number, stream in enumerate(streams):
                file.mux(stream.encode(av.VideoFrame.from_image(grey(10 * number + i))))
        for stream in streams:
            file.mux(stream.encode())
    video = load_video(path, 3)
    assert indices(video.frames) == [10, 12, 15]
    assert video.notes == ("The file has 3 video tracks: only the one that players show is used.",)


JOINABLE = [
    ("ts", "libx264", {}),
    ("mkv", "libx264", {}),
    ("webm", "libvpx", {}),
    ("webm", "libvpx-vp9", {"live": "1"}),
]


@pytest.mark.parametrize("repeats", [1, 8], ids=["short", "long"])
@pytest.mark.parametrize(("ending", "codec", "muxer"), JOINABLE)
def test_joined_recordings_are_shown_one_after_the_other(tmp_path, ending, codec, muxer, repeats):
    images = [grey(i) for i in range(30)]
    path = tmp_path / f"clip.{ending}"
    parts = [images[:20] * repeats, images[20:] * repeats]
    whole = [write(path, images=part, codec=codec, container=muxer, gop=10).read_bytes() for part in parts]
    path.write_bytes(b"".join(whole))
    video = load_video(path, 7)
    last = 20 * repeats - 1 + 10 * repeats
    expected = [last * i // 6 for i in range(7)]
    numbers = [i % 20 if i < 20 * repeats else 20 + (i - 20 * repeats) % 10 for i in expected]
    assert indices(video.frames) == numbers
    assert video.notes[0].startswith("The clock in the file starts again once")
    assert list(video.seconds) == sorted(video.seconds)


def test_a_clock_that_goes_on_hours_later_is_one_that_restarts(tmp_path):
    first = write(tmp_path / "a.ts", n=20).read_bytes()
    later = write(
        tmp_path / "b.ts", images=[grey(i) for i in range(20, 30)], times=[18000 + i / 10 for i in range(10)]
    )
    (tmp_path / "clip.ts").write_bytes(first + later.read_bytes())
    video = load_video(tmp_path / "clip.ts", 4)
    assert indices(video.frames) == [0, 9, 19, 29] and video.duration < 4
    (tmp_path / "other.ts").write_bytes(later.read_bytes() + first)
    assert indices(load_video(tmp_path / "other.ts", 4).frames) == [20, 29, 9, 19]


@pytest.mark.parametrize("n", [30, 5])
@pytest.mark.parametrize("fps", [600, 1000, 2000, 10_000])
@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_first_and_last_frame_at_any_rate(tmp_path, ending, fps, n):
    frames = indices(load_video(write(tmp_path / f"clip.{ending}", n=n, fps=fps, gop=7), 4).frames)
    assert frames[0] == 0
    assert frames[-1] == n - 1 or (ending == "mkv" and fps == 10_000)  # whose clock ticks 1000 times a second


def test_1000_frames_a_second_are_sampled_evenly(tmp_path):
    video = load_video(write(tmp_path / "clip.mp4", n=29, fps=1000, gop=7), 5)
    assert indices(video.frames) == [0, 7, 14, 21, 28]
    assert video.seconds == pytest.approx([Fraction(i, 1000) for i in (0, 7, 14, 21, 28)])
