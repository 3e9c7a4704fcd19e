"""Add the functions of this package as named endpoints to the page that is being built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gradio as gr
from gradio.components import Component

from rediprune import Explainer
from rediprune.models.errors import USER_ERRORS

from ..state.app_state import AppState
from .about import about_model
from .answer import answer_question
from .overlay import draw_overlay
from .parameters import WORDS, parameters
from .select import select_tokens
from .sweep import sweep_ratios

# What takes long takes turns with the answers, one answer each.
LONG = {"concurrency_id": "series", "concurrency_limit": 2}


def add_endpoints(state: AppState, explainer: Explainer) -> None:
    """Add the endpoints to the Blocks that are being built; `explainer` is the model it starts with.

    Their components are hidden: they only declare what goes in and what comes out. The name of a function is
    that of the tool for language models.
    """
    turn = {
        "concurrency_id": "files",
        "concurrency_limit": state.at_once,
    }  # the queue of those who bring files
    parts = parameters(explainer.defaults)
    result, file = gr.JSON(label="result", visible=False), gr.File(label="file", visible=False)
    for name, work, out, how in (
        ("answer", answer_question, result, turn),
        ("select", select_tokens, result, turn),
        ("overlay", draw_overlay, file, turn),
        ("sweep", sweep_ratios, result, LONG),
        ("about", about_model, result, {}),
    ):
        _endpoint(state, name, work, parts, out, how)


def _endpoint(
    state: AppState, name: str, work: Callable, parts: dict[str, Component], out: Component, how: dict
) -> None:
    """Add `work` as /name; its arguments after the state are parameters, by their names."""
    signature = inspect.signature(work)
    taken = list(signature.parameters.values())[1:]

    if inspect.isgeneratorfunction(work):

        def call(*values):
            with _sentences():
                yield from work(state, *values)
    else:

        def call(*values):
            with _sentences():
                return work(state, *values)

    call.__name__ = work.__name__
    call.__signature__ = signature.replace(parameters=taken)
    call.__doc__ = _described(work, [one.name for one in taken])
    # preprocess=False: a file arrives unread (load_media judges it) and unchecked (file_source does).
    gr.Button(name, visible=False).click(
        call, [parts[one.name] for one in taken], out, api_name=name, preprocess=False, **how
    )


def _described(work: Callable, names: list[str]) -> str:
    """Return the docstring with the descriptions of its parameters, in the form that Gradio reads."""
    about, _, returns = (" ".join(part.split()) for part in inspect.getdoc(work).partition("Returns:"))
    args = "".join(f"\n    {name}: {WORDS[name]}" for name in names)
    # Under a heading "Returns:", the pages that describe the endpoints would leave it out.
    return f"{about} The result: {returns}\n\nArgs:{args}"


@contextmanager
def _sentences() -> Iterator[None]:
    """Let the library's sentences about bad input reach the caller as they are."""
    try:
        yield
    except USER_ERRORS as error:
        raise gr.Error(str(error), print_exception=False) from None
