"""What a checkpoint needs in memory, by estimate, and whether this machine has that much free now.

Need = weights + allowance. Weights: parameters times bytes; in quantised form only the LLM's Linear layers
shrink (checkpoint.IN_16_BITS). Allowance: keys and values of 4,096 tokens, and 1 GiB for activations and the
device's own context. All bytes; printed in GiB.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from .checkpoint import Checkpoint

FORMS = ("bf16", "int8", "int4")  # int8 and int4 as bitsandbytes stores them
ALLOWED_TOKENS = 4096
ACTIVATIONS = 2**30

Verdict = Literal["fits", "tight", "no", "unknown"]
_LIMITS = (
    ("memory.max", "memory.current"),  # cgroup version 2
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),  # and 1
)
_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Room:
    """Memory of one device. `free` and `total` in bytes, None where the system does not say."""

    device: str
    free: int | None
    total: int | None


@dataclass(frozen=True)
class Fit:
    """Whether a checkpoint fits: a verdict for the program and a sentence for a person."""

    verdict: Verdict
    sentence: str


def weight_bytes(checkpoint: Checkpoint, form: str) -> int:
    """Return the bytes of the weights alone in one of FORMS, or in "fp32".

    int8 holds one byte a weight and a float32 for every row; int4 (NF4, double quantisation) half a byte, one
    byte for every 64 weights and a float32 for every 16,384.
    """
    if form == "fp32":
        return 4 * checkpoint.parameters
    width = checkpoint.config["text_config"]["hidden_size"]  # the narrowest row: the others cost less
    each = {"bf16": 2, "int8": 1 + 4 / width, "int4": 1 / 2 + 1 / 64 + 4 / (64 * 256)}[form]
    return round(2 * (checkpoint.parameters - checkpoint.quantised) + each * checkpoint.quantised)


def needed_bytes(checkpoint: Checkpoint, form: str) -> int:
    """Return the estimated bytes to answer questions: weights and the allowance of this file's head."""
    return weight_bytes(checkpoint, form) + ALLOWED_TOKENS * checkpoint.kv_bytes_per_token + ACTIVATIONS


def room(device: str | torch.device = "cpu", freed: int = 0) -> Room:
    """Free memory of a device now.

    Args:
        device: "cpu", "cuda", "cuda:1" or "mps", which must exist here.
        freed: bytes that would come free with the model that is open now.

    cuda counts what torch holds in reserve as free; mps counts only this process, so it is an upper bound;
    cpu is known on Linux, the limit of a container included, and unknown elsewhere.
    """
    target = torch.device(device)
    if target.type == "cuda":
        free, total = torch.cuda.mem_get_info(target)
        free += torch.cuda.memory_reserved(target) - torch.cuda.memory_allocated(target)
    elif target.type == "mps":
        total = torch.mps.recommended_max_memory()
        free = total - torch.mps.current_allocated_memory()
    else:
        free, total = _ram(_PROC, _CGROUP)
    return Room(str(device), None if free is None else free + freed, total)


def fit(checkpoint: Checkpoint, form: str, here: Room) -> Fit:
    """Return whether a checkpoint fits in a form; "tight" has room for the weights, not for the allowance."""
    weights, needed = weight_bytes(checkpoint, form), needed_bytes(checkpoint, form)
    parts = f"{_gib(needed)} (estimated; {_gib(weights)} are weights)"
    start = f"{checkpoint.title} in {form} needs about {parts}"
    if here.free is None:
        return Fit("unknown", f"{start}; this system does not say how much of {here.device} is free.")
    end = f"and {here.device} has {_gib(here.free)} free"
    if needed <= here.free:
        return Fit("fits", f"{start}, {end}: it fits.")
    if weights <= here.free:
        return Fit("tight", f"{start}, {end}: tight, it may run with short prompts and few frames.")
    return Fit("no", f"{start}, {end}: it does not fit.")


def _gib(amount: int) -> str:
    return f"{amount / 2**30:.1f} GiB"


def _ram(proc: Path, cgroup: Path) -> tuple[int | None, int | None]:
    """(free, total) main memory: what the kernel calls available, or less where a container is limited."""
    try:
        lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
        kib = {words[0]: int(words[1]) for words in lines}
        free, total = kib["MemAvailable:"] * 1024, kib["MemTotal:"] * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return None, None
    for limit, used in _LIMITS:
        try:
            most = int((cgroup / limit).read_text())  # "max" is no number: no limit
            rest = most - int((cgroup / used).read_text()) + _reclaimable(cgroup / Path(limit).parent)
        except (OSError, ValueError):
            continue
        free, total = min(free, max(0, rest)), min(total, most)
    return free, total


def _reclaimable(cgroup: Path) -> int:
    """Bytes of cached files that count as used but are given up on demand."""
    for line in (cgroup / "memory.stat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file"):
            return int(value)
    return 0
