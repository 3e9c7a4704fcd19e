"""One place where a web part (html, css, js: real files of one name) becomes a Gradio component."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

HERE = Path(__file__).parent
COMMON = "part.js"  # what every script of a part begins with
PURE = ("order",)  # functions alone, put in front of each script
# The explorer is many files in one scope: functions alone first, then its state and what changes it.
FUNCTIONS = ("order", "run", "near", "words", "paint", "views", "film", "steps", "edit")
STATE = ("explorer", "panel", "doings")
FRONT = {"cards/compare": ("cards/series.js",), "cards/sweep": ("cards/series.js",)}  # behind PURE


def widget(part: str, value: Any = None, **props: Any) -> gr.HTML:
    """The part app/<part>.{html,css,js} with a first value and fixed props (`props.name` in its script).

    A factory and no subclass of gr.HTML: Gradio writes a .pyi file beside every subclass when it is imported.
    The templates hold no placeholders: text goes in by textContent, what scripts set is never diffed away.
    """
    made = gr.HTML(
        value,
        html_template=_read(f"{part}.html"),
        css_template=_read(f"{part}.css"),
        js_on_load="".join(map(_read, _scripts(part))),
        **props,
    )
    made.api_info = lambda: {"type": "object", "additionalProperties": True}
    return made


def _scripts(part: str) -> tuple[str, ...]:
    def explorer(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"explorer/{name}.js" for name in names)

    if part == "explorer/explorer":
        return (*explorer(FUNCTIONS), COMMON, *explorer(STATE))
    return (*explorer(PURE), COMMON, *FRONT.get(part, ()), f"{part}.js")


@cache
def _read(name: str) -> str:
    text = (HERE / name).read_text(encoding="utf-8")
    if not name.endswith(".js") and any(mark in text for mark in ("${", "{{", "`", "\\")):
        raise ValueError(
            f"app/{name} would be read as a template: it holds a placeholder, a backtick or a backslash"
        )
    return text
