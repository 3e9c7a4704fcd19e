"""Take the steps that come before every answer: settings, encoding, question, selection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config import PruneConfig, checked_config

if TYPE_CHECKING:
    from ..trace import Selection
    from .ask import PreparedQuestion
    from .encode import Encoding, Media
    from .protocol import ExplainerLike


@dataclass(frozen=True)
class PreparedRun:
    """Hold what an answer starts from.

    Attributes:
        config: the settings.
        encoding: the image or clip as visual tokens.
        question: the question about it, with its prompt and query.
        selection: the picking order; one per weight, [W, G, M], if several weights were asked for.
    """

    config: PruneConfig
    encoding: Encoding
    question: PreparedQuestion
    selection: Selection


def prepare_run(
    explainer: ExplainerLike,
    media: Media,
    question: str,
    config: PruneConfig | None = None,
    alphas: Sequence[float] | None = None,
) -> PreparedRun:
    """Encode the media, ask the question and select tokens; each step is remembered by the explainer.

    Args:
        config: the settings; default explainer.defaults.
        alphas: weights of the method rediprune to make one picking order for each; None is that of config.

    Raises:
        QuestionError: a question that cannot be asked; nothing is encoded for it.
        ValueError: media without frames, or a query, pointing or method that this model cannot do.
        ModelError: an opened run was asked for what only its model can do.
    """
    config = explainer.defaults if config is None else checked_config(config)
    explainer.check_question(question)  # before the encoder runs for nothing
    encoding = explainer.look(media)
    prepared = explainer.ask(encoding, question, config)
    return PreparedRun(config, encoding, prepared, explainer.select(encoding, prepared, config, alphas))
