"""Hold one open model for many threads: opening another frees the one before, once its answers are done."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ..models import ModelError
from ..models.checkpoints.loading import Prepared, applied_settings, open_weights, prepare
from ..models.checkpoints.memory import room
from ..models.checkpoints.placement import placement
from ..models.checkpoints.progress import Report
from .explainer import Explainer
from .model_card import read_card
from .trial import try_model


class ModelHolder:
    """Hold one Explainer for many threads.

    Work with it inside `borrow()`, and keep no reference to it, its model or its adapter beyond that: a model
    that is still referred to cannot be freed. Encodings, answers and traces hold no model and may be kept.

    Args:
        explainer: the one to begin with, or None.
        device, dtype: where and in which numbers models are opened, as `rediprune.load` takes them.
        patience: seconds to wait for running answers before an opening gives up.
        quick: as `rediprune.load` takes it.
    """

    def __init__(
        self,
        explainer: Explainer | None = None,
        device: str = "cpu",
        dtype: str | torch.dtype = "auto",
        patience: float = 60.0,
        quick: bool = False,
    ) -> None:
        self.device = device
        self.dtype = dtype
        self.patience = patience
        self.quick = quick
        self._explainer = explainer
        self._generation = 0
        self._users = 0
        self._is_closing = False  # the open model waits for its last users: nobody new may start with it
        self._change = threading.Condition()
        self._opening = threading.Lock()

    @property
    def name(self) -> str:
        """Return the name of the open model; empty if none is open."""
        explainer = self._explainer
        return explainer.name if explainer else ""

    @property
    def generation(self) -> int:
        """Return a number that grows with every change of the open model: two models may have one name.

        Inside `borrow()` it belongs to the borrowed model.
        """
        return self._generation

    @property
    def weight_bytes(self) -> int:
        """Return the bytes of the open model's weights, which closing it would free; 0 if none is open."""
        explainer = self._explainer
        return sum(w.numel() * w.element_size() for w in explainer.model.parameters()) if explainer else 0

    @contextmanager
    def borrow(self) -> Iterator[Explainer]:
        """Give the open model to a `with` block; it stays open until the block ends.

        Raises:
            ModelError: none is open, or it is being exchanged right now.
        """
        with self._change:
            if self._explainer is None or self._is_closing:
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

        Checks and the download run while the old model still answers. If there is memory for both, the old
        one also stays until the new one is loaded; else it is closed before the weights are read. Weights
        that do not fit even then are not read at all: main memory that runs out ends the whole program.
        Code that comes with a checkpoint is never run: the names come from visitors of a page.

        Args:
            name_or_dir, quantise, progress: as `rediprune.load` takes them. What `progress` raises ends the
                opening, and is raised here where it is a ModelError.
            dtype: as `rediprune.load` takes it; None is this holder's own.

        Raises:
            ModelError: as `rediprune.load` does; the old model is still open unless the message says that it
                was closed. Or running answers did not end in time.
        """
        with self._opening:
            dtype = dtype or self.dtype
            target, _ = placement(self.device, dtype, quantise, None)
            prepared = prepare(name_or_dir, progress)
            least = prepared.weight_bytes * _LEAST_SHARE[quantise]
            if dtype != "auto":  # files of 32 bits may be opened in 16
                least *= 0.5
            _refuse_without_room(prepared.name, least, room(target).free, self.weight_bytes, target)
            old = self.name
            if not old or _room_for_both(prepared, target):
                explainer = self._read(prepared, dtype, quantise, progress)
                self._replace(explainer)
                return explainer
            self._replace(None)
            try:
                explainer = self._read(prepared, dtype, quantise, progress)
            except ModelError as error:
                raise ModelError(f"{error}; {old} was closed before to make room: open it again") from error
            self._replace(explainer)
            return explainer

    def _read(
        self, prepared: Prepared, dtype: str | torch.dtype, quantise: str | None, progress: Report | None
    ) -> Explainer:
        """Read the weights; return the Explainer, with its card if the model is a local folder."""
        card = read_card(prepared.folder) if prepared.local else None
        name = prepared.folder.name if prepared.local else prepared.name
        model, processor = open_weights(
            prepared, self.device, dtype, quantise, progress=progress, quick=self.quick
        )
        settings = applied_settings(prepared, self.device, quick=self.quick)
        description = settings.description if settings else ""
        explainer = Explainer(model, processor, name, card, settings=description)
        try_model(explainer, prepared.local)
        return explainer

    def _replace(self, explainer: Explainer | None) -> None:
        """Put an Explainer, or none, in place of the open one once nobody uses it, and free its memory.

        Raises:
            ModelError: running answers did not end in time.
        """
        with self._change:
            self._is_closing = True
            try:
                if not self._change.wait_for(lambda: not self._users, self.patience):
                    raise ModelError(f"{self.name} is still answering: try again when it is done")
                self._explainer = explainer
                self._generation += 1
            finally:
                self._is_closing = False
        gc.collect()  # model, hooks and processor refer to each other in circles
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        elif torch.backends.mps.is_available():
            torch.mps.empty_cache()


# Lower bound of weight memory as a share of the file size. Layers that stay in 16 bits are ignored, so the
# truth is higher.
_LEAST_SHARE = {None: 1.0, "int8": 0.5, "int4": 0.25}


def _refuse_without_room(name: str, least: float, free: int | None, freed: int, target: torch.device) -> None:
    """Raise ModelError if a model needs more than the free memory and what closing the open one frees.

    All sizes are in bytes. Nothing is refused if the free memory is unknown (None).
    """
    if free is not None and least > free + freed:
        needed, there = (f"{amount / 2**30:.1f} GiB" for amount in (least, free + freed))
        raise ModelError(
            f"{name} takes at least {needed} and {target} has {there} for it: choose int8, int4 or a smaller "
            "model"
        )


def _room_for_both(prepared: Prepared, target: torch.device) -> bool:
    """Tell whether the new model surely fits beside the open one."""
    free = room(target).free
    # Twice the files: the weights may be stored in 16 bits and opened in 32, and answering takes memory too.
    return free is not None and 2 * prepared.weight_bytes <= free
