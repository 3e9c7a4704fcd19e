"""An opened trace in the place of the model that made it: everything that needs no model, and what it said.

`Recorded` has the methods of `Explainer` that a reader of a finished run calls. It chooses tokens anew, at
any ratio and weight, estimates savings, and repeats the recorded answers; whatever would ask the model is
refused in one sentence.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..config import ASKS_PROJECTED, PruneConfig
from ..costs.estimate import Savings, estimate_from_costs
from ..explainer.ask import Asked
from ..explainer.encode import Look, Shown
from ..models import ModelError
from ..selection.select import select_tokens
from ..trace import Agreement, Answer, Selection, Trace

# Distances between tokens that compete for one budget: a short file may ask for more than memory holds. One
# picture of 16,384 tokens has so many (1 GiB).
MOST_DISTANCES = 2**28


class Recorded:
    """One run as its file tells it.

    Attributes:
        shown: the pictures.
        look, asked: as Explainer.look and Explainer.ask gave them, without what only the model needs.
        name, fingerprint: of the model that made it.
        defaults: the settings that it was made with.
        methods, queries, pointings: that of the run alone, for others would need the model.
        knows, why_query: empty; a file says nothing of its model.

    Raises:
        ValueError: the trace has no pictures or no costs, or was made with tau > 0, whose picks at one ratio
            say nothing of another, or its tokens are too many to be chosen from again.
    """

    knows = why_query = ""

    def __init__(self, trace: Trace) -> None:
        if not trace.frames or trace.costs is None:
            raise ValueError("this trace was saved without its pictures or its costs: save the run again")
        if not trace.selection.nested or trace.selection.order.dim() != 2:
            raise ValueError("this trace has tau > 0 or several weights, which cannot be shown as one run")
        groups, size = trace.selection.order.shape
        if groups * size**2 > MOST_DISTANCES:
            raise ValueError(f"this trace has {groups * size:,} tokens, too many to be chosen from again")
        self.trace, config = trace, trace.config
        self.name, self.fingerprint, self.defaults = trace.model_name, trace.fingerprint, config
        self.methods, self.queries, self.pointings = (config.method,), (config.query,), (config.pointing,)
        self.shown = Shown(trace.frames, trace.clip, trace.seconds)
        # With its own pictures, which are kept anyway: blank ones would take as much memory again.
        self._look = Look(self.shown.fingerprint(), self.shown, (), trace.vision)
        self._asked = Asked(
            key=self._look.key,
            question=trace.question,
            inputs={},
            n_text=trace.costs.n_text,
            query=trace.query,
            pointing=config.pointing,
            query_flops=trace.costs.query_flops,
            notes=trace.notes,
        )

    @property
    def llm_width(self) -> int:
        """D, of the language model that answered."""
        return self.trace.costs.shapes["llm_width"]

    def look(self, media: object = None) -> Look:
        """The recorded look, whatever is shown."""
        return self._look

    def ask(self, look: Look, question: str, config: PruneConfig | None = None) -> Asked:
        """The recorded question.

        Raises:
            ModelError: another question, or another query to measure it by.
        """
        config = config or self.defaults
        mine = (self.trace.question, self.defaults.query, self.defaults.pointing)
        if (question.strip(), config.query, config.pointing) != (mine[0].strip(), *mine[1:]):
            raise self._refusal("Another question or query needs a model")
        return self._asked

    def select(
        self,
        look: Look,
        asked: Asked,
        config: PruneConfig | None = None,
        alphas: Sequence[float] | None = None,
    ) -> Selection:
        """As Explainer.select. At the recorded settings it is the recorded order, not worked out again.

        Raises:
            ModelError: a method that measures tokens behind the projector, other than the recorded one.
        """
        config, trace = config or self.defaults, self.trace
        recorded = asked.query is trace.query and _same_rule(config, trace.config)
        if recorded and config.method != "rediprune":
            return self._repeated(config, alphas)
        if config.method in ASKS_PROJECTED:
            raise self._refusal(f"The method {config.method} measures tokens behind the projector")
        made = select_tokens(trace.vision, asked.query, config, alphas).cpu()
        return self._with_recorded(made) if recorded else made

    def _repeated(self, config: PruneConfig, alphas: Sequence[float] | None) -> Selection:
        """One order for all weights, of a method that knows none."""
        one = replace(self.trace.selection, config=config)
        if alphas is None:
            return one
        return replace(one, **_parts(one, lambda x: x.expand(len(alphas), *x.shape)), alphas=tuple(alphas))

    def _with_recorded(self, made: Selection) -> Selection:
        """The same with the recorded order, to the last bit, where it stands for the recorded weight."""
        one = self.trace.selection
        made = replace(made, relevance=one.relevance)
        for w, alpha in enumerate(made.alphas):
            # On the page's slider the published 1/2 is not exact.
            if not math.isclose(alpha, one.alphas[0], rel_tol=1e-9):
                continue
            if made.order.dim() == 2:
                return replace(made, **_parts(one, lambda x: x))
            for name, x in _parts(made, torch.clone).items():
                x[w] = getattr(one, name)
                made = replace(made, **{name: x})
        return made

    def differing(self) -> int:
        """How many picks of the whole order come out otherwise when worked out again on this machine."""
        if self.defaults.method in ASKS_PROJECTED:  # that takes the projector
            return 0
        again = select_tokens(self.trace.vision, self.trace.query, self.defaults).cpu()
        return int((again.order != self.trace.selection.order).sum())

    def savings(
        self,
        look: Look,
        asked: Asked,
        kept: Tensor,
        n_new: int,
        method: str = "rediprune",
        budget: str = "frame",
    ) -> Savings:
        """ESTIMATE for another number of kept tokens, from what the run noted of its model."""
        costs = self.trace.costs
        if method != costs.method:  # tokens chosen by hand cost nothing to choose
            costs = replace(costs, method=method, query_flops=0.0)
        return estimate_from_costs(costs, kept.numel(), n_new)

    def savings_each(
        self,
        look: Look,
        asked: Asked,
        kept: Sequence[Tensor],
        n_new: int,
        method: str = "rediprune",
        budget: str = "frame",
    ) -> list[Savings]:
        """Return `savings` for each of many choices."""
        return [self.savings(look, asked, flat, n_new, method, budget) for flat in kept]

    def answer(
        self,
        look: Look,
        asked: Asked,
        kept: Tensor | None = None,
        on_text: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
        **how,
    ) -> Answer:
        """The recorded answer.

        Raises:
            ModelError: other tokens than the recorded ones.
        """
        if kept is None:
            return self.trace.full
        if not torch.equal(kept, self.trace.kept):
            raise self._refusal("An answer from other tokens needs a model")
        return self.trace.pruned

    def agreement(self, *given, **how) -> Agreement:
        """The recorded agreement."""
        return self.trace.agreement

    def _refusal(self, what: str) -> ModelError:
        return ModelError(f"{what}, and this run of {self.name or 'a model'} was opened from a file")


def _same_rule(a: PruneConfig, b: PruneConfig) -> bool:
    """Whether two settings differ in nothing but ratio, weight and positions."""
    one, other = (replace(c, keep_ratio=1, alpha=0, positions="compacted") for c in (a, b))
    return one == other


def _parts(selection: Selection, change: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Those of order, distance and score that there are, changed."""
    parts = {name: getattr(selection, name) for name in ("order", "distance", "score")}
    return {name: change(x) for name, x in parts.items() if x is not None}
