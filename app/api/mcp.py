"""Offer the endpoints as tools for language models: Gradio's MCP server, with plain JSON and sentences."""

from __future__ import annotations

import json

import gradio as gr
from gradio_client.utils import is_file_obj, is_file_obj_with_meta

NO_FILE = (
    "That is no address of a file: give the http or https URL of a picture or a video, or the file itself "
    "as a data URL (data:image/png;base64,...)."
)


def launch(demo: gr.Blocks, **options) -> tuple:
    """Launch the page with the tools at /gradio_api/mcp/ (streamable HTTP), without blocking.

    Raises:
        RuntimeError: Gradio could not start them; the page is served all the same until the process ends.
    """
    launched = demo.launch(mcp_server=True, prevent_thread_lock=True, **options)
    if demo.mcp_server_obj is None:
        raise RuntimeError(demo.mcp_error or "The MCP server did not start.")
    _mend(demo.mcp_server_obj)
    return launched


def _mend(server) -> None:
    """Write results as JSON, and refuse a text that is no file in one sentence.

    Gradio 6.31 writes results as Python does (None, single quotes), and complains about a URL's padding.
    """
    written, read = server.postprocess_output_data, server.convert_strings_to_filedata

    def as_json(data: list, root_url: str) -> list:
        plain = [
            json.dumps(one, ensure_ascii=False)
            if isinstance(one, dict) and not is_file_obj_with_meta(one)
            else one
            for one in data
        ]
        return written(plain, root_url)

    def files(value: dict, positions: list) -> dict:
        try:
            found = read(value, positions)
        except Exception:
            raise ValueError(NO_FILE) from None
        # A data URL was written to a file, of which Gradio would not know: it is forgotten like an upload.
        server.blocks.upload_file_set.update(one["path"] for one in found.values() if is_file_obj(one))
        return found

    server.postprocess_output_data, server.convert_strings_to_filedata = as_json, files
