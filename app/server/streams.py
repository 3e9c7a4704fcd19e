"""Keep requests off a stream that is closing.

A browser gets the messages of all its requests over one stream. The server closes it when the last request of
the session has ended; a request that is sent at that moment is put on the closing stream by Gradio's client,
which has not yet heard of the end, and its answer never arrives (seen with Gradio 6.31).
"""

from __future__ import annotations

import asyncio
import time

import gradio as gr
from fastapi import Request
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Event
from gradio.server_messages import EventMessage, ProcessCompletedMessage

from rediprune.explainer.lru_cache import LruCache

CLOSING_SECONDS = 1.0  # after the last message, a stream may still be on its way to being closed
WAIT_SECONDS = 0.25  # until the client has heard of the end
SESSIONS = 2000  # as many as Gradio keeps messages for


def reply_after_closing(demo: gr.Blocks) -> None:
    """Let the reply to a request come after the end of its session's closing stream.

    The client then knows that the stream is closed, and opens another one for the request.
    """
    queue = demo._queue
    push, send_message = queue.push, queue.send_message
    ended: LruCache[float] = LruCache(SESSIONS)

    def send_and_note(event: Event, message: EventMessage) -> None:
        send_message(event, message)
        if isinstance(message, ProcessCompletedMessage):
            ended.put(event.session_hash, time.monotonic())

    async def push_and_wait(body: PredictBodyInternal, request: Request, username: str | None) -> tuple:
        session = body.session_hash
        is_open = bool(queue.pending_event_ids_session.get(session))
        pushed = await push(body=body, request=request, username=username)
        last = ended.get(session)
        if not is_open and last is not None and time.monotonic() - last < CLOSING_SECONDS:
            await asyncio.sleep(WAIT_SECONDS)
        return pushed

    queue.send_message = send_and_note
    queue.push = push_and_wait
