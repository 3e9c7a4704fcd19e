"""Fetch a checkpoint from the Hugging Face hub into its cache: what is needed and still missing."""

from __future__ import annotations

import shutil
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import DryRunError

from ..errors import ModelError
from .progress import Progress, Report, download_bars

DESCRIPTION = ["*.json", "*.jinja", "*.model", "*.txt"]  # configuration and processor: a few MB
WEIGHTS = (["*.safetensors"], ["*.bin"])  # the first kind that the repository has
IGNORED = ["*/*", "consolidated*"]  # other formats of the same weights


def fetch_description(name: str, code: bool = False) -> Path:
    """Return the folder with a checkpoint's config and processor; offline, what the cache holds of it.

    Args:
        code: fetch the Python files that come with the checkpoint as well.
    """
    patterns = [*DESCRIPTION, "*.py"] if code else DESCRIPTION
    return Path(snapshot_download(name, allow_patterns=patterns, ignore_patterns=IGNORED))


def fetch_weights(name: str, folder: Path, progress: Report | None = None) -> None:
    """Bring the weights into the folder of `fetch_description`, of the same revision.

    Raises:
        ModelError: the disk is too full, which is known before anything is fetched.
    """
    wanted = {"revision": folder.name, "ignore_patterns": IGNORED}
    try:
        kinds = (snapshot_download(name, allow_patterns=kind, dry_run=True, **wanted) for kind in WEIGHTS)
        missing = [file for file in next(filter(None, kinds), []) if file.will_download]
    except DryRunError:  # no connection: what the cache holds must do
        snapshot_download(name, local_files_only=True, allow_patterns=WEIGHTS[0], **wanted)
        return
    if not missing:
        return
    total = sum(file.file_size or 0 for file in missing)
    free = shutil.disk_usage(folder).free
    if total > free:
        raise ModelError(
            f"{name} takes {total / 1e9:.1f} GB on disk and {free / 1e9:.1f} GB are free in "
            f"{folder.parents[2]}: make room there first"
        )
    if progress:
        progress(Progress("download", 0, total))
    files = [file.filename for file in missing]
    bars = download_bars(total, progress or (lambda _: None))
    snapshot_download(name, allow_patterns=files, tqdm_class=bars, **wanted)
