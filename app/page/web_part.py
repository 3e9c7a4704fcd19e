"""Turn a web part (HTML, CSS and JavaScript files of one name) into a Gradio component."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

WEB = Path(__file__).resolve().parents[1] / "web"  # all that the browser reads
# The order in which scripts stand in one scope: in the explorer, functions alone before what holds state.
MANIFEST = json.loads((WEB / "manifest.json").read_text(encoding="utf-8"))
FUNCTIONS = tuple(MANIFEST["functions"])


def web_part(part: str, value: Any = None, **props: Any) -> gr.HTML:
    """Return the component of app/web/<part>.{html,css,js} with a first value and fixed props.

    Its script reads a prop as `props.name`. This is a factory and not a subclass of gr.HTML, because Gradio
    writes a .pyi file beside every subclass when it is imported. The templates hold no placeholders: scripts
    set text by textContent, and Gradio never resets what they set.
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
    """Return the scripts of a part, in order; only the explorer gets more functions than the arithmetic."""
    functions = FUNCTIONS if part == "explorer/explorer" else FUNCTIONS[:1]
    return (*functions, MANIFEST["common"], *MANIFEST.get(part, (f"{part}.js",)))


@cache
def _read(name: str) -> str:
    text = (WEB / name).read_text(encoding="utf-8")
    if not name.endswith(".js") and any(mark in text for mark in ("${", "{{", "`", "\\")):
        raise ValueError(
            f"app/web/{name} would be read as a template: it holds a placeholder, a backtick or a backslash"
        )
    return text
