"""Save a trace as one JSON file and open it again, to the last bit; a stranger's file is safe to open.

The file is what `to_json.as_dict` returns, readable by anyone, with two parts more. "tensors" holds features,
query and what else the selection needs, as base64 of little-endian numbers in the model's own format;
"pictures" holds the input as PNG. So every keep ratio and weight can be selected again without the model. The
size is about 4/3 of T * N * C numbers and of the pictures: LLaVA-1.5 with one picture and 16-bit numbers
takes 1.6 MB, 32 frames of 144 tokens 12.6 MB, pictures not counted.

Nothing in a file is executed, and no more than `MOST_BYTES` is read. Only the pictures are decompressed, and
their number and sizes are checked before. No number is used in a calculation before it is bounded.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ..costs.stopwatch import Timing
from ..files.atomic_write import write_text
from ..files.strict_json import JsonError, parse_json
from ..trace import Trace
from .checked_json import TraceError
from .from_json import MOST_FRAMES, from_dict
from .to_json import FORMAT, as_dict

MOST_BYTES = 100 * 2**20
MOST_PARTS = 2_000_000  # values, lists and objects in the JSON: each takes much more memory than its text
MOST_PIXELS = 160_000_000  # of all pictures together
MOST_DIMENSIONS = 4  # of a tensor; [T, N, C] has three
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def save_trace(trace: Trace, path: str | os.PathLike, timings: dict[str, Timing] | None = None) -> Path:
    """Write the trace to a file, and return its path.

    Args:
        timings: "full" and "pruned" timings, as `as_dict` takes them.

    Raises:
        ValueError: the file would be too large to be opened again, or hold too many pictures; or a file of
            another kind is there already, such as the picture that the trace is about.
        OSError: the file cannot be written.
    """
    tensors = {
        "features": trace.vision.features,
        "attention": trace.vision.attention,
        "query": trace.query.vector,
        "keys": trace.query.keys,
    }
    if _is_another_kind(Path(path)):
        raise ValueError(f"{path} is there and is no JSON: name another file for the trace")
    count = len(trace.frames)
    pixels = _count_pixels(trace.frames)
    if count > MOST_FRAMES or pixels > MOST_PIXELS:
        raise ValueError(
            f"the trace has {count:,} pictures of {pixels / 10**6:,.1f} megapixels in all, and no more than "
            f"{MOST_FRAMES:,} of {MOST_PIXELS // 10**6} can be opened again: use fewer or smaller frames"
        )
    record = as_dict(trace, timings)
    record["tensors"] = {name: None if x is None else _encode_tensor(x) for name, x in tensors.items()}
    record["pictures"] = [_encode_png(frame) for frame in trace.frames]
    text = json.dumps(record, allow_nan=False)
    if len(text) > MOST_BYTES:
        raise ValueError(
            f"the trace would take {len(text) / 2**20:.0f} MiB, and no more than {MOST_BYTES >> 20} can be "
            "opened again: use fewer or smaller frames"
        )
    return write_text(path, text)


def _is_another_kind(path: Path) -> bool:
    """Tell whether a file is there that is no trace; a trace may be overwritten by another one."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(1) not in (b"", b"{")


def load_trace(path: str | os.PathLike) -> Trace:
    """Read the trace that `save_trace` wrote, bit for bit.

    Raises:
        TraceError: a ValueError of one sentence: no such file; or it is damaged, no trace, too large, of
            another format, or holds values that do not fit each other.
    """
    name = Path(path).name
    try:
        return _build_trace(_read(Path(path)))
    except TraceError as error:
        raise TraceError(f"{name} cannot be opened as a trace: {error}.") from None


def _read(path: Path) -> dict[str, Any]:
    """Read the JSON of a file, and check its size, number of parts and format.

    Raises:
        TraceError: it cannot be opened as a trace.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise TraceError(f"it is larger than {MOST_BYTES >> 20} MiB")
        data = path.read_bytes()
    except OSError:
        raise TraceError("there is no file that can be read") from None
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > MOST_PARTS:
        raise TraceError(f"it has more than {MOST_PARTS:,} parts")
    try:
        record = parse_json(data)
    except JsonError as error:
        raise TraceError(str(error)) from None
    if not isinstance(record, dict) or not {"format", "kept", "selection"} <= set(record):
        raise TraceError("it is JSON, but no trace of ReDiPrune")
    file_format = record["format"]
    if type(file_format) is not int or file_format > FORMAT:
        raise TraceError(f"its format is {str(file_format)[:20]}, and this program knows {FORMAT}: update it")
    if file_format < FORMAT:
        raise TraceError(f"its format {file_format} held no visual tokens yet: save the run again")
    return record


def _build_trace(record: Mapping[str, Any]) -> Trace:
    """Decode the tensors and the pictures, and build the trace.

    Raises:
        TraceError: a part is missing, damaged or out of range.
    """
    encoded = record.get("tensors")
    if not isinstance(encoded, dict):
        raise TraceError("it has no visual tokens")
    names = ("features", "attention", "query", "keys")
    tensors = {name: _decode_tensor(encoded.get(name), name) for name in names}
    if tensors["features"] is None or tensors["query"] is None:
        raise TraceError("it has no visual tokens, or no query")
    return from_dict(record, tensors, _decode_pictures(record.get("pictures")))


def _encode_tensor(tensor: Tensor) -> dict[str, Any]:
    """Return a tensor as plain values: its number format, shape, and bytes in base64."""
    x = tensor.detach().cpu().contiguous()
    names = {dtype: name for name, dtype in _DTYPES.items()}
    raw = x.flatten().view(torch.uint8).numpy().tobytes()
    return {"dtype": names[x.dtype], "shape": list(x.shape), "base64": base64.b64encode(raw).decode("ascii")}


def _decode_tensor(record: object, name: str) -> Tensor | None:
    """Return the tensor that `_encode_tensor` wrote, None if there is none.

    Raises:
        TraceError: another format, shape or number of bytes, or numbers that are not finite.
    """
    if record is None:
        return None
    fields = record if isinstance(record, dict) else {}
    dtype = _DTYPES.get(str(fields.get("dtype")))
    shape = fields.get("shape") if dtype else None
    # Checked before any product: multiplying a thousand sides of a thousand digits takes a minute.
    if (
        not isinstance(shape, list)
        or len(shape) > MOST_DIMENSIONS
        or any(type(side) is not int or not 1 <= side <= MOST_BYTES for side in shape)
    ):
        raise TraceError(f"its {name} are not written as numbers of a known format and a shape")
    raw = _decode_base64(fields.get("base64"), name)
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise TraceError(f"its {name} are not as many numbers as their shape {shape} says")
    tensor = torch.frombuffer(bytearray(raw), dtype=dtype).view(shape)
    if not tensor.isfinite().all():
        raise TraceError(f"its {name} hold NaN or infinite numbers")
    return tensor


def _encode_png(frame: Image.Image) -> str:
    """Return a picture as PNG in base64."""
    out = io.BytesIO()
    frame.save(out, format="PNG")
    return base64.b64encode(out.getvalue()).decode("ascii")


def _decode_pictures(record: object) -> tuple[Image.Image, ...]:
    """Return the pictures, RGB; their number and sizes are checked before any is decoded.

    Raises:
        TraceError: no list, too many pictures or pixels, or a damaged picture.
    """
    if not isinstance(record, list):
        raise TraceError("it has no list of pictures")
    if len(record) > MOST_FRAMES:
        raise TraceError(f"it has more than {MOST_FRAMES:,} pictures")
    files = [io.BytesIO(_decode_base64(picture, "pictures")) for picture in record]
    try:
        images = [Image.open(file, formats=("PNG",)) for file in files]  # reads the sizes, but no pixel yet
        if _count_pixels(images) > MOST_PIXELS:  # a small PNG may hold a large picture
            raise TraceError(f"its pictures have more than {MOST_PIXELS // 10**6} megapixels")
        return tuple(map(_decode_picture, images))
    except TraceError:
        raise
    except Exception:  # decoders raise nearly every type of exception on hostile bytes
        raise TraceError("a picture in it is damaged or no PNG") from None


def _decode_picture(image: Image.Image) -> Image.Image:
    """Decode one picture to RGB and close its file, so that its pixels are in memory only once."""
    picture = image.convert("RGB")
    image.close()
    return picture


def _count_pixels(images: Sequence[Image.Image]) -> int:
    """Count the pixels of all images together."""
    return sum(math.prod(image.size) for image in images)


def _decode_base64(text: object, name: str) -> bytes:
    """Return the bytes of a base64 text; no bytes if it is no text.

    Raises:
        TraceError: a text that is no base64.
    """
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        raise TraceError(f"its {name} are damaged") from None
