"""Close the routes of Gradio that the page does not use and that write to the disk of the server.

`GET /gradio_api/deep_link` writes what a session shows into a new file at every call, without a limit, and
nothing removes it. The page makes its links in the browser (state/link.py).
"""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

CLOSED = ("/gradio_api/deep_link",)
NOT_HERE = "This page keeps no links on its server: the address in the browser holds all of what it shows."


class ClosedRoutes:
    """Answer 404 with one sentence to requests for a closed route; an ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request, or refuse it."""
        path = scope.get("path", "").rstrip("/")
        if scope["type"] == "http" and path.endswith(CLOSED):  # a proxy may put a prefix in front
            await JSONResponse({"detail": NOT_HERE}, 404)(scope, receive, send)
        else:
            await self.app(scope, receive, send)
