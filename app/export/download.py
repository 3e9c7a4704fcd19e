"""Hand a finished file over to the browser's own downloads."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from gradio.data_classes import FileData
from gradio.processing_utils import hash_bytes, save_bytes_to_cache

from rediprune.models.errors import USER_ERRORS

CANNOT_STORE = "the server cannot store files at this moment, its disk may be full: try again later."


def prepare_download(make: Callable[..., tuple[Path, str]], cache: str) -> dict:
    """Return what the browser downloads: a file in Gradio's folder of uploads, which is forgotten like one.

    Args:
        make: called as make(folder=...); writes the file and returns it with a sentence about it.
        cache: the folder of the component that hands it over.
    """
    try:
        with explain_storage_errors(), TemporaryDirectory() as folder:
            file, message = make(folder=Path(folder))
            path = copy_into_cache(file, cache)
    except USER_ERRORS as error:
        return {"said": f"Not saved: {error}"}
    return {"file": FileData(path=path, orig_name=file.name).model_dump(), "said": message}


def copy_into_cache(file: Path, cache: str) -> str:
    """Copy a file to where Gradio keeps uploads and return its path there; a failed copy leaves nothing.

    Raises:
        OSError: it cannot be stored.
    """
    data = file.read_bytes()
    try:
        return save_bytes_to_cache(data, file.name, cache)
    except OSError:
        shutil.rmtree(Path(cache) / hash_bytes(data), ignore_errors=True)
        raise


@contextmanager
def explain_storage_errors() -> Iterator[None]:
    """Raise ValueError with a sentence in place of an OSError, which would name a path of the server."""
    try:
        yield
    except OSError as error:
        raise ValueError(CANNOT_STORE) from error
