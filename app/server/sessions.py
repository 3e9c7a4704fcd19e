"""Bound what the server keeps for each visitor: nothing grows with the number of answers."""

from __future__ import annotations

import sys
from copy import copy

import gradio as gr
from gradio.block_function import BlockFunction
from gradio.state_holder import SessionState

EVENTS_REMEMBERED = 200  # entries of Gradio's own statistics, which the page does not use


def bound_sessions(demo: gr.Blocks) -> None:
    """Keep a session's memory level, and spend no time on outputs that do not change.

    Gradio 6.31 builds a new component, under a new id, for every output that is skipped or updated, and keeps
    the values that it is given afterwards under each of these ids. Here skipped outputs are left out, an
    updated component gets the id of the one that it replaces, and values are not kept: only deep links would
    read them, and the page offers none.

    Gradio also computes statistics of the queue after every event from all events so far; here it does not.
    """
    plain = demo.postprocess_data

    async def postprocess(block_fn: BlockFunction, predictions: object, state: SessionState | None) -> list:
        state = state or SessionState(demo)
        outputs = list(block_fn.outputs)
        skipped = isinstance(predictions, list | tuple) and len(predictions) == len(outputs) > 1
        changed = [i for i in range(len(outputs)) if not (skipped and _is_skip(predictions[i]))]
        if skipped and len(changed) < len(outputs):
            data = [gr.skip() for _ in outputs]
            if changed:
                fewer = copy(block_fn)
                fewer.outputs = [outputs[i] for i in changed]
                values = [predictions[i] for i in changed]
                made = await plain(fewer, values if len(values) > 1 else values[0], state)
                for i, value in zip(changed, made, strict=True):
                    data[i] = value
        else:
            data = await plain(block_fn, predictions, state)
        _forget_values(state, [outputs[i] for i in changed])
        return data

    demo.postprocess_data = postprocess
    demo._queue.ANAYLTICS_CACHE_FREQUENCY = sys.maxsize  # spelled as Gradio spells it
    demo._queue.ANALYTICS_MAX_EVENTS = EVENTS_REMEMBERED


def _is_skip(prediction: object) -> bool:
    return isinstance(prediction, dict) and prediction == gr.skip()


def _forget_values(state: SessionState, outputs: list) -> None:
    for block in outputs:
        kept = state.blocks_config.blocks.get(block._id)
        if kept is not None and kept._id != block._id:
            kept._id = block._id  # else the next value would be kept under another id
        if "props" in (config := state.config_values.get(block._id) or {}):
            config["props"]["value"] = None
