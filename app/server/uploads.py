"""Bound how much a visitor may send: in a request and in an hour, and what must stay free on the disk.

Gradio bounds one file's size alone. A request that breaks off, or that finds the disk full, leaves its
partial files; here they are removed, and the sender gets a sentence.
"""

from __future__ import annotations

import errno
import logging
import shutil
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fastapi import HTTPException
from gradio.route_utils import GradioMultiPartParser, MultiPartException
from gradio.utils import get_upload_folder
from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MB = 2**20
REQUEST_BYTES = 101 * MB  # of an upload; the page sends one file of 100 MB at most in each
REQUEST_FILES = 8
BODY_BYTES = 140 * MB  # of any other request; a tool's file comes as a data URL, a third larger than the file
HOUR = 3600.0  # uploads are forgotten after it
VISITOR_BYTES, VISITOR_FILES = 2048 * MB, 500  # in an hour, by one network address
ALL_BYTES = 8192 * MB  # in an hour, by all visitors
FREE_BYTES = 512 * MB  # what an upload must leave of the disk
FULL = "The server's disk is full: nothing was kept of your file. Try again later, or with a smaller file."
TOO_LARGE = f"This is too large: a request may hold {REQUEST_BYTES // MB} MB. Nothing was kept of it."
TOO_MANY = f"These are too many files: give at most {REQUEST_FILES} in one request. Nothing was kept of them."
TOO_OFTEN = "You have sent as much as one visitor may send in an hour: try again in {minutes} minutes."
BUSY = (
    "All visitors together have sent as much as the server takes in an hour: try again in {minutes} minutes."
)
BROKEN = "The upload broke off: nothing was kept of it."
log = logging.getLogger(__name__)


class Allowance:
    """Count what visitors send within an hour; safe between threads.

    Args:
        clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sent: OrderedDict[str, deque[tuple[float, int]]] = OrderedDict()

    def refuse(self, visitor: str, size: int) -> str:
        """Return why a visitor may not send `size` more bytes, one sentence; "" where it may."""
        with self._lock:
            self._forget()
            mine = self._sent.get(visitor, deque())
            total = sum(size for sent in self._sent.values() for _, size in sent)
            if mine and (len(mine) >= VISITOR_FILES or size + sum(s for _, s in mine) > VISITOR_BYTES):
                return TOO_OFTEN.format(minutes=self._minutes_from(mine[0][0]))
            if total and total + size > ALL_BYTES:
                first = min(sent[0][0] for sent in self._sent.values())
                return BUSY.format(minutes=self._minutes_from(first))
            return ""

    def note(self, visitor: str, size: int) -> None:
        """Remember that a visitor sent so many bytes."""
        with self._lock:
            self._sent.setdefault(visitor, deque()).append((self._clock(), size))

    def _forget(self) -> None:
        for visitor, sent in list(self._sent.items()):
            while sent and self._clock() - sent[0][0] > HOUR:
                sent.popleft()
            if not sent:
                del self._sent[visitor]

    def _minutes_from(self, first: float) -> int:
        return max(1, round((HOUR - (self._clock() - first)) / 60))


class RequestLimits:
    """Hold every request to its limits; an ASGI middleware."""

    def __init__(self, app: ASGIApp, allowance: Allowance | None = None) -> None:
        self.app, self.allowance = app, allowance or Allowance()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request within its limits, or refuse it in one sentence."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PUT", "PATCH"):
            await self.app(scope, receive, send)
        elif scope["path"].rstrip("/").endswith("/gradio_api/upload"):
            await self._upload(scope, receive, send)
        else:
            await self._other(scope, receive, send)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _content_length(scope) > BODY_BYTES:
            await PlainTextResponse(TOO_LARGE, 413)(scope, receive, send)
            return
        body = _Counted(receive, BODY_BYTES, HTTPException(413, TOO_LARGE))
        await self.app(scope, body, send)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor, size = (scope.get("client") or ("",))[0], _content_length(scope)
        status, reason = self._refused(visitor, size)
        if reason:
            await PlainTextResponse(reason, status)(scope, receive, send)
            return
        body = _UploadBody(receive, _boundary(scope))
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, body, noted)
        except Exception as error:
            _remove_partial_files(error)
            if started:
                raise
            status, reason = _explain(error)
            log.warning("an upload was refused (%s)", type(error).__name__)
            await PlainTextResponse(reason, status)(scope, receive, send)
        finally:
            self.allowance.note(visitor, body.count)

    def _refused(self, visitor: str, size: int) -> tuple[int, str]:
        if size > REQUEST_BYTES:
            return 413, TOO_LARGE
        if reason := self.allowance.refuse(visitor, size):
            return 429, reason
        if free_bytes() - size < FREE_BYTES:
            return 507, FULL
        return 200, ""


class _Counted:
    """Receive a request's body, and raise `error` if it is longer than `most` bytes."""

    def __init__(self, receive: Receive, most: int, error: Exception) -> None:
        self.receive, self.most, self.error, self.count = receive, most, error, 0

    async def __call__(self) -> Message:
        message = await self.receive()
        self.count += len(message.get("body", b""))
        if self.count > self.most:
            raise self.error
        return message


class _UploadBody(_Counted):
    """Bound an upload, whose files are counted too; Gradio removes its partial files at these errors."""

    def __init__(self, receive: Receive, boundary: bytes) -> None:
        super().__init__(receive, REQUEST_BYTES, MultiPartException("maximum allowed size: " + TOO_LARGE))
        self.boundary, self.parts, self._tail, self._whole = boundary, 0, b"", False

    async def __call__(self) -> Message:
        message = await super().__call__()
        if message["type"] == "http.disconnect" and not self._whole:
            raise MultiPartException(BROKEN)
        self._whole = not message.get("more_body", False)
        if self.boundary:
            seen = self._tail + message.get("body", b"")
            self.parts += seen.count(self.boundary)
            keep = len(self.boundary) - 1
            last = seen.rfind(self.boundary)
            self._tail = seen[max(len(seen) - keep, last + len(self.boundary) if last >= 0 else 0) :]
            if self.parts > REQUEST_FILES + 1:  # the last boundary closes the last part
                raise MultiPartException(TOO_MANY)
        return message


def free_bytes() -> int:
    """Return how much of the disk of uploads is free."""
    folder = Path(get_upload_folder())
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _content_length(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "0")
    return int(length) if length.isdecimal() else 0


def _boundary(scope: Scope) -> bytes:
    _, options = parse_options_header(Headers(scope=scope).get("content-type", ""))
    found = options.get(b"boundary", b"")
    return b"--" + found if found else b""


def _explain(error: BaseException) -> tuple[int, str]:
    """Return the status and the sentence for what went wrong while an upload was read or written."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return 507, FULL
    if isinstance(error, OSError):
        return (
            500,
            "The server cannot store files at this moment: nothing was kept of yours. Try again later.",
        )
    return 400, "The upload cannot be read: send files as multipart/form-data under the name files."


def _remove_partial_files(error: BaseException) -> None:
    """Remove what Gradio's parser, somewhere in the traceback, had written when the error came."""
    trace = error.__traceback__
    parsers = set()
    while trace is not None:
        parsers |= {one for one in trace.tb_frame.f_locals.values() if isinstance(one, GradioMultiPartParser)}
        trace = trace.tb_next
    for parser in parsers:
        for file in parser._files_to_close_on_error:
            with suppress(OSError):
                file.close()
            with suppress(OSError):
                Path(file.name).unlink(missing_ok=True)
