"""Let Gradio fetch a file by its address, from public hosts only, with a sentence where that fails."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import gradio as gr

from ..state.sources import is_inside_uploads

SERVED = "/gradio_api/file="  # in front of the path, where this page serves what it was given
NOT_FETCHED = (
    "No file could be fetched from that address: give the http or https address of a picture or a video "
    "that anyone can open, or upload the file."
)


def fetch_by_url(media: gr.File) -> gr.File:
    """Return the component after it was made to say why a fetch failed, which Gradio does not.

    Whatever went wrong, the sentence is the same, so that nobody learns which hosts this machine reaches.
    """
    fetch = media.async_move_resource_to_block_cache

    async def fetched(place: str | Path | None) -> str | None:
        try:
            return uploaded(place) or await fetch(place)
        except Exception:
            raise gr.Error(NOT_FETCHED, print_exception=False) from None

    media.async_move_resource_to_block_cache = fetched
    return media


def uploaded(place: object) -> str | None:
    """Return the path behind the address that this page gave an upload; None for any other address.

    A page on this machine is no public host, so Gradio would not fetch from it.
    """
    address = urlsplit(str(place))
    if address.scheme not in ("http", "https") or SERVED not in address.path:
        return None
    path = Path(unquote(address.path.partition(SERVED)[2])).resolve()
    return str(path) if path.is_file() and is_inside_uploads(path) else None
