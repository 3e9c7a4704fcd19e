"""Refuse requests to a host that the page was not started for, and those sent by another website.

A page on someone's own machine is reachable by every website that its user opens: by a plain form, which no
browser asks about first, and by a name of the website's own that is made to point to this machine (DNS
rebinding). The header Origin shows the first, Host the second; every browser sends both and no
website can change them. MCP requires the same check of Origin. Programs (curl, gradio_client)
send no Origin.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ..start.address import is_loopback, parse_address

ANY = "*"
NEVER = frozenset({"", "null"})  # what stands for no host
HOST_REFUSED = (
    "This page was not started for the host {host}: open it at the address that it printed, or start it with "
    "--allowed-host {host}"
)
ORIGIN_REFUSED = (
    "This page takes no requests from {origin}, which is another page: open this page itself, or start it "
    "with --allowed-host and that page's host"
)


class HostRules:
    """Say which hosts and origins are served.

    Args:
        listens: the --host; None for this machine only.
        allowed: names of the owner's choice (--allowed-host), such as that of a reverse proxy; "*" allows
            all.
        shared: returns the public address of --share, or None while there is none.
    """

    def __init__(
        self,
        listens: str | None = None,
        allowed: Iterable[str] = (),
        shared: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.names = {hostname(name) for name in allowed}
        self.any = ANY in self.names
        self._shared = shared
        self._everywhere = listens in {"0.0.0.0", "::", "[::]"}
        if self._everywhere:
            self.names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        elif listens:
            self.names.add(hostname(listens))

    def serves(self, host: str) -> bool:
        """Return whether the page was started for this Host header; its port does not matter.

        An address in digits cannot be made to point elsewhere, so where the page listens on all addresses of
        the machine, all of these are served.
        """
        name = hostname(host)
        if self.any or (name not in NEVER and (name in self.names or is_loopback(name))):
            return True
        if self._everywhere and parse_address(name) is not None:
            return True
        return (shared := self._shared()) is not None and name == hostname(urlsplit(shared).netloc)

    def takes(self, origin: str, host: str) -> bool:
        """Return whether a page at `origin` may send requests to this one, which was asked for at `host`."""
        if self.any:
            return True
        netloc = urlsplit(origin).netloc.lower() if "//" in origin else ""
        if not netloc:
            return False
        return hostname(netloc) in self.names or netloc == _without_default_port(origin, host)


class HostCheck:
    """Answer 403 with one sentence to every request that the rules do not serve; an ASGI middleware."""

    def __init__(self, app: ASGIApp, rules: HostRules) -> None:
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
        elif reason := self._refused(Headers(scope=scope)):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            else:
                await PlainTextResponse(reason, status_code=403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _refused(self, headers: Headers) -> str:
        # X-Forwarded-Host is not trusted: a foreign page that can send headers could send this one.
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self.rules.serves(host):
            return HOST_REFUSED.format(host=_printable(hostname(host)) or "(none)")
        if origin is not None:
            return "" if self.rules.takes(origin, host) else ORIGIN_REFUSED.format(origin=_printable(origin))
        elsewhere = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if elsewhere and headers.get("sec-fetch-mode") != "navigate" and not self.rules.any:
            return ORIGIN_REFUSED.format(origin="there")
        return ""


def hostname(host: str) -> str:
    """Return a Host header or a name without its port, in lower case: "LocalHost:7860" -> "localhost"."""
    host = host.strip().lower().rstrip(".")
    if host == ANY:
        return ANY
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.count(":") > 1 else host.partition(":")[0]


def _without_default_port(origin: str, host: str) -> str:
    """Return a Host header as an Origin of this scheme would write it."""
    default = {"http": ":80", "https": ":443"}.get(urlsplit(origin).scheme, "")
    return host.lower().removesuffix(default) if default else host.lower()


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())[:100]
