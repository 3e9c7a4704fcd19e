"""Open models from the model menu: which one is open, and how the opening that runs goes on.

One process holds one model, for everyone who has the page open. Names come from strangers: if the page is
public, `fixed` says why nothing is opened, and that is enforced here, not only in the browser.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from rediprune.explainer.explainer import DEFAULT_MODEL
from rediprune.explainer.model_card import quantisation
from rediprune.explainer.model_holder import ModelHolder
from rediprune.models import ModelError
from rediprune.models.checkpoints.catalog import Checkpoint, find
from rediprune.models.checkpoints.memory import fit, room
from rediprune.models.checkpoints.placement import placement
from rediprune.models.checkpoints.progress import Progress
from rediprune.models.errors import USER_ERRORS

from . import offer as model_offer
from .offer import BUILT_IN, PRECISIONS, parameters

MOST = 300  # characters of a name
STOPPED = "stopped as you asked; files that arrived whole stay for the next time"
log = logging.getLogger(__name__)


@dataclass
class Opening:
    """Hold one visitor's request to open a model, and a sentence on how it ended; "" until then."""

    name: str
    said: str = ""
    failed: bool = False

    @property
    def ended(self) -> bool:
        """Return whether the model is open or could not be opened."""
        return bool(self.said)


class ModelMenu:
    """Open models for one ModelHolder; safe between threads.

    Which model is open concerns everyone who has the page open: `state` tells it. How an opening ended
    concerns only the visitor who asked for it: `follow` tells that as well.

    Args:
        models: what opens and holds.
        fixed: why the model cannot be changed on this page, one sentence; empty if it can.
    """

    def __init__(self, models: ModelHolder, fixed: str = "") -> None:
        self.models = models
        self.fixed = fixed
        self._change = threading.Condition()
        self._steps = 0  # grows with every change
        self._opening: Opening | None = None  # the one that runs now
        self._step: Progress | None = None
        self._stop = False

    def fits(self) -> str:
        """Return which models would fit now if the open one were closed; see offer.fits."""
        return model_offer.fits(self._device(), self.models.weight_bytes)

    def state(self) -> dict:
        """Return which model is open, what is being opened and how far: what every visitor may know."""
        with self._change:
            step = self._step
            wanted = self._opening.name if self._opening else ""
            busy = bool(wanted)
            line = f"Checking {wanted}." if busy else ""
            if busy and step:
                line = f"{step} ({step.share:.0%})"
            if busy and self._stop:
                line = "Stopping."
            return {
                **self._open_model(),
                "fixed": self.fixed,
                "busy": busy,
                "wanted": wanted,
                "line": line,
                "share": step.share if step else 0.0,
            }

    def open(self, name: object, precision: object) -> Opening:
        """Begin to open a model in place of the open one; `follow` tells how it goes.

        Args:
            name: BUILT_IN, a name on the hub, or a folder.
            precision: one of PRECISIONS.

        Raises:
            ModelError: the model is fixed; another one is being opened; no name, or an unknown precision.
        """
        if self.fixed:
            raise ModelError(self.fixed)
        if not isinstance(name, str) or not name.strip() or len(name) > MOST or not name.isprintable():
            raise ModelError("say which model: pick one of the list, or give a Hub name or a folder")
        if not isinstance(precision, str) or precision not in PRECISIONS:
            raise ModelError(f"numbers of kind {precision!r} are not offered: {', '.join(PRECISIONS)}")
        with self._change:
            if self._opening:
                raise ModelError(f"{self._opening.name} is being opened already: wait for it, or stop it")
            opening = Opening(name.strip())
            self._opening = opening
            self._step = None
            self._stop = False
            self._steps += 1
        threading.Thread(target=self._work, args=(opening, precision), name="open", daemon=True).start()
        return opening

    def stop(self) -> None:
        """End the opening that runs, at its next step."""
        if self.fixed:
            return
        with self._change:
            self._stop = self._opening is not None
            self._steps += 1
            self._change.notify_all()

    def follow(self, opening: Opening) -> Iterator[dict]:
        """Yield the state now and after every change until `opening` has ended; steps may be skipped.

        Each carries "said" and "failed" of this opening, for the visitor who asked for it.
        """
        seen = -1
        ended = False
        while not ended:
            with self._change:
                self._change.wait_for(lambda before=seen: self._steps != before)
                seen = self._steps
                ended = opening.ended
                outcome = {"said": opening.said, "failed": opening.failed}
            yield self.state() | outcome

    def _work(self, opening: Opening, precision: str) -> None:
        name = opening.name
        how, form, _ = PRECISIONS[precision]
        message = ""
        failed = True
        try:
            if entry := find(name):
                self._refuse_too_large(entry, form)
            source = DEFAULT_MODEL if name == BUILT_IN else name
            explainer = self.models.open(source, progress=self._report, **how)
            message = f"{explainer.name} is open."
            failed = False
        except USER_ERRORS as error:
            message = f"Not opened: {error}."
        except Exception:
            log.exception("opening %s failed", name)
            message = f"Not opened: something went wrong inside with {name}, and the program's log says what."
        with self._change:
            opening.said = message
            opening.failed = failed
            self._opening = None
            self._step = None
            self._steps += 1
            self._change.notify_all()

    def _report(self, step: Progress) -> None:
        with self._change:
            if self._stop:
                raise ModelError(STOPPED)
            self._step = step
            self._steps += 1
            self._change.notify_all()

    def _refuse_too_large(self, entry: Checkpoint, form: str) -> None:
        """Raise ModelError for a model that is too large, before gigabytes are fetched for nothing."""
        fitting = fit(entry, form, room(self._device(), freed=self.models.weight_bytes))
        if fitting.verdict == "no":
            raise ModelError(fitting.sentence.rstrip("."))

    def _device(self) -> str:
        return str(placement(self.models.device, self.models.dtype, None, None)[0])

    def _open_model(self) -> dict:
        try:
            with self.models.borrow() as explainer:
                model, number = explainer.model, self.models.generation
                return {"name": explainer.name, "number": number, "about": about(model, explainer.settings)}
        except ModelError:
            return {"name": "", "number": self.models.generation, "about": ""}


def about(model, settings: str = "") -> str:
    """Return a model's size and place, such as "7.06 B parameters, bfloat16, on cuda:0", and its settings."""
    numbers = quantisation(model) or str(model.dtype).removeprefix("torch.")
    shown = f"; shown {settings}" if settings else ""
    return f"{parameters(model.num_parameters())} parameters, {numbers}, on {model.device}{shown}"
