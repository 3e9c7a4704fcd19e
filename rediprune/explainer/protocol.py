"""State what everything that can explain a run offers, so that its callers need not ask which kind it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from ..config import PruneConfig
    from ..costs.estimate import Savings
    from ..trace import Agreement, Answer, Selection, Trace
    from .ask import PreparedQuestion
    from .encode import Encoding, Media


class ExplainerLike(Protocol):
    """Describe an Explainer with a model (on this machine or on a lent GPU), or a run opened from a file.

    Attributes:
        name, fingerprint: of the model.
        defaults: the settings that are used if none are given.
        knows: one sentence on what the model can be asked about; empty if not known.
        why_query: one sentence on why the default query is the default; empty if not known.
        methods, queries, pointings: the settings that can be chosen here.
        llm_width: D, the embedding width of the language model.
        one_at_a_time: whether it can serve one visitor only at any moment.
        load_arguments: arguments of Explainer.from_pretrained, besides the name, that place the model as it
            is placed now; empty if there is no model.
        trace: the finished run that it repeats, None if it has a model and can answer anything.
    """

    @property
    def name(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def defaults(self) -> PruneConfig: ...
    @property
    def knows(self) -> str: ...
    @property
    def why_query(self) -> str: ...
    @property
    def methods(self) -> tuple[str, ...]: ...
    @property
    def queries(self) -> tuple[str, ...]: ...
    @property
    def pointings(self) -> tuple[str, ...]: ...
    @property
    def llm_width(self) -> int: ...
    @property
    def one_at_a_time(self) -> bool: ...
    @property
    def load_arguments(self) -> Mapping[str, str]: ...
    @property
    def trace(self) -> Trace | None: ...

    def can_measure(self, method: str) -> bool:
        """Tell whether tokens can be selected anew with this method, against any query vector."""

    def check_question(self, question: str) -> str:
        """Return the question as it goes into the prompt; raise QuestionError if it cannot be asked."""

    def look(self, media: Media) -> Encoding:
        """Encode an image or a clip."""

    def ask(self, encoding: Encoding, question: str, config: PruneConfig | None = None) -> PreparedQuestion:
        """Build the prompt and the query of a question about an encoding."""

    def select(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        config: PruneConfig | None = None,
        alphas: Sequence[float] | None = None,
    ) -> Selection:
        """Return the picking order for these settings."""

    def answer(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Tensor | None = None,
        on_text: Callable[[str], None] | None = None,
        stop: threading.Event | None = None,
    ) -> Answer:
        """Answer from the kept tokens [K], or from all of them (None)."""

    def agreement(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Tensor,
        full: Answer,
        pruned: Answer,
        positions: str = "compacted",
    ) -> Agreement:
        """Return how likely both answers are under both prompts."""

    def savings(
        self,
        encoding: Encoding,
        question: PreparedQuestion,
        kept: Tensor,
        n_new: int,
        method: str = "rediprune",
        budget: str = "frame",
    ) -> Savings:
        """Return the ESTIMATE of what keeping these tokens saves, for an answer of n_new tokens."""

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
