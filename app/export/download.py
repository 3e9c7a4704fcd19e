"""A finished file on its way to the browser's own downloads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from gradio.data_classes import FileData
from gradio.processing_utils import save_bytes_to_cache

from ..answer.answering import SAID


def download(make: Callable[..., tuple[Path, str]], cache: str) -> dict:
    """What the browser downloads: a file where Gradio keeps uploads, forgotten like one.

    Args:
        make: called as make(folder=...), writes the file and returns it with a sentence about it.
        cache: the folder of the component that hands it over.
    """
    try:
        with TemporaryDirectory() as folder:
            file, said = make(folder=Path(folder))
            path = save_bytes_to_cache(file.read_bytes(), file.name, cache)
    except SAID as error:
        return {"said": f"Not saved: {error}"}
    return {"file": FileData(path=path, orig_name=file.name).model_dump(), "said": said}
