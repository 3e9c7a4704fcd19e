"""Let an opened trace stand in for the model that made it: what needs no model, and the recorded answers.

`RecordedRun` offers what `explainer.protocol.ExplainerLike` asks for. It selects tokens anew, at any ratio
and weight, estimates savings, and repeats the recorded answers. Whatever needs the model is refused in one
sentence.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..config import ASKS_PROJECTED, PruneConfig
from ..costs.estimate import Savings, estimate_from_costs
from ..explainer.ask import PreparedQuestion
from ..explainer.encode import Encoding, MediaInput
from ..models import ModelError
from ..selection.select import select_tokens
from ..trace import Agreement, Answer, Selection, Trace

if TYPE_CHECKING:
    from ..explainer.encode import Media
    from ..explainer.protocol import ExplainerLike

# Most distances between the tokens that share a budget: a short file may ask for more than memory holds. One
# picture of 16,384 tokens has this many (1 GiB).
MOST_DISTANCES = 2**28


class RecordedRun:
    """Hold one run as its file tells it.

    Attributes:
        trace: the run.
        media: its pictures.
        name, fingerprint: of the model that made it.
        defaults: the settings that it was made with.
        methods, queries, pointings: the one of each that the run used; others would need the model.
        knows, why_query: empty; a file says nothing about its model.

    Raises:
        ValueError: the trace has no pictures or no costs, or was made with tau > 0, whose picks at one ratio
            say nothing of another, or it has too many tokens to select from again.
    """

    knows = ""
    why_query = ""
    one_at_a_time = False

    def __init__(self, trace: Trace) -> None:
        if not trace.frames or trace.costs is None:
            raise ValueError("this trace was saved without its pictures or its costs: save the run again")
        if not trace.selection.nested or trace.selection.order.dim() != 2:
            raise ValueError("this trace has tau > 0 or several weights, which cannot be shown as one run")
        groups, size = trace.selection.order.shape
        if groups * size**2 > MOST_DISTANCES:
            raise ValueError(f"this trace has {groups * size:,} tokens, too many to be chosen from again")
        config = trace.config
        self.trace = trace
        self.name = trace.model_name
        self.fingerprint = trace.fingerprint
        self.defaults = config
        self.methods = (config.method,)
        self.queries = (config.query,)
        self.pointings = (config.pointing,)
        self.media = MediaInput(trace.frames, trace.clip, trace.seconds)
        # With its own pictures, which are kept anyway: blank ones would take as much memory again.
        self._encoding = Encoding(self.media.fingerprint(), self.media, (), trace.vision)
        self._question = PreparedQuestion(
            key=self._encoding.key,
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
        """Return D, the embedding width of the language model that answered."""
        return self.trace.costs.shapes["llm_width"]

    @property
    def load_arguments(self) -> dict[str, str | bool]:
        """Return nothing: a file does not say where or in which numbers its model was loaded."""
        return {}

    def can_measure(self, method: str) -> bool:
        """Tell whether tokens can be selected anew with this method: the projector is not in the file."""
        return method not in ASKS_PROJECTED

    def check_question(self, question: str) -> str:
        """Return the question as it is; `ask` refuses any other than the recorded one."""
        return question

    def look(self, media: Media | None = None) -> Encoding:
        """Return the recorded encoding, whatever the media."""
        return self._encoding

    def ask(self, encoding: Encoding, question: str, config: PruneConfig | None = None) -> PreparedQuestion:
        """Return the recorded question.

        Raises:
            ModelError: another question, or another query to measure it by.
        """
        config = config or self.defaults
        recorded = (self.trace.question.strip(), self.defaults.query, self.defaults.pointing)
        if (question.strip(), config.query, config.pointing) != recorded:
            raise self._refusal("Another question or query needs a model")
        return self._question

    def select(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        config: PruneConfig | None = None,
        alphas: Sequence[float] | None = None,
    ) -> Selection:
        """Select as Explainer.select does; at the recorded settings, return the recorded order itself.

        Raises:
            ModelError: a method that measures tokens behind the projector, other than the recorded one.
        """
        config = config or self.defaults
        trace = self.trace
        is_recorded = question.query is trace.query and _same_rule(config, trace.config)
        if is_recorded and config.method != "rediprune":
            return self._repeat_order(config, alphas)
        if not self.can_measure(config.method):
            raise self._refusal(f"The method {config.method} measures tokens behind the projector")
        selection = select_tokens(trace.vision, question.query, config, alphas).cpu()
        return self._insert_recorded(selection) if is_recorded else selection

    def _repeat_order(self, config: PruneConfig, alphas: Sequence[float] | None) -> Selection:
        """Return the recorded order, repeated for every weight: its method ignores the weight."""
        recorded = replace(self.trace.selection, config=config)
        if alphas is None:
            return recorded
        # [G, M] -> [W, G, M]
        repeated = _map_evidence(recorded, lambda x: x.expand(len(alphas), *x.shape))
        return replace(recorded, **repeated, alphas=tuple(alphas))

    def _insert_recorded(self, selection: Selection) -> Selection:
        """Return the selection with the recorded evidence, to the last bit, at the recorded weight."""
        recorded = self.trace.selection
        selection = replace(selection, relevance=recorded.relevance)
        for w, alpha in enumerate(selection.alphas):
            # The slider of the page does not hit the published 1/2 exactly.
            if not math.isclose(alpha, recorded.alphas[0], rel_tol=1e-9):
                continue
            if selection.order.dim() == 2:
                return replace(selection, **_map_evidence(recorded, lambda x: x))
            for name, x in _map_evidence(selection, torch.clone).items():
                x[w] = getattr(recorded, name)
                selection = replace(selection, **{name: x})
        return selection

    def differing(self) -> int:
        """Count the picks of the whole order that come out differently when selected on this machine."""
        if not self.can_measure(self.defaults.method):
            return 0
        again = select_tokens(self.trace.vision, self.trace.query, self.defaults).cpu()
        return int((again.order != self.trace.selection.order).sum())

    def savings(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Tensor,
        n_new: int,
        method: str = "rediprune",
        budget: str = "frame",
    ) -> Savings:
        """Return the ESTIMATE for another number of kept tokens, from the recorded shapes of the model."""
        costs = self.trace.costs
        if method != costs.method:  # tokens chosen by hand cost nothing to choose
            costs = replace(costs, method=method, query_flops=0.0)
        return estimate_from_costs(costs, kept.numel(), n_new)

    def savings_each(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Sequence[Tensor],
        n_new: int,
        method: str = "rediprune",
        budget: str = "frame",
    ) -> list[Savings]:
        """Return `savings` for each of many choices of kept tokens."""
        return [self.savings(encoding, question, flat, n_new, method, budget) for flat in kept]

    def answer(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Tensor | None = None,
        on_text: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
        max_new_tokens: int | None = None,
        positions: str = "compacted",
    ) -> Answer:
        """Return the recorded answer; on_text, stop, max_new_tokens and positions play no part.

        Raises:
            ModelError: other tokens than the recorded ones.
        """
        if kept is None:
            return self.trace.full
        if not torch.equal(kept, self.trace.kept):
            raise self._refusal("An answer from other tokens needs a model")
        return self.trace.pruned

    def agreement(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Tensor,
        full: Answer,
        pruned: Answer,
        positions: str = "compacted",
    ) -> Agreement:
        """Return the recorded agreement."""
        return self.trace.agreement

    def _refusal(self, what: str) -> ModelError:
        """Return the error that says why a file cannot do this."""
        return ModelError(f"{what}, and this run of {self.name or 'a model'} was opened from a file")


def _same_rule(a: PruneConfig, b: PruneConfig) -> bool:
    """Tell whether two settings differ at most in ratio, weight and positions."""
    one, other = (replace(c, keep_ratio=1, alpha=0, positions="compacted") for c in (a, b))
    return one == other


def _map_evidence(selection: Selection, function: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """Apply a function to order, distance and score, skipping those that are None; return them by name."""
    evidence = {name: getattr(selection, name) for name in ("order", "distance", "score")}
    return {name: function(x) for name, x in evidence.items() if x is not None}


if TYPE_CHECKING:

    def _check_protocol(run: RecordedRun) -> ExplainerLike:
        """Make the type checker compare the class with the protocol."""
        return run
