"""Connect the model menu: its requests run beside those of the answers. None is a public endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import gradio as gr

from rediprune.models import ModelError

from ..model.menu import ModelMenu


def connect_model_menu(menu: ModelMenu, part: gr.HTML, at_load: Callable) -> None:
    """Connect the part cards/models with its menu.

    Only the visitor who opens a model follows it by a request that stays open; the browsers of the others ask
    now and then, while the menu is in sight (models.js). Answers go on meanwhile: this is another queue.
    """

    def fetch(event: gr.EventData) -> Iterator[dict]:
        try:
            opening = menu.open(event.name, event.precision)
        except ModelError as error:
            yield menu.state() | {"said": f"Not opened: {error}.", "failed": True}
        else:
            yield from menu.follow(opening)

    def survey() -> dict:
        return menu.state() | {"fits": menu.fits()}

    def halt() -> dict:
        menu.stop()
        return menu.state()

    how = {"show_progress": "hidden", "api_visibility": "private"}
    part.fetch(fetch, None, part, concurrency_id="models", concurrency_limit=4, **how)
    part.survey(survey, None, part, queue=False, **how)
    part.halt(halt, None, part, queue=False, **how)
    at_load(menu.state, None, part, queue=False, **how)
