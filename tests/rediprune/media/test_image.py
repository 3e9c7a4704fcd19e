"""Check that load_image reads every kind of picture, or refuses it in one clear sentence."""

import io
import random
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from rediprune.media import LoadedImage, MediaError, load_image
from rediprune.media import image as module
from rediprune.media.image import MAX_SIDE

RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def halves(size=(40, 20), left=RED, right=GREEN) -> Image.Image:
    """Return a picture of two colours, left and right, so that two pixels tell its orientation."""
    image = Image.new("RGB", size, right)
    image.paste(left, (0, 0, size[0] // 2, size[1]))
    return image


def encoded(image: Image.Image, file_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def gradient16() -> np.ndarray:
    return np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)


def refusal(source) -> str:
    """Return the message that `source` is refused with, after checking that it is one sentence."""
    with pytest.raises(MediaError) as caught:
        load_image(source)
    message = str(caught.value)
    assert message.endswith(".") and not re.search(r"\.\s|\n", message), f"not one sentence: {message!r}"
    return message


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_a_lossless_file_comes_back_pixel_for_pixel_without_a_note(file_format):
    loaded = load_image(encoded(halves(), file_format))
    assert loaded.notes == () and loaded.image.mode == "RGB"
    assert loaded.image.tobytes() == halves().tobytes()


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "AVIF"])
def test_a_lossy_file_comes_back_nearly_so(file_format):
    loaded = load_image(encoded(halves(), file_format))
    assert loaded.notes == ()
    assert np.abs(np.asarray(loaded.image, int) - np.asarray(halves(), int)).mean() < 8


def test_path_bytes_pil_and_array_give_the_same_picture(tmp_path):
    path = tmp_path / "halves.png"
    halves().save(path)
    sources = [
        path,
        str(path),
        path.read_bytes(),
        bytearray(path.read_bytes()),
        halves(),
        np.asarray(halves()),
    ]
    assert {load_image(source).image.tobytes() for source in sources} == {halves().tobytes()}


def test_a_callers_pil_image_is_left_as_it_is():
    given = Image.open(io.BytesIO(encoded(halves((9000, 20 * 9)), "JPEG")))
    loaded = load_image(given)
    loaded.image.putpixel((0, 0), (1, 2, 3))
    assert given.size == (9000, 180) and given.getpixel((0, 0)) != (1, 2, 3)


def test_one_pixel_is_a_picture():
    assert load_image(encoded(Image.new("RGB", (1, 1), RED), "PNG")).image.getpixel((0, 0)) == RED


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side: turn it a quarter clockwise to view
    image = load_image(encoded(halves(), "JPEG", exif=exif, quality=95, subsampling=0)).image
    assert image.size == (20, 40)
    top, bottom = image.getpixel((10, 5)), image.getpixel((10, 35))
    assert top[0] > 200 > top[1] and bottom[1] > 200 > bottom[0]
    assert image.getexif().get(0x0112, 1) == 1, "a second reader would turn it again"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_alpha_is_laid_on_white(mode):
    image = Image.new("RGBA", (4, 4), (0, 0, 0, 255))
    image.putpixel((0, 0), (0, 0, 0, 0))
    loaded = load_image(image.convert(mode))
    assert loaded.image.getpixel((0, 0)) == WHITE and loaded.image.getpixel((3, 3)) == (0, 0, 0)
    assert loaded.notes == ("Transparent parts are shown on white.",)


def test_half_transparent_is_half_white():
    assert load_image(Image.new("RGBA", (2, 2), (0, 0, 0, 51))).image.getpixel((0, 0)) == (204, 204, 204)


def test_an_opaque_alpha_channel_is_not_worth_a_note():
    assert load_image(halves().convert("RGBA")) == LoadedImage(halves(), ())


def test_palette_with_a_transparent_colour():
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, *GREEN])
    image.putpixel((1, 0), 1)
    loaded = load_image(encoded(image, "PNG", transparency=1))
    assert [loaded.image.getpixel((x, 0)) for x in (0, 1)] == [RED, WHITE]


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_scaled_not_clipped(file_format):
    loaded = load_image(encoded(Image.fromarray(gradient16()), file_format))
    values = np.asarray(loaded.image)[..., 0].reshape(-1)
    assert values.tolist() == list(range(256)) and loaded.notes == ()


def test_32_bit_and_float_files_are_stretched_and_say_so():
    for dtype in (np.int32, np.float32):
        loaded = load_image(encoded(Image.fromarray(np.array([[-5, 0, 5]], dtype)), "TIFF"))
        assert np.asarray(loaded.image)[0, :, 0].tolist() == [0, 128, 255]
        assert loaded.notes == ("Brightness was stretched to the full range.",)
    assert load_image(Image.new("F", (2, 2), 7.5)).image.getpixel((0, 0)) == (0, 0, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_float_file_with_pixels_that_are_no_numbers_is_refused(bad):
    assert "not finite" in refusal(Image.fromarray(np.array([[0, bad]], np.float32)))


def test_cmyk_becomes_rgb_and_says_so():
    loaded = load_image(encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95))
    red, green, blue = loaded.image.getpixel((4, 4))
    assert red > 240 and green < 15 and blue < 15
    assert loaded.notes == ("CMYK colours were converted to RGB without their colour profile.",)


@pytest.mark.parametrize("file_format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_taken(file_format):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN, WHITE)]
    loaded = load_image(encoded(frames[0], file_format, save_all=True, append_images=frames[1:]))
    assert loaded.image.getpixel((4, 4))[1] < 20
    assert loaded.notes == ("Only frame 1 of several is used.",)


def test_of_an_opened_animation_the_current_frame_is_taken():
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, GREEN)]
    opened = Image.open(io.BytesIO(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])))
    opened.seek(1)
    assert load_image(opened).image.getpixel((0, 0)) == GREEN
    assert load_image(opened).notes == ("Only frame 2 of several is used.",)


def test_a_phone_photo_with_its_preview_is_no_animation():
    loaded = load_image(encoded(halves(), "MPO", save_all=True, append_images=[halves()]))
    assert loaded.notes == ()


def test_54_megapixels_are_scaled_down():
    loaded = load_image(encoded(halves((9000, 6000)), "JPEG"))
    assert loaded.image.size == (MAX_SIDE, 2731)
    assert loaded.notes == ("Scaled down to 4096 x 2731 pixels.",)
    left, right = loaded.image.getpixel((100, 100)), loaded.image.getpixel((4000, 2700))
    assert left[0] > 240 > 20 > left[1] and right[1] > 240 > 20 > right[0]


def test_54_megapixels_that_cannot_be_decoded_smaller():
    image = Image.new("P", (6000, 9000))
    image.putpalette([*RED, *GREEN])
    loaded = load_image(encoded(image, "PNG", compress_level=1))
    assert loaded.image.size == (2731, MAX_SIDE)
    assert loaded.image.getpixel((1000, 1000)) == RED


def test_what_fits_is_not_resampled():
    image = halves((MAX_SIDE, 100))
    assert load_image(image) == LoadedImage(image, ())


def png_claiming(width: int, height: int) -> bytes:
    """Build a valid PNG header of any size with almost no data behind it, like a decompression bomb."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9000, 12_000, 60_000])
def test_more_than_the_limit_is_refused_before_decoding(side):
    assert refusal(png_claiming(side, side)).startswith("The image has more than 80 megapixels: ")


def test_a_pil_image_above_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(module, "MAX_PIXELS", 799)
    assert "megapixels" in refusal(halves((40, 20)))


def test_a_strip_is_refused_because_a_processor_would_blow_it_up():
    assert "crop it" in refusal(Image.new("RGB", (51, 1)))
    assert load_image(Image.new("RGB", (50, 1))).image.size == (50, 1)


@pytest.mark.parametrize("size", [(0, 0), (0, 5)])
def test_no_pixels(size):
    assert "no content" in refusal(Image.new("RGB", size))


@pytest.mark.parametrize("content", [b"hello", b"%PDF-1.7\n", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_an_unknown_format_is_named_as_such(tmp_path, content):
    path = tmp_path / "thing.png"
    path.write_bytes(content)
    assert refusal(path).startswith("thing.png is in no known format (AVIF, ")


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_is_an_unknown_format(brand):
    assert "known format" in refusal(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0" + brand + b"miaf" + b"\0" * 64)


def test_postscript_is_never_run():
    assert "known format" in refusal(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")


def test_an_empty_file(tmp_path):
    path = tmp_path / "empty.jpg"
    path.touch()
    assert refusal(path).startswith("empty.jpg is empty (0 bytes)")
    assert "empty" in refusal(b"")


def test_what_is_no_file(tmp_path):
    assert "is not a file" in refusal(tmp_path / "absent")
    assert "is not a file" in refusal(tmp_path)
    assert "is not a file" in refusal("")
    assert "web address" in refusal("https://example.org/a")


@pytest.mark.parametrize("source", [None, 3, ["a.png"], object()])
def test_what_is_no_image(source):
    assert "is not an image" in refusal(source)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"])
def test_half_a_file_is_refused(file_format):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    whole = encoded(noise, file_format)
    assert "damaged" in refusal(whole[: len(whole) // 2])


@pytest.mark.filterwarnings("ignore")  # decoders warn of what they skip; only the outcome counts here
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF"])
def test_damaged_bytes_load_or_are_refused_and_nothing_else(file_format):
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if file_format in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF") else {}
    whole, rng = encoded(halves(), file_format, **options), random.Random(0)
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            damaged[rng.randrange(min(len(damaged), 200))] = rng.randrange(256)
        try:
            assert load_image(damaged).image.mode == "RGB"
        except MediaError as error:
            assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[0, 255]], np.uint8), [0, 255]),
        (np.array([[0, 255]], np.int64), [0, 255]),
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0, 65535]], np.uint16), [0, 255]),
        (np.array([[0.0, 0.2, 1.0]]), [0, 51, 255]),
        (np.array([[[0], [7]]], np.uint8), [0, 7]),
    ],
)
def test_array_ranges(array, expected):
    assert np.asarray(load_image(array).image)[0, :, 0].tolist() == expected


def test_array_with_alpha():
    assert load_image(np.zeros((2, 2, 4), np.uint8)).image.getpixel((0, 0)) == WHITE


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 8, 8), np.uint8),  # channels first
        np.zeros(8, np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.full((2, 2), 256),
        np.full((2, 2), -1),
        np.full((2, 2), 1.5),
        np.full((2, 2), np.nan),
        np.full((2, 2), "x"),
        np.zeros((2, 2), complex),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_other_arrays_are_refused(array):
    assert refusal(array).startswith("The image ")
