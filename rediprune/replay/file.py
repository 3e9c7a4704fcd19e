"""Save a trace as one JSON file and open it again, to the last bit; a stranger's file is safe to open.

The file is what `export.as_dict` says, readable by anyone, and beside it "tensors": features, query and what
else the choice needs, as base64 of little-endian numbers in the model's own format, and "pictures": what was
shown, as PNG. So every keep ratio and weight can be chosen again without the model. Its size is about 4/3 of
T * N * C numbers and of the pictures: LLaVA-1.5 with one picture and 16-bit numbers 1.6 MB, 32 frames of 144
tokens 12.6 MB, pictures not counted.

Nothing in a file is executed, and no more is read than `MOST_BYTES`; no part of it is decompressed but the
pictures, whose number and sizes are looked at before. No number is calculated with before it is bounded.
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
from .from_json import MOST_FRAMES, restored
from .to_json import FORMAT, as_dict

MOST_BYTES = 100 * 2**20
MOST_PARTS = 2_000_000  # values, lists and objects in the JSON: each takes far more memory than its text
MOST_PIXELS = 160_000_000  # of all pictures together
MOST_SIDES = 4  # of a tensor's shape: no more than [T, N, C] and one to spare
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def save_trace(trace: Trace, path: str | os.PathLike, timings: dict[str, Timing] | None = None) -> Path:
    """Write the trace to a file; `timings` as `as_dict` takes them.

    Raises:
        ValueError: it would be larger than a file that can be opened, or hold more pictures; or another kind
            of file stands there, such as the picture that the trace is about.
        OSError: it cannot be written there.
    """
    tensors = {
        "features": trace.vision.features,
        "attention": trace.vision.attention,
        "query": trace.query.vector,
        "keys": trace.query.keys,
    }
    if _is_another_kind(Path(path)):
        raise ValueError(f"{path} is there and is no JSON: name another file for the trace")
    count, pixels = len(trace.frames), _pixels(trace.frames)
    if count > MOST_FRAMES or pixels > MOST_PIXELS:
        raise ValueError(
            f"the trace has {count:,} pictures of {pixels / 10**6:,.1f} megapixels in all, and no more than "
            f"{MOST_FRAMES:,} of {MOST_PIXELS // 10**6} can be opened again: use fewer or smaller frames"
        )
    record = as_dict(trace, timings)
    record["tensors"] = {name: None if x is None else _packed(x) for name, x in tensors.items()}
    record["pictures"] = [_png(frame) for frame in trace.frames]
    text = json.dumps(record, allow_nan=False)
    if len(text) > MOST_BYTES:
        raise ValueError(
            f"the trace would take {len(text) / 2**20:.0f} MiB, and no more than {MOST_BYTES >> 20} can be "
            "opened again: use fewer or smaller frames"
        )
    return write_text(path, text)


def _is_another_kind(path: Path) -> bool:
    """Whether a file stands there that no trace was ever written to; a trace may be written over by one."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(1) not in (b"", b"{")


def load_trace(path: str | os.PathLike) -> Trace:
    """The trace that `save_trace` wrote, bit for bit.

    Raises:
        TraceError (a ValueError): no such file; damaged, foreign, too large, of another format, or holding
            values that do not fit each other. One sentence.
    """
    name = Path(path).name
    try:
        return _opened(_read(Path(path)))
    except TraceError as error:
        raise TraceError(f"{name} cannot be opened as a trace: {error}.") from None


def _read(path: Path) -> dict[str, Any]:
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
    number = record["format"]
    if type(number) is not int or number > FORMAT:
        raise TraceError(f"its format is {str(number)[:20]}, and this program knows {FORMAT}: update it")
    if number < FORMAT:
        raise TraceError(f"its format {number} held no visual tokens yet: save the run again")
    return record


def _opened(record: Mapping[str, Any]) -> Trace:
    given = record.get("tensors")
    if not isinstance(given, dict):
        raise TraceError("it has no visual tokens")
    tensors = {name: _unpacked(given.get(name), name) for name in ("features", "attention", "query", "keys")}
    if tensors["features"] is None or tensors["query"] is None:
        raise TraceError("it has no visual tokens, or no query")
    return restored(record, tensors, _pictures(record.get("pictures")))


def _packed(tensor: Tensor) -> dict[str, Any]:
    x = tensor.detach().cpu().contiguous()
    names = {dtype: name for name, dtype in _DTYPES.items()}
    raw = x.flatten().view(torch.uint8).numpy().tobytes()
    return {"dtype": names[x.dtype], "shape": list(x.shape), "base64": base64.b64encode(raw).decode("ascii")}


def _unpacked(given: object, name: str) -> Tensor | None:
    if given is None:
        return None
    written = given if isinstance(given, dict) else {}
    dtype = _DTYPES.get(str(written.get("dtype")))
    shape = written.get("shape") if dtype else None
    # Before any product: a thousand sides of a thousand digits are multiplied for a minute.
    if (
        not isinstance(shape, list)
        or len(shape) > MOST_SIDES
        or any(type(side) is not int or not 1 <= side <= MOST_BYTES for side in shape)
    ):
        raise TraceError(f"its {name} are not written as numbers of a known format and a shape")
    raw = _bytes(written.get("base64"), name)
    if len(raw) != math.prod(shape) * dtype.itemsize:
        raise TraceError(f"its {name} are not as many numbers as their shape {shape} says")
    found = torch.frombuffer(bytearray(raw), dtype=dtype).view(shape)
    if not found.isfinite().all():
        raise TraceError(f"its {name} hold NaN or infinite numbers")
    return found


def _png(frame: Image.Image) -> str:
    out = io.BytesIO()
    frame.save(out, format="PNG")
    return base64.b64encode(out.getvalue()).decode("ascii")


def _pictures(given: object) -> tuple[Image.Image, ...]:
    if not isinstance(given, list):
        raise TraceError("it has no list of pictures")
    if len(given) > MOST_FRAMES:
        raise TraceError(f"it has more than {MOST_FRAMES:,} pictures")
    files = [io.BytesIO(_bytes(picture, "pictures")) for picture in given]
    try:
        opened = [Image.open(file, formats=("PNG",)) for file in files]  # their sizes, and no pixel yet
        if _pixels(opened) > MOST_PIXELS:  # a small PNG may hold a large one
            raise TraceError(f"its pictures have more than {MOST_PIXELS // 10**6} megapixels")
        return tuple(map(_decoded, opened))
    except TraceError:
        raise
    except Exception:  # decoders meet hostile bytes with exceptions of nearly every type
        raise TraceError("a picture in it is damaged or no PNG") from None


def _decoded(image: Image.Image) -> Image.Image:
    """Decode one picture; what the file object holds of it is given up, so that it is in memory once."""
    found = image.convert("RGB")
    image.close()
    return found


def _pixels(images: Sequence[Image.Image]) -> int:
    return sum(math.prod(image.size) for image in images)


def _bytes(text: object, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        raise TraceError(f"its {name} are damaged") from None
