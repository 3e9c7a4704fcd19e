"""Turn every failure of a request into a sentence for the caller, and into one line of the log."""

from __future__ import annotations

import logging
from types import FrameType

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.route_utils import FnIndexInferError
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNREADABLE = (
    "The request cannot be read: give what /gradio_api/info lists for this endpoint, and a file as "
    "an upload or as the http or https address of a picture or a video."
)
NO_ENDPOINT = "There is no endpoint of this name or number: /gradio_api/info lists those that there are."
INSIDE = "Something went wrong inside, and the program's log says what: try again, or ask for something else."
log = logging.getLogger(__name__)


def refuse_in_sentences(demo: gr.Blocks) -> None:
    """Replace what Gradio says of a failed request: `error: null` to its sender, a traceback in the log.

    Whatever is wrong with a path, the sentence is the same, so that nobody learns which files the server has.
    The traceback of a fault of the program itself stays in the log.
    """
    plain_inputs, plain_call = demo.preprocess_data, demo.process_api

    async def preprocess(block_fn: BlockFunction, *given: object, **how: object) -> list:
        try:
            return await plain_inputs(block_fn, *given, **how)
        except gr.Error:
            raise
        except Exception as error:
            raise _refusal(block_fn, error) from None

    async def process(block_fn: BlockFunction | int, *given: object, **how: object) -> dict:
        try:
            return await plain_call(block_fn, *given, **how)
        except gr.Error as error:
            error.print_exception = False
            raise
        except (StopIteration, StopAsyncIteration):
            raise
        except Exception as error:
            if _without_event(error):
                raise _refusal(block_fn, error) from None
            log.exception("/%s failed", _name(block_fn))
            raise gr.Error(INSIDE, print_exception=False) from None

    demo.preprocess_data, demo.process_api = preprocess, process


class FailedRequests:
    """Answer a request that failed before any event was run with one sentence; an ASGI middleware.

    Gradio 6.31 looks an endpoint up without asking whether it exists: status 500, and a traceback in the log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request; an error after the response began goes on."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            status, reason = 500, INSIDE
            if isinstance(error, FnIndexInferError) or (isinstance(error, KeyError) and _looked_up(error)):
                status, reason = 404, NO_ENDPOINT
                log.warning("%s names no endpoint", scope["path"][:100])
            else:
                log.exception("%s failed", scope["path"][:100])
            await JSONResponse({"detail": reason}, status)(scope, receive, send)


def _looked_up(error: KeyError) -> bool:
    """Return whether the missing key is an endpoint's number."""
    return _last_frame(error).f_code.co_name == "get_fn"


def _last_frame(error: Exception) -> FrameType:
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame


def _refusal(block_fn: BlockFunction | int, error: Exception) -> gr.Error:
    log.warning("/%s refused a request that cannot be read (%s)", _name(block_fn), type(error).__name__)
    return gr.Error(UNREADABLE, print_exception=False)


def _without_event(error: Exception) -> bool:
    """Return whether a request of the page's own came without what the page's scripts send along."""
    return isinstance(_last_frame(error).f_locals.get("self"), gr.EventData)


def _name(block_fn: BlockFunction | int) -> str:
    return str(getattr(block_fn, "api_name", block_fn))
