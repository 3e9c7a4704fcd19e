"""Read a picture as upright 8-bit RGB, or say in one sentence why that is not possible.

Files are not trusted. Only raster formats that Pillow decodes by itself are read (no PostScript, which starts
a program), the size is checked before a pixel is decoded, and any exception of a decoder becomes a
MediaError.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from .limits import MAX_SECONDS, MediaError, ReadingLimit, ReadingStopped, TimeLimitReached
from .picture_file import OpenFile, read_picture

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
# Just below the size at which Pillow starts to warn of decompression bombs; a phone's 50 megapixels are
# allowed.
MAX_PIXELS = 80_000_000
# Far above what vision towers read (336 pixels for LLaVA-1.5); smaller pictures are not scaled at all.
MAX_SIDE = 4096
# Processors scale the SHORT side to the tower's size: a 10000 x 1 strip would become 3360000 x 336 pixels.
MAX_ASPECT = 50

ON_WHITE = "Transparent parts are shown on white."

_BAND = 512  # rows that are converted at once

# Table from 16-bit samples to 8-bit samples, rounded.
_TO_8_BITS = ((np.arange(65536, dtype=np.uint32) * 255 + 32767) // 65535).astype(np.uint8)

ImageSource: TypeAlias = str | os.PathLike | bytes | Image.Image | np.ndarray


__all__ = [
    "ON_WHITE",
    "ImageSource",
    "LoadedImage",
    "MediaError",
    "ReadingStopped",
    "TimeLimitReached",
    "check_size",
    "existing_file",
    "load_image",
    "to_rgb",
    "transparent_colour",
    "upright_transpose",
]


@dataclass(frozen=True)
class LoadedImage:
    """Hold a checked picture, and notes on what was changed.

    Attributes:
        image: PIL, mode RGB, 8 bits, upright, sides in [1, MAX_SIDE]; a copy that no other code refers to.
        notes: short sentences for the reader on how it differs from the source; none for a plain photo.
    """

    image: Image.Image
    notes: tuple[str, ...] = ()


def load_image(
    source: ImageSource,
    *,
    stop: Callable[[], bool] | None = None,
    seconds: float | None = MAX_SECONDS,
) -> LoadedImage:
    """Load a picture as upright 8-bit RGB.

    EXIF orientation is applied, and 16 bits are scaled, not clipped, to 8. These changes are noted: one frame
    is taken of an animation, alpha is laid on white, CMYK becomes RGB, 32-bit and float files are stretched
    to full brightness, sides above MAX_SIDE are scaled down, and metadata that cannot be read is left out.

    Args:
        source: a path; the bytes of a file; a PIL image (not changed; its current frame is taken); an array
            [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]: bool, integers 0..255, uint16 0..65535, floats 0..1.
        stop: called often while a file is read, from this thread; once it returns True the reading ends with
            ReadingStopped. At most one picture is decoded between two calls.
        seconds: how long the reading of a file may take; None: without a limit.

    Raises:
        MediaError: missing, empty, damaged or in an unknown format; above MAX_PIXELS; more than MAX_ASPECT
            times longer than wide; an array of another shape or range; not an image at all.
        ReadingStopped, TimeLimitReached: subclasses of MediaError, see the arguments.
        ValueError: seconds out of range.
    """
    name = Path(source).name if isinstance(source, str | os.PathLike) else "The image"
    limit = ReadingLimit(name, stop, seconds)
    try:
        return _load(source, name, limit)
    except MediaError:
        raise
    except UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise MediaError(
            f"{name} is in no known format ({known}) or damaged: save it as PNG or JPEG."
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(name) from None
    except Exception as error:  # decoders raise nearly every type of exception for hostile bytes
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise MediaError(f"{name} cannot be read ({reason}): it may be damaged, so save it again.") from error


def _load(source: ImageSource, name: str, limit: ReadingLimit) -> LoadedImage:
    """Load a picture from any kind of source; exceptions of decoders pass through."""
    limit.check()
    if isinstance(source, Image.Image):
        return _convert(source, name, is_ours=False)
    if isinstance(source, np.ndarray):
        return _convert(_from_array(source, name), name, is_ours=True)
    if isinstance(source, str | os.PathLike):
        source = existing_file(source)
    elif not isinstance(source, bytes | bytearray):
        kind = type(source).__name__
        raise MediaError(f"A {kind} is not an image: give a path, bytes, a PIL image or a numpy array.")
    elif not source:
        raise _empty(name)

    def read(open_file: OpenFile) -> LoadedImage:
        """Convert the picture once it is open."""
        with open_file() as image:
            return _convert(image, name, is_ours=True)

    loaded, note = read_picture(source, name, FORMATS, limit, read)
    limit.check()
    return loaded if note is None else LoadedImage(loaded.image, (*loaded.notes, note))


def _convert(image: Image.Image, name: str, is_ours: bool) -> LoadedImage:
    """Convert an opened picture, decoded or not, to upright 8-bit RGB."""
    check_size(image.size, name)
    notes: list[str] = []
    long_side = max(image.size)
    if is_ours:  # draft changes the object, which must not happen to one of the caller
        image.draft(None, (MAX_SIDE, MAX_SIDE))  # decodes a JPEG at 1/2, 1/4 or 1/8 if that is large enough
    # An MPO is one photo with its preview, not an animation.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        notes.append(f"Only frame {image.tell() + 1} of several is used.")
    transparent = transparent_colour(image)
    image.load()
    rgb = to_rgb(image, image.format, name, notes, transparent)
    if turn := upright_transpose(image, notes):
        rgb = rgb.transpose(turn)
    rgb.info = {}  # other code would apply the orientation a second time
    if long_side > MAX_SIDE:
        notes.append(f"Scaled down to {rgb.width} x {rgb.height} pixels.")
    return LoadedImage(rgb, tuple(dict.fromkeys(notes)))


def existing_file(path: str | os.PathLike) -> Path:
    """Check that a path leads to a file that is not empty, and return it.

    Raises:
        MediaError: a web address, no file, or an empty file.
    """
    if str(path).startswith(("http:", "https:")):
        raise MediaError(f"{path} is a web address: download what is there and give the file.")
    file = Path(path)
    if not file.is_file():
        raise MediaError(f"{path} is not a file: check the path.")
    if file.stat().st_size == 0:
        raise _empty(file.name)
    return file


def _empty(name: str) -> MediaError:
    """Make the error for a source without bytes."""
    return MediaError(f"{name} is empty (0 bytes): save or download it again.")


def check_size(size: tuple[int, int], name: str) -> None:
    """Refuse a picture of (width, height) pixels that is empty, too large or too narrow.

    Raises:
        MediaError: a side of 0, above MAX_PIXELS, or more than MAX_ASPECT times longer than wide.
    """
    short, long = sorted(size)
    shape = f"{size[0]} x {size[1]} pixels"
    if short == 0:
        raise MediaError(f"{name} has no content ({shape}): give one of at least 1 x 1.")
    if short * long > MAX_PIXELS:
        raise _too_large(name)
    if long > MAX_ASPECT * short:
        raise MediaError(f"{name} is a strip of {shape}: crop it to at most 1 : {MAX_ASPECT}.")


def _too_large(name: str) -> MediaError:
    """Make the error for a picture above MAX_PIXELS."""
    limit = MAX_PIXELS // 10**6
    return MediaError(f"{name} has more than {limit} megapixels: save a smaller copy and give that.")


# Value of the EXIF orientation tag (Exif 2.32, 4.6.4) -> the operation that turns the stored picture upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright_transpose(image: Image.Image, notes: list[str]) -> Image.Transpose | None:
    """Return the operation that turns an opened picture upright, None if it is; note EXIF that is unreadable.

    The readers of stills and of animations both use it, so that they agree about a file.
    """
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF raises nearly every type of exception
        notes.append("Which way up the picture is could not be read: it is shown as it is stored.")
        return None


def transparent_colour(image: Image.Image) -> int | bytes | tuple[int, int, int] | None:
    """Return the colour that a file declares transparent, in the values of its decoded pixels.

    A PNG declares it as a sample of the file. Pillow returns it unchanged, while it scales samples of 2 and 4
    bits up and 16-bit colours down to 8 bits. For 16-bit colours only the upper bytes can be compared.

    Args:
        image: opened, but not loaded yet.
    """
    stated = image.info.get("transparency")
    mode = _raw_mode(image)
    if mode in ("L;2", "L;4") and isinstance(stated, int):
        return stated * 255 // (2 ** int(mode[-1]) - 1)
    if isinstance(stated, tuple) and (mode == "RGB;16B" or max(stated) > 255):
        return tuple(value >> 8 for value in stated)
    return stated


def _raw_mode(image: Image.Image) -> object:
    """Return the sample layout of a PNG that is opened but not loaded, such as "L;4"; None for others."""
    tiles = getattr(image, "tile", None)
    return tiles[0].args if image.format == "PNG" and tiles else None


def to_rgb(
    image: Image.Image,
    file_format: str | None,
    name: str,
    notes: list[str],
    transparent: int | bytes | tuple[int, int, int] | None = None,
    largest: int = MAX_SIDE,
) -> Image.Image:
    """Convert to a new picture of mode RGB, with alpha laid on white; visible changes are added to the notes.

    It is scaled down as early as its mode allows, so that few copies of a large picture are in memory.

    Args:
        image: loaded, of any mode; not changed.
        file_format: Pillow's name of the file format.
        name: what the file is called in error messages.
        notes: sentences for the reader.
        transparent: see `transparent_colour`; None: only the alpha channel or the palette is transparent.
        largest: longer sides are scaled down to it.
    """
    # First an 8-bit mode that keeps its transparency. `alpha` is set only where the new mode cannot hold it.
    alpha = None
    if image.mode.startswith("I;16") or (image.mode == "I" and file_format == "PPM"):
        samples = np.asarray(image)
        if isinstance(transparent, int):
            alpha = Image.fromarray(np.where(samples == transparent, np.uint8(0), np.uint8(255)))
        image = Image.fromarray(_TO_8_BITS[samples])
    elif image.mode in ("I", "F"):
        image = _stretch(image, name)
        notes.append("Brightness was stretched to the full range.")
    elif image.mode == "La":  # Pillow cannot convert it to RGBA
        image = image.convert("LA")
    elif transparent is not None and transparent != image.info.get("transparency"):
        image = image.copy()
        image.info["transparency"] = transparent
    if image.mode in ("CMYK", "LAB"):
        notes.append(f"{image.mode} colours were converted to RGB without their colour profile.")
    if image.has_transparency_data and image.mode not in ("LA", "RGBA"):
        image = image.convert("RGBA")
    if max(image.size) > largest:
        if image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
            image = image.convert("RGB")
        size = _size_within(image.size, largest)
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        if alpha is not None:
            alpha = alpha.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    if image.mode in ("LA", "RGBA"):
        alpha = image.getchannel("A")
    if alpha is None:
        return image.convert("RGB")
    if alpha.getextrema()[0] < 255:
        notes.append(ON_WHITE)
    opaque = Image.new("RGB", image.size, "white")
    opaque.paste(image if image.mode == "RGBA" else image.convert("RGB"), mask=alpha)
    return opaque


def _size_within(size: tuple[int, int], largest: int) -> tuple[int, int]:
    """Scale (width, height) so that the longer side is `largest`."""
    scale = largest / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _stretch(image: Image.Image, name: str) -> Image.Image:
    """Convert mode "I" or "F" to "L": the darkest pixel to 0, the brightest to 255, a constant image to 0.

    Works band by band, because each step of numpy makes a copy.
    """
    width, height = image.size
    bands = [(0, top, width, min(top + _BAND, height)) for top in range(0, height, _BAND)]
    ends = []
    for band in bands:
        values = np.asarray(image.crop(band), dtype=np.float32)
        ends += [float(values.min()), float(values.max())]
    low = min(ends)
    span = max(ends) - low
    if not (np.isfinite(ends).all() and span <= np.finfo(np.float32).max):
        raise MediaError(f"{name} has pixels that are not finite numbers: replace NaN and infinity.")
    stretched = Image.new("L", image.size)
    for band in bands:
        values = np.asarray(image.crop(band), dtype=np.float32)
        grey = np.rint((values - np.float32(low)) * np.float32(255 / (span or 1))).astype(np.uint8)
        stretched.paste(Image.fromarray(grey), band)
    return stretched


def _from_array(array: np.ndarray, name: str) -> Image.Image:
    """Convert an array of one of the shapes and ranges of `load_image` to a PIL image."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise MediaError(f"{name} is an array of shape {array.shape}: give [H, W], [H, W, 3] or [H, W, 4].")
    check_size((array.shape[1], array.shape[0]), name)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.dtype == np.uint16:
        return Image.fromarray(_TO_8_BITS[array])
    if array.dtype == np.uint8:
        return Image.fromarray(array)
    scale = 1 if array.dtype.kind in "iu" else 255
    if array.dtype.kind not in "buif" or not (array.min() >= 0 and array.max() * scale <= 255):  # NaN fails
        kind = array.dtype
        raise MediaError(f"{name} is an array of {kind} out of range: give integers 0..255 or floats 0..1.")
    return Image.fromarray(np.rint(array * np.float32(scale)).astype(np.uint8))
