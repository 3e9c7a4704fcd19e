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

    Each member is what `Explainer` documents under the same name.
    """

    @property
    def name(self) -> str:
        """Return the name of the model."""

    @property
    def fingerprint(self) -> str:
        """Return what identifies the weights among models of the same name."""

    @property
    def defaults(self) -> PruneConfig:
        """Return the settings that are used if none are given."""

    @property
    def knows(self) -> str:
        """Return one sentence on what the model can be asked about; empty if not known."""

    @property
    def why_query(self) -> str:
        """Return one sentence on why the default query is the default; empty if not known."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the methods that can select tokens here."""

    @property
    def queries(self) -> tuple[str, ...]:
        """Return the queries that can be asked with here."""

    @property
    def pointings(self) -> tuple[str, ...]:
        """Return the pointings of the text-tower query that are possible here."""

    @property
    def llm_width(self) -> int:
        """Return D, the embedding width of the language model."""

    @property
    def one_at_a_time(self) -> bool:
        """Tell whether only one visitor can be served at any moment."""

    @property
    def load_arguments(self) -> Mapping[str, str | bool]:
        """Return arguments of from_pretrained that place the model as it is now; empty without a model."""

    @property
    def trace(self) -> Trace | None:
        """Return the finished run that it repeats; None if it has a model and can answer anything."""

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
