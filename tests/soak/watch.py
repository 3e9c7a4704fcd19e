"""Read off /proc what a server process holds: memory, descriptors, threads, and the files of its folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
MB = 2**20


@dataclass(frozen=True)
class Held:
    """Hold what a process had at one moment.

    Attributes:
        memory_mb: resident memory.
        descriptors, threads: how many are open and alive.
        files, files_mb: files in its folder, and their size.
    """

    memory_mb: float
    descriptors: int
    threads: int
    files: int
    files_mb: float


def held(pid: int, folder: Path) -> Held:
    """Read what the process `pid` holds, and its folder of uploads; only Linux has /proc."""
    process = Path("/proc") / str(pid)
    resident = int((process / "statm").read_text().split()[1]) * PAGE
    files = [path for path in folder.rglob("*") if path.is_file()]
    return Held(
        memory_mb=round(resident / MB, 1),
        descriptors=len(list((process / "fd").iterdir())),
        threads=len(list((process / "task").iterdir())),
        files=len(files),
        files_mb=round(sum(path.stat().st_size for path in files) / MB, 1),
    )
