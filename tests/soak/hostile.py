"""Make what a hostile visitor sends, from a seed: broken files, files that lie, calls made by hand."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import httpx
from PIL import Image

SENTENCE_CODES = {200, 400, 403, 404, 405, 413, 422, 429, 503, 507}  # anything but a bare 500


def files(folder: Path, seed: int) -> list[Path]:
    """Write one file of each kind into `folder` and return their paths."""
    chance = random.Random(seed)
    made = {
        "nothing.png": b"",
        "noise.jpg": chance.randbytes(20_000),
        "cut.png": _picture(chance)[:500],
        "bent.png": _bent(_picture(chance), chance),
        "wide.png": _huge_png(60_000, 60_000),
        "frames.gif": _many_frames(),
        "noise.mp4": b"\x00\x00\x00\x18ftypmp42" + chance.randbytes(20_000),
        "list.m3u8": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "run.json": b'{"format": "rediprune-trace", "version": 1}',
        "deep.json": b"[" * 100_000,
    }
    paths = []
    for name, content in made.items():
        path = folder / f"{seed}-{name}"
        path.write_bytes(content)
        paths.append(path)
    return paths


CALLS: tuple[Callable[[httpx.AsyncClient], object], ...] = (
    lambda http: http.post("gradio_api/run/answer", json={"data": []}),
    lambda http: http.post("gradio_api/call/answer", json={"data": ["/etc/passwd"]}),
    lambda http: http.post("gradio_api/call/ask", json={"data": [None] * 5}),
    lambda http: http.post("gradio_api/call/nothing", json={"data": []}),
    lambda http: http.post(
        "gradio_api/queue/join", json={"data": [], "fn_index": 10**6, "session_hash": "x"}
    ),
    lambda http: http.post("gradio_api/queue/join", content=b"{" * 1000),
    lambda http: http.get("gradio_api/file=/etc/passwd"),
    lambda http: http.get("gradio_api/file=../../../../etc/passwd"),
    lambda http: http.get("rediprune/place?who=x&ticket=" + "9" * 5000),
    lambda http: http.get("config", headers={"Host": "evil.example"}),
    lambda http: http.post(
        "gradio_api/upload", files={"files": ("x.png", b"x")}, headers={"Origin": "https://evil.example"}
    ),
    lambda http: http.post("gradio_api/upload", files=[("files", (f"{i}.png", b"x")) for i in range(100)]),
)


def _picture(chance: random.Random) -> bytes:
    out = io.BytesIO()
    Image.frombytes("RGB", (64, 64), chance.randbytes(64 * 64 * 3)).save(out, "PNG")
    return out.getvalue()


def _bent(content: bytes, chance: random.Random) -> bytes:
    bent = bytearray(content)
    for _ in range(20):
        bent[chance.randrange(len(bent))] = chance.randrange(256)
    return bytes(bent)


def _huge_png(width: int, height: int) -> bytes:
    """Return a small file whose header promises a picture of this size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


def _many_frames() -> bytes:
    out = io.BytesIO()
    frames = [Image.new("L", (4, 4), i % 256) for i in range(2000)]
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=10)
    return out.getvalue()
