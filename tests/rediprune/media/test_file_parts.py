"""Check that bad metadata refuses no picture, and that no file structure takes minutes to read."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from rediprune import load_video
from rediprune.media import MediaError, load_image
from rediprune.media.file_parts import MAX_GIF_BLOCKS, MAX_PIECES
from rediprune.media.load import load_media
from rediprune.media.picture_file import WITHOUT_END, WITHOUT_METADATA

RED, GREEN = (255, 0, 0), (0, 255, 0)
ORIENTATION = 0x0112


def halves() -> Image.Image:
    """Return a picture whose left half is red and right half green."""
    image = Image.new("RGB", (40, 20), GREEN)
    image.paste(RED, (0, 0, 20, 20))
    return image


def encoded(file_format: str, **options) -> bytes:
    buffer = io.BytesIO()
    halves().save(buffer, file_format, **options)
    return buffer.getvalue()


def is_halves(image: Image.Image) -> bool:
    return image.size == (40, 20) and np.abs(np.asarray(image, int) - np.asarray(halves(), int)).mean() < 8


def chunk(kind: bytes, body: bytes, checksum: int | None = None) -> bytes:
    """Build a PNG chunk, with a correct checksum unless one is given."""
    right = zlib.crc32(kind + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", right)


def with_chunk(part: bytes, behind: bool = False) -> bytes:
    """Insert a chunk into a PNG, before its pixels or behind them."""
    whole = encoded("PNG")
    at = whole.index(b"IEND" if behind else b"IDAT") - 4
    return whole[:at] + part + whole[at:]


LONG = zlib.compress(b"{workflow}" * 200_000)  # 2 MB
BAD_CHUNKS = {
    "zipped text": chunk(b"zTXt", b"workflow\0\0" + LONG),
    "zipped international text": chunk(b"iTXt", b"workflow\0\1\0\0\0" + LONG),
    "text checksum": chunk(b"tEXt", b"a\0b", checksum=1),
    "time checksum": chunk(b"tIME", bytes(7), checksum=1),
    "empty profile": chunk(b"iCCP", b""),
    "profile of another compression": chunk(b"iCCP", b"name\0\7rest"),
    "long profile": chunk(b"iCCP", b"name\0\0" + LONG),
    "empty intent": chunk(b"sRGB", b""),
    "short size": chunk(b"pHYs", b"\0"),
    "short gamma": chunk(b"gAMA", b"\0"),
    "short primaries": chunk(b"cHRM", b"\0\0\0"),
    "text of another compression": chunk(b"zTXt", b"a\0\7b"),
    "EXIF checksum": chunk(b"eXIf", b"II*\0", checksum=1),
    "EXIF": chunk(b"eXIf", b"no EXIF at all"),
    "EXIF in text": chunk(b"tEXt", b"Raw profile type exif\0\n\n\nno hexadecimal"),
}


@pytest.mark.parametrize("behind", [False, True], ids=["before the pixels", "behind the pixels"])
@pytest.mark.parametrize("part", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_a_png_whose_metadata_cannot_be_read_loads(tmp_path, part, behind):
    loaded = load_image(with_chunk(part, behind))
    assert is_halves(loaded.image) and len(loaded.notes) <= 1
    (tmp_path / "unnamed").write_bytes(with_chunk(part, behind))
    assert is_halves(load_media(tmp_path / "unnamed").image), "taken for something else without its ending"
    assert is_halves(load_video(tmp_path / "unnamed").frames[0])


def test_what_was_left_out_is_said_and_the_orientation_is_kept():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    whole = encoded("PNG", exif=exif)
    at = whole.index(b"IDAT") - 4
    loaded = load_image(whole[:at] + BAD_CHUNKS["zipped text"] + whole[at:])
    assert loaded.image.size == (20, 40) and loaded.notes == (WITHOUT_METADATA,)


@pytest.mark.parametrize(
    "part",
    [chunk(b"PLTE", b"\1\2\3", checksum=1), chunk(b"IHDR", bytes(13), checksum=1)],
    ids=["PLTE", "IHDR"],
)
def test_what_pixels_need_is_not_left_out(part):
    with pytest.raises(MediaError, match="damaged"):
        load_image(with_chunk(part))


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


BAD_SEGMENTS = {
    "short JFIF": segment(0xE0, b"JFIF\0"),
    "EXIF": segment(0xE1, b"Exif\0\0" + b"no EXIF at all"),
    "XMP": segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<x:tiff:Orientation="9">'),
    "profile": segment(0xE2, b"ICC_PROFILE\0"),
    "preview": segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff"),
    "Photoshop": segment(0xED, b"Photoshop 3.0\x008BIM\0\1"),
    "short Adobe": segment(0xEE, b"Adobe"),
}


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it skips
@pytest.mark.parametrize("part", BAD_SEGMENTS.values(), ids=BAD_SEGMENTS)
def test_a_jpeg_whose_metadata_cannot_be_read_loads(part):
    whole = encoded("JPEG", quality=95, subsampling=0)
    loaded = load_image(whole[:2] + part + whole[2:])
    assert is_halves(loaded.image) and len(loaded.notes) <= 1


@pytest.mark.parametrize("ends", [b"", b"\xff"], ids=["no marker", "half a marker"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str)
def test_a_jpeg_that_lacks_only_its_end_marker_loads(options, ends):
    whole = encoded("JPEG", quality=95, subsampling=0, **options)
    loaded = load_image(whole[:-2] + ends)
    assert is_halves(loaded.image) and loaded.notes in ((), (WITHOUT_END,))


def test_a_jpeg_that_lacks_pixels_too_is_refused():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    buffer = io.BytesIO()
    noise.save(buffer, "JPEG")
    for missing in (6, 20, 100, 1000):
        with pytest.raises(MediaError, match="damaged"):
            load_image(buffer.getvalue()[:-missing])


@pytest.mark.parametrize("file_format", ["WEBP", "AVIF", "JPEG", "PNG", "TIFF"])
def test_broken_exif_of_every_format_does_not_refuse(file_format):
    exif = Image.Exif()
    exif[305] = "the name of a program"
    whole = encoded(file_format, exif=exif)
    at = whole.index(b"the name of") - 40
    begins = max(whole.rfind(b"II*\0", at), whole.rfind(b"MM\0*", at))
    if file_format != "TIFF":  # there it is the head of the picture
        whole = whole[:begins] + b"none" + whole[begins + 4 :]
    loaded = load_image(whole)
    assert is_halves(loaded.image) and len(loaded.notes) <= 1


@pytest.mark.parametrize("options", [{"xmp": b'tiff:Orientation="9"'}, {"icc_profile": b"none"}], ids=str)
@pytest.mark.parametrize("file_format", ["WEBP", "AVIF", "JPEG", "PNG", "TIFF"])
def test_broken_xmp_and_profiles_of_every_format_do_not_refuse(file_format, options):
    loaded = load_image(encoded(file_format, **options))
    assert is_halves(loaded.image) and len(loaded.notes) <= 1


@pytest.mark.parametrize("kept", [0, 4])
def test_a_webp_that_breaks_off_in_its_metadata_loads(kept):
    whole = encoded("WEBP", lossless=True, xmp=b"<x>" * 50, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    loaded = load_image(whole[: whole.index(b"XMP ") + 8 + kept])
    assert is_halves(loaded.image) and loaded.notes == (WITHOUT_METADATA,)


def tiff_with(tag: int, kind: int, count: int, value: int) -> bytes:
    """Build a TIFF in which another entry replaces the one for the software's name."""
    whole = bytearray(encoded("TIFF", tiffinfo={305: "name"}))
    start = struct.unpack_from("<I", whole, 4)[0]
    for number in range(struct.unpack_from("<H", whole, start)[0]):
        entry = start + 2 + 12 * number
        if struct.unpack_from("<H", whole, entry)[0] == 305:
            struct.pack_into("<HHII", whole, entry, tag, kind, count, value)
    return bytes(whole)


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it skips
@pytest.mark.parametrize(
    "entry",
    [(305, 2, 2**31, 8), (305, 99, 1, 0), (700, 1, 2**31, 8), (34675, 7, 2**31, 8), (34665, 4, 1, 2**31)],
    ids=["name", "kind", "XMP", "profile", "EXIF"],
)
def test_a_tiff_whose_metadata_cannot_be_read_loads(entry):
    loaded = load_image(tiff_with(*entry))
    assert is_halves(loaded.image) and len(loaded.notes) <= 1


def gif(canvas: tuple[int, int], frames: int, extension: bytes = b"") -> bytes:
    """Build a GIF of frames of one pixel each."""
    head = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff" + extension
    frame = b"\x21\xf9\x04\x04\x0a\0\0\0" + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
    return head + frame * frames + b";"


def seconds_of(work) -> float:
    start = time.monotonic()
    try:
        work()
    except MediaError as error:
        assert str(error).endswith(".")
    return time.monotonic() - start


def test_a_long_comment_in_a_gif_costs_next_to_nothing():
    """Read a file for which Pillow alone needs 9 s, and four times that at twice its length."""
    comment = b"\x21\xfe" + (b"\xff" + b"a" * 255) * 16_000 + b"\0"
    assert seconds_of(lambda: load_image(gif((4, 4), 1, comment))) < 2
    assert load_image(gif((4, 4), 1, comment)).image.size == (4, 4)


def test_a_jpeg_of_thousands_of_scans_is_refused_at_once():
    """Refuse a file of 1 MB that takes half an hour: each 31 bytes make the decoder pass over all pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (2000, 2000)).save(buffer, "JPEG", progressive=True)
    whole = buffer.getvalue()
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    with pytest.raises(MediaError, match="too many scans"):
        load_image(whole[:-2] + scan * 30_000 + b"\xff\xd9")
    assert load_image(whole[:-2] + scan * 3 + b"\xff\xd9").image.size == (2000, 2000)


def test_a_file_in_more_pieces_than_a_reader_takes_in_seconds_is_refused():
    blocks = b"\x21\xfe" + b"\1a" * (MAX_GIF_BLOCKS + 1) + b"\0"
    with pytest.raises(MediaError, match="pieces"):
        load_image(gif((4, 4), 1, blocks))
    with pytest.raises(MediaError, match="pieces"):
        load_image(with_chunk(chunk(b"IDAT", b"") * (MAX_PIECES + 1)))


@pytest.mark.parametrize("tag", [273, 324], ids=["strips", "tiles"])
def test_a_tiff_cut_into_millions_of_pieces_is_refused_before_it_is_opened(tag):
    with pytest.raises(MediaError, match="pieces"):
        load_image(tiff_with(tag, 4, MAX_PIECES + 1, 8))


def test_a_tiff_with_one_enormous_tile_is_refused():
    whole = bytearray(tiff_with(322, 4, 1, 100_000))
    start = struct.unpack_from("<I", whole, 4)[0]
    entries = range(start + 2, start + 2 + 12 * struct.unpack_from("<H", whole, start)[0], 12)
    last = [entry for entry in entries if struct.unpack_from("<H", whole, entry)[0] != 322][-1]
    struct.pack_into("<HHII", whole, last, 323, 4, 1, 100_000)
    with pytest.raises(MediaError, match="pieces"):
        load_image(bytes(whole))
