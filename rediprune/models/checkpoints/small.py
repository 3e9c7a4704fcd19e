"""Choose the small real model that fits this machine best, for answers about photographs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import HfHubHTTPError

from .catalog import SMALL
from .checkpoint import Checkpoint
from .memory import Fit, fit, room
from .speed import answer_seconds, quick_dtype

PATIENCE = 5.0  # seconds that an answer may take by estimate: a question is answered twice, and it may be off
MODEST = 5_000_000_000  # bytes that may be downloaded without anyone having chosen a model

# An estimate of the files' size may be a little too high; a file that is missing takes away far more.
ENOUGH_OF_THE_FILES = 0.95


@dataclass(frozen=True)
class SmallModel:
    """Hold one small model and how it fits this machine now.

    Attributes:
        entry: the checkpoint.
        fit: whether it fits into memory, in the number format that it would be opened in.
        seconds: ESTIMATED seconds of an answer about a photograph, on this machine.
    """

    entry: Checkpoint
    fit: Fit
    seconds: float


def small_models(device: str | torch.device = "cpu", freed: int = 0) -> list[SmallModel]:
    """Return every small model with its fit and its seconds, the one that fits this machine best first.

    First come those that fit into memory, answer within PATIENCE and are a MODEST download, the most able
    first; then the others that fit, the quickest first; then those that do not fit, the smallest first.

    Args:
        device: "cpu", "cuda", "cuda:1" or "mps", which must exist here.
        freed: bytes of memory that come free when the open model is closed.
    """
    here = room(device, freed)
    form = "bf16" if quick_dtype(str(device)) == "bfloat16" else "fp32"
    models = [
        SmallModel(entry, fit(entry, form, here), answer_seconds(entry, device) or 0.0) for entry in SMALL
    ]

    def place(at: int) -> tuple[int, float]:
        """Return the place of SMALL[at]: a lower one comes first."""
        one = models[at]
        if one.fit.verdict not in ("fits", "unknown"):
            return 2, one.entry.parameters
        if one.seconds <= PATIENCE and one.entry.download_bytes <= MODEST:
            return 0, -at
        return 1, one.seconds

    return [models[at] for at in sorted(range(len(models)), key=place)]


def small_candidates(
    device: str | torch.device = "cpu",
    freed: int = 0,
    free_disk: int | None = None,
    here: Sequence[str] = (),
) -> list[SmallModel]:
    """Return the small models that fit this machine, the one that fits best first.

    Args:
        device, freed: as `small_models` takes them.
        free_disk: bytes that a download may take; None where it does not matter.
        here: names of checkpoints that need no download.
    """
    return [
        one
        for one in small_models(device, freed)
        if one.fit.verdict in ("fits", "unknown")
        and (free_disk is None or one.entry.name in here or one.entry.download_bytes <= free_disk)
    ]


def small_for_this_machine(
    device: str | torch.device = "cpu",
    freed: int = 0,
    free_disk: int | None = None,
    here: Sequence[str] = (),
) -> SmallModel | None:
    """Return the small model that fits this machine best, or None where none fits.

    Args are those of `small_candidates`.
    """
    found = small_candidates(device, freed, free_disk, here)
    return found[0] if found else None


def is_here(entry: Checkpoint) -> bool:
    """Return whether the hub's cache on this machine holds the whole checkpoint; the hub is not asked."""
    try:
        folder = Path(snapshot_download(entry.name, local_files_only=True))
    except (OSError, ValueError, HfHubHTTPError):
        return False
    files = [file.stat().st_size for file in folder.glob("*.safetensors") if file.exists()]
    return sum(files) >= ENOUGH_OF_THE_FILES * entry.download_bytes


def free_for_downloads() -> int:
    """Return the free bytes of the disk that the hub's cache lies on, or will."""
    folder = Path(constants.HF_HUB_CACHE)
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def how_to_get(entry: Checkpoint) -> str:
    """Return the exact command that brings a checkpoint onto a machine."""
    return f"hf download {entry.name}"
