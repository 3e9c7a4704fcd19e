"""One model at a time: opening another frees the one before it, and whoever is answering finishes first."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..models import ModelError
from ..models.checkpoints.loading import Prepared, open_weights, prepare
from ..models.checkpoints.memory import room
from ..models.checkpoints.placement import placement
from ..models.checkpoints.progress import Report
from .explainer import Explainer
from .model_card import read_card


class ModelHolder:
    """Holds one Explainer for many threads.

    Work with it inside `borrow()`, and keep no reference to it, its model or its adapter beyond that: what
    someone still refers to cannot be freed. Looks, answers and traces hold no model and may be kept.

    Args:
        explainer: the one to begin with, or None.
        device, dtype: where and in which numbers models are opened, as `rediprune.load` takes them.
        patience: seconds to wait for running answers before an opening gives up.
    """

    def __init__(
        self,
        explainer: Explainer | None = None,
        device: str = "cpu",
        dtype: str | torch.dtype = "auto",
        patience: float = 60.0,
    ) -> None:
        self.device, self.dtype, self.patience = device, dtype, patience
        self._explainer = explainer
        self._generation = 0
        self._users = 0
        self._leaving = False  # the open model is on its way out: nobody new may start with it
        self._change = threading.Condition()
        self._opening = threading.Lock()

    @property
    def name(self) -> str:
        """What the open model is called; empty where none is open."""
        explainer = self._explainer
        return explainer.name if explainer else ""

    @property
    def generation(self) -> int:
        """Another one after every change of the open model, of which two may have the same name.

        Inside `borrow()` it is that of the model in use.
        """
        return self._generation

    @property
    def weight_bytes(self) -> int:
        """Memory that the open model's weights hold, and that closing it would free; 0 where none is open."""
        explainer = self._explainer
        return sum(w.numel() * w.element_size() for w in explainer.model.parameters()) if explainer else 0

    @contextmanager
    def borrow(self) -> Iterator[Explainer]:
        """The open model, which stays open until the block ends.

        Raises:
            ModelError: none is open, or it is being exchanged right now.
        """
        with self._change:
            if self._explainer is None or self._leaving:
                raise ModelError(
                    "no model is open at this moment: wait for the one being opened, or open one"
                )
            self._users += 1
            explainer = self._explainer
        try:
            yield explainer
        finally:
            with self._change:
                self._users -= 1
                self._change.notify_all()

    def open(
        self,
        name_or_dir: str | Path,
        quantise: str | None = None,
        progress: Report | None = None,
        dtype: str | torch.dtype | None = None,
    ) -> Explainer:
        """Open a model in place of the one that is open; one opening at a time, others wait their turn.

        Checks and the download run while the old model still answers. Where there is room for both, it also
        stays until the new one stands; else it is closed before the weights are read. Weights for which there
        is no room even then are not read at all: main memory that runs out ends the whole program.

        Args:
            name_or_dir, quantise, progress: as `rediprune.load` takes them. What `progress` raises ends the
                opening, and is raised here where it is a ModelError.
            dtype: as there; None is this holder's own.

        Raises:
            ModelError: as `rediprune.load` does, the old model still open, or closed where the sentence says
                so; or running answers did not end in time.
        """
        with self._opening:
            numbers = dtype or self.dtype
            target, _ = placement(self.device, numbers, quantise, None)
            prepared = prepare(name_or_dir, progress)
            least = prepared.weight_bytes * _SHARE[quantise] * (1 if numbers == "auto" else 0.5)
            _refuse_without_room(prepared.name, least, room(target).free, self.weight_bytes, target)
            old = self.name
            if not old or _room_for_both(prepared, target):
                explainer = self._read(prepared, numbers, quantise, progress)
                self._replace(explainer)
                return explainer
            self._replace(None)
            try:
                explainer = self._read(prepared, numbers, quantise, progress)
            except ModelError as error:
                raise ModelError(f"{error}; {old} was closed before to make room: open it again") from error
            self._replace(explainer)
            return explainer

    def _read(
        self, prepared: Prepared, dtype: str | torch.dtype, quantise: str | None, progress: Report | None
    ) -> Explainer:
        card = read_card(prepared.folder) if prepared.local else None
        model, processor = open_weights(prepared, self.device, dtype, quantise, progress=progress)
        return Explainer(model, processor, prepared.folder.name if prepared.local else prepared.name, card)

    def _replace(self, explainer: Explainer | None) -> None:
        with self._change:
            self._leaving = True
            try:
                if not self._change.wait_for(lambda: not self._users, self.patience):
                    raise ModelError(f"{self.name} is still answering: try again when it is done")
                self._explainer = explainer
                self._generation += 1
            finally:
                self._leaving = False
        gc.collect()  # model, hooks and processor refer to each other in circles
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        elif torch.backends.mps.is_available():
            torch.mps.empty_cache()


# Of the size of the files, the least that the weights take in memory: those that stay in 16 bits not counted.
_SHARE = {None: 1.0, "int8": 0.5, "int4": 0.25}


def _refuse_without_room(name: str, least: float, free: int | None, freed: int, target: torch.device) -> None:
    if free is not None and least > free + freed:
        needed, there = (f"{amount / 2**30:.1f} GiB" for amount in (least, free + freed))
        raise ModelError(
            f"{name} takes at least {needed} and {target} has {there} for it: choose int8, int4 or a smaller "
            "model"
        )


def _room_for_both(prepared: Prepared, target: torch.device) -> bool:
    free = room(target).free
    # Twice the files: the weights may be stored in 16 bits and opened in 32, and answering takes memory too.
    return free is not None and 2 * prepared.weight_bytes <= free
