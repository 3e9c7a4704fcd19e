"""Build the prompt of a question about visual tokens, and the query that relevance is measured against."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..config import PruneConfig
from ..costs.estimate import text_tower_flops
from ..query.prompt_tail import prompt_tail
from ..query.question import token_texts, unknown_words
from ..query.text_tower import text_tower_query
from ..trace import Query
from .encode import Encoding, run_processor

if TYPE_CHECKING:
    from ..models import Adapter
    from ..query.text_tower import TextTower


@dataclass(frozen=True)
class PreparedQuestion:
    """Hold a question about one encoded image or clip, ready to be answered.

    Attributes:
        key: Encoding.key of the image or clip it is about.
        question: the text that went into the prompt.
        inputs: what the processor returned for the whole prompt: input_ids [1, L] with one placeholder per
            visual token and separator, and what else the model counts positions by. Pixels are left out.
        n_text: number of prompt tokens that are not visual tokens; separators are counted here.
        query: the vector that relevance is measured against.
        pointing: how visual tokens are compared with the query (text-tower query only).
        query_flops: ESTIMATE of the cost of the query itself, in FLOPs.
        notes: sentences for the reader about what was cut or unknown.
    """

    key: str
    question: str
    inputs: Mapping[str, Any]
    n_text: int
    query: Query
    pointing: str
    query_flops: float = 0.0
    notes: tuple[str, ...] = ()


@torch.no_grad()
def prepare_question(
    adapter: Adapter,
    processor,
    encoding: Encoding,
    question: str,
    config: PruneConfig,
    text_tower: Callable[[], TextTower],
) -> PreparedQuestion:
    """Build the prompt and the query of a question that `query.question.checked_question` accepted.

    Args:
        config: names the query and the pointing.
        text_tower: loads the text tower; called only if the query needs it.

    Raises:
        ValueError: a query or pointing that this model cannot do.
    """
    inputs = _inputs_without_pixels(adapter, processor, encoding, question)
    ids = inputs["input_ids"][0]
    notes = _prompt_notes(adapter.model, processor.tokenizer, question, ids)
    if config.query == "prompt-tail":
        query, query_notes = _prompt_tail_query(adapter, processor.tokenizer, question, ids)
        flops = 0.0
    else:
        query, query_notes, flops = _text_tower_query(adapter, encoding, question, config, text_tower())
    return PreparedQuestion(
        key=encoding.key,
        question=question,
        inputs=inputs,
        n_text=len(ids) - encoding.n_visual,
        query=query,
        pointing=config.pointing,
        query_flops=flops,
        notes=notes + query_notes,
    )


def _prompt_tail_query(
    adapter: Adapter, tokenizer, question: str, ids: Tensor
) -> tuple[Query, tuple[str, ...]]:
    """Return the query made of the last prompt tokens [L], and notes about what it was made of."""
    text = adapter.query_text(
        ids.to(adapter.device), functools.partial(_contains_question, tokenizer, question)
    )
    embeddings = adapter.model.get_input_embeddings()(text.ids)
    query = prompt_tail(embeddings, token_texts(tokenizer, text.ids))
    notes = [text.note] if text.note else []
    if len(query.tokens) < len(text.ids):
        notes.append(f"The query is made of the last {len(query.tokens)} of {len(text.ids)} prompt tokens.")
    return query, tuple(notes)


def _text_tower_query(
    adapter: Adapter, encoding: Encoding, question: str, config: PruneConfig, tower: TextTower
) -> tuple[Query, tuple[str, ...], float]:
    """Return the query of the text tower, notes about it, and the ESTIMATE of its cost in FLOPs."""
    by_value = config.pointing == "value"
    value_path = adapter.value_path if by_value else None
    features = encoding.vision.features
    query = text_tower_query(tower, question, features, config.pointing, value_path)
    flops = text_tower_flops(tower.shapes, encoding.n_visual, features.shape[-1], by_value)
    notes = []
    if len(query.tokens) >= tower.shapes.context - 2:  # the start and end tokens take two places
        last = " ".join(query.tokens[-3:])
        notes.append(f"The text tower reads {tower.shapes.context} tokens at most: here up to “{last}”.")
    return query, tuple(notes), flops


def _inputs_without_pixels(adapter: Adapter, processor, encoding: Encoding, question: str) -> dict[str, Any]:
    """Return the processor's output for this prompt, pixels left out.

    The family's own processor decides how many placeholders an image takes and what stands between them. It
    reads that off the size of the image alone, so the blank image of that size in Encoding.media is enough.
    """
    inputs = run_processor(adapter, processor, encoding.media, question)
    return {name: value for name, value in inputs.items() if not name.startswith("pixel_values")}


def _contains_question(tokenizer, question: str, ids: Tensor) -> bool:
    """Tell whether these prompt tokens hold the question, compared without white space.

    The question goes through the tokenizer too, so characters that it cannot represent do not matter.
    """
    question_ids = tokenizer(question, add_special_tokens=False)["input_ids"]
    wanted = "".join(tokenizer.decode(question_ids).split())
    found = "".join(tokenizer.decode(ids.tolist()).split())
    return wanted in found


def _prompt_notes(model, tokenizer, question: str, ids: Tensor) -> tuple[str, ...]:
    """Return notes about words the model does not know and about a prompt that is too long for it."""
    notes = []
    if unknown := unknown_words(tokenizer, question):
        words = ", ".join(f"“{word}”" for word in unknown[:5])
        notes.append(f"This model has no word for {words}{' and more' if unknown[5:] else ''}.")
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if limit and len(ids) > limit:
        notes.append(f"The prompt has {len(ids)} tokens, more than the {limit} this model was made for.")
    return tuple(notes)
