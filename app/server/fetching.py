"""Bound how large, how slow and how many the files are that Gradio fetches by address, on every way in.

Gradio 6.31 fetches a file for any input in which a request puts an address, keeps to public hosts, and reads
until the other side ends.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import safehttpx
from gradio import processing_utils

MOST_BYTES = 100 * 2**20  # as of an upload
MOST_SECONDS = 60.0  # for all of the file
AT_ONCE = 4  # fetches of all visitors together


class FetchRefusedError(httpx.TransportError):
    """Report that a file is too large, too slow or packed, or that too many are being fetched."""


class BoundedTransport(httpx.AsyncBaseTransport):
    """Fetch from public hosts alone, within the limits of this module.

    Args:
        opens: makes the transport for a host after it checked that the host is public.
        clock: returns seconds.
    """

    def __init__(
        self,
        opens: Callable[[str], Awaitable[httpx.AsyncBaseTransport]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._opens = opens or _public
        self._clock = clock
        self._running = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; the response's body is bounded while it is read."""
        if self._running >= AT_ONCE:
            raise FetchRefusedError("too many files are being fetched")
        self._running += 1
        try:
            inner = await self._opens(request.url.host)
            request.headers["Accept-Encoding"] = "identity"  # a small packed file may be a large one unpacked
            response = await inner.handle_async_request(request)
        except BaseException:
            self._running -= 1
            raise
        stream = _BoundedStream(response, inner, self._clock, self._ended)
        if response.headers.get("content-encoding", "identity") != "identity":
            await stream.aclose()
            raise FetchRefusedError("the file is packed")
        return httpx.Response(
            response.status_code, headers=response.headers, stream=stream, extensions=response.extensions
        )

    def _ended(self) -> None:
        self._running -= 1


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(
        self,
        response: httpx.Response,
        inner: httpx.AsyncBaseTransport,
        clock: Callable[[], float],
        ended: Callable[[], None],
    ) -> None:
        self._response = response
        self._inner = inner
        self._clock = clock
        self._ended: Callable[[], None] | None = ended

    async def __aiter__(self) -> AsyncIterator[bytes]:
        count = 0
        started = self._clock()
        async for chunk in self._response.stream:
            count += len(chunk)
            if count > MOST_BYTES:
                raise FetchRefusedError("the file is too large")
            if self._clock() - started > MOST_SECONDS:
                raise FetchRefusedError("the file comes too slowly")
            yield chunk

    async def aclose(self) -> None:
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended()
            await self._response.aclose()
            await self._inner.aclose()


def bound_fetches() -> None:
    """Let Gradio fetch by a BoundedTransport from now on, in this process."""
    processing_utils.async_transport = BoundedTransport()


async def _public(host: str) -> httpx.AsyncBaseTransport:
    """Return the transport that safehttpx would use for a host.

    Raises:
        ValueError: the host is not public.
    """
    if safehttpx.matches_domain_whitelist(host, processing_utils.PUBLIC_HOSTNAME_WHITELIST):
        return httpx.AsyncHTTPTransport()
    return safehttpx.AsyncSecureTransport(await safehttpx.async_validate_url(host))
