"""Tell who waits for the model, at which place and how long, and what a full queue answers."""

from __future__ import annotations

import asyncio
import math

import gradio as gr
from fastapi import HTTPException, Request
from gradio.block_function import BlockFunction
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Event, EventQueue, Queue
from gradio.server_messages import ProcessCompletedMessage
from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

ANSWERS = ("model", "files")  # concurrency_ids of what waits for an answer
PLACE = "/rediprune/place"  # the browser asks here (answers.js); not an event, because events wait too
SECONDS_AT_FIRST = 1.0  # assumed for an answer until one has been measured


def answer_when_full(demo: gr.Blocks) -> None:
    """Let a full queue say how long it is and when to come back, in the way that each client reads.

    Plain HTTP calls (/gradio_api/call/...) get status 429 with Retry-After. Clients that follow their
    requests by the queue's protocol, the page and gradio_client, show no body of a refusal: their request is
    taken and ends at once with the sentence as its error.
    """
    queue = demo._queue
    plain = queue.push

    async def push(body: PredictBodyInternal, request: Request, username: str | None) -> tuple:
        if queue.max_size is None or len(queue) < queue.max_size or body.fn_index not in demo.fns:
            return await plain(body=body, request=request, username=username)
        seconds = math.ceil(max((seconds_left(demo, one) for one in _queues(demo)), default=0))
        message = full(len(queue), max(1, seconds))
        if body.simple_format:
            raise HTTPException(429, detail=message, headers={"Retry-After": str(max(1, seconds))})
        event = Event(body.session_hash, demo.fns[body.fn_index], request, username)
        return True, await _end(queue, event, message), "success"

    queue.push = push


async def _end(queue: Queue, event: Event, message: str) -> str:
    """End an event that was not put into the queue with a sentence; return its id."""
    session = event.session_hash
    async with queue.pending_message_lock:
        queue.pending_event_ids_session.setdefault(session, set()).add(event._id)
        if session not in queue.pending_messages_per_session:
            queue.pending_messages_per_session[session] = asyncio.Queue()
    output = {"error": message, "visible": True, "duration": 10, "title": "Busy"}
    queue.send_message(event, ProcessCompletedMessage(output=output, success=False))
    return event._id


def others_wait(demo: gr.Blocks) -> bool:
    """Return whether a request waits for the model now, beside those that it works on."""
    queues = demo._queue.event_queue_per_concurrency_id
    return any(queues[name].queue for name in ANSWERS if name in queues)


def full(waiting: int, seconds: int) -> str:
    """Return the sentence that a request gets when the queue is full."""
    return f"Too many requests: {waiting} are waiting already. Try again in about {seconds} s."


def place(demo: gr.Blocks, who: str, ticket: int) -> dict:
    """Return where a request of the page stands.

    Args:
        demo: the page.
        who, ticket: as the browser named itself and the request; both went along with the sliders.

    Returns:
        "place": how many are before it, with those being answered, or 0 where it does not wait (any more);
        "seconds": until its turn, ESTIMATED from the mean duration of earlier requests of each kind;
        "known": whether it waits or is being answered. A browser that still waits for a request which is not
        known has lost the reply.
    """
    for queue in _queues(demo):
        for i, event in enumerate(queue.queue):
            if _sent_by(event, who, ticket):
                seconds = seconds_left(demo, queue, i)
                return {"place": i + queue.current_concurrency, "seconds": round(seconds, 1), "known": True}
    running = [event for batch in demo._queue.active_jobs for event in batch or ()]
    known = any(_sent_by(event, who, ticket) for event in running)
    return {"place": 0, "seconds": 0.0, "known": known}


class PlaceRoute:
    """Answer GET /rediprune/place?who=...&ticket=... with `place` as JSON; an ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the question for a place, or hand the request on."""
        if scope["type"] != "http" or not scope["path"].endswith(PLACE):
            await self.app(scope, receive, send)
            return
        asked = QueryParams(scope["query_string"])
        ticket = asked.get("ticket", "")
        number = int(ticket) if ticket.isdecimal() and len(ticket) < 17 else -1
        found = place(scope["app"].get_blocks(), asked.get("who", ""), number)
        await JSONResponse(found, headers={"Cache-Control": "no-store"})(scope, receive, send)


def seconds_left(demo: gr.Blocks, queue: EventQueue, before: int | None = None) -> float:
    """Return an ESTIMATE of the seconds until the first `before` waiting requests (all for None) are done."""
    waiting = [event.fn for event in queue.queue[:before]]
    running = [fn for fn, starts in queue.start_times_per_fn.items() for _ in starts]
    half = sum(_mean_seconds(demo, fn) for fn in running) / 2  # on average they are half done
    each = sum(_mean_seconds(demo, fn) for fn in waiting) + half
    return each / (queue.concurrency_limit or 1)


def _mean_seconds(demo: gr.Blocks, fn: BlockFunction) -> float:
    times = demo._queue.process_time_per_fn
    return times[fn].avg_time if fn in times else SECONDS_AT_FIRST


def _queues(demo: gr.Blocks) -> list[EventQueue]:
    return list(demo._queue.event_queue_per_concurrency_id.values())


def _sent_by(event: Event, who: str, ticket: int) -> bool:
    given = event.data.data if event.data else []
    return any(
        isinstance(one, dict) and (one.get("who"), one.get("ticket")) == (who, ticket) for one in given
    )
