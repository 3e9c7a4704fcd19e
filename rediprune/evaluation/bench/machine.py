"""Describe the machine of a measurement: enough to judge it by, nothing that names it or its owner."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import device as Device


@dataclass(frozen=True)
class Machine:
    """Hold hardware and versions, as this process finds them.

    Attributes:
        cpu: model name, or the architecture where the system tells no name.
        cores: cores that this process may use.
        threads: cores that one operation of torch uses.
        gpu: model name of the accelerator in use, None on a CPU.
        system: operating system and architecture.
        python, torch, transformers: versions.
        load: processes that wanted a core, on average over the minute before the start; None where the system
            does not say. Far above 0, other work was running and the times are too long.
    """

    cpu: str
    cores: int
    threads: int
    gpu: str | None
    system: str
    python: str
    torch: str
    transformers: str
    load: float | None

    @classmethod
    def here(cls, device: str | Device = "cpu") -> Machine:
        """Describe this machine; `device` is the one that is measured."""
        return cls(
            cpu=_cpu_name(),
            cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
            threads=torch.get_num_threads(),
            gpu=torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else None,
            system=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
            torch=torch.__version__,
            transformers=version("transformers"),
            load=round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        )

    def __str__(self) -> str:
        cores = f"{self.cpu}, {self.cores} core{'s' * (self.cores > 1)}, {self.threads} in use"
        busy = "" if self.load is None else f"; load before the start {self.load:.1f}"
        where = f"{self.gpu} ({cores})" if self.gpu else cores
        versions = f"Python {self.python}, torch {self.torch}, transformers {self.transformers}"
        return f"{where}; {self.system}; {versions}{busy}"


def _cpu_name() -> str:
    """Read the processor's name: Linux keeps it in a file, other systems tell Python."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return " ".join(value.split())
    except OSError:
        pass
    return platform.processor() or platform.machine()
