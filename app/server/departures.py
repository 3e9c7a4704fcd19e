"""Notice when the caller of an endpoint has left, so that work that nobody waits for ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr
from gradio.context import LocalContext

EVERY_SECONDS = 0.2  # time between two checks


@contextmanager
def stop_when_caller_leaves() -> Iterator[threading.Event]:
    """Yield a stop signal that is set when the caller's connection ends, and at the end of the block.

    Gradio closes a generator at its next result; a function that works until it returns learns nothing.
    Outside of a request the signal is set at the end alone.
    """
    stop = threading.Event()
    demo, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    if demo is not None and event_id is not None:
        watcher = threading.Thread(target=_watch, args=(demo, event_id, stop), name="departure", daemon=True)
        watcher.start()
    try:
        yield stop
    finally:
        stop.set()


def _watch(demo: gr.Blocks, event_id: str, stop: threading.Event) -> None:
    while not stop.wait(EVERY_SECONDS):
        event = demo._queue.event_ids_to_events.get(event_id)
        if event is None or not event.alive:
            stop.set()
