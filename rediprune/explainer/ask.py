"""Visual tokens and a question -> the prompt, and the query that relevance is measured against."""

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
from .encode import Look, processed

if TYPE_CHECKING:
    from ..models import Adapter
    from ..query.text_tower import TextTower


@dataclass(frozen=True)
class Asked:
    """A question put to a look.

    Attributes:
        key: of the look it belongs to.
        question: as it went into the prompt.
        inputs: what the processor returned for the whole prompt: input_ids [1, L] with one placeholder per
            visual token and separator, and what else the model counts positions by. No pixels.
        n_text: how many prompt tokens are no visual tokens, separators among them.
        query: what relevance is measured against.
        pointing: how visual tokens met the query (text-tower only).
        query_flops: ESTIMATE of what the query itself costs.
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
def put_question(
    adapter: Adapter,
    processor,
    look: Look,
    question: str,
    config: PruneConfig,
    text_tower: Callable[[], TextTower],
) -> Asked:
    """Build the prompt and the query of a question that prompt.checked_question let through.

    Args:
        config: says which query and which pointing.
        text_tower: loads the text tower, called only where the query needs it.

    Raises:
        ValueError: a query or pointing that this model cannot do.
    """
    inputs = _processed(adapter, processor, look, question)
    ids = inputs["input_ids"][0]
    notes, flops = _notes(adapter.model, processor.tokenizer, question, ids), 0.0
    if config.query == "prompt-tail":
        spells = functools.partial(_spells, processor.tokenizer, question)
        text = adapter.query_text(ids.to(adapter.device), spells)
        embeddings = adapter.model.get_input_embeddings()(text.ids)
        query = prompt_tail(embeddings, token_texts(processor.tokenizer, text.ids))
        notes += (text.note,) if text.note else ()
        if len(query.tokens) < len(text.ids):
            notes += (f"The query is made of the last {len(query.tokens)} of {len(text.ids)} prompt tokens.",)
    else:
        tower, by_value = text_tower(), config.pointing == "value"
        value_path = adapter.value_path if by_value else None
        features = look.vision.features
        query = text_tower_query(tower, question, features, config.pointing, value_path)
        flops = text_tower_flops(tower.shapes, look.n_visual, features.shape[-1], by_value)
        if len(query.tokens) >= tower.shapes.context - 2:  # start and end take two places
            last = " ".join(query.tokens[-3:])
            notes += (f"The text tower reads {tower.shapes.context} tokens at most: here up to “{last}”.",)
    n_text = len(ids) - look.n_visual
    return Asked(look.key, question, inputs, n_text, query, config.pointing, flops, notes)


def _processed(adapter: Adapter, processor, look: Look, question: str) -> dict[str, Any]:
    """The processor's output for this prompt, pixels left out.

    The family's own processor decides how many placeholders an image takes and what stands between them. It
    reads that off the image's size alone, so a blank one of that size is shown: the pixels went their way.
    """
    made = processed(adapter, processor, look.shown, question)
    return {name: value for name, value in made.items() if not name.startswith("pixel_values")}


def _spells(tokenizer, question: str, ids: Tensor) -> bool:
    """Whether these prompt tokens hold the question; white space and what the tokenizer cannot read aside."""
    own = tokenizer(question, add_special_tokens=False)["input_ids"]
    wanted, there = ("".join(tokenizer.decode(part).split()) for part in (own, ids.tolist()))
    return wanted in there


def _notes(model, tokenizer, question: str, ids: Tensor) -> tuple[str, ...]:
    notes = []
    if unknown := unknown_words(tokenizer, question):
        words = ", ".join(f"“{word}”" for word in unknown[:5])
        notes.append(f"This model has no word for {words}{' and more' if unknown[5:] else ''}.")
    room = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if room and len(ids) > room:
        notes.append(f"The prompt has {len(ids)} tokens, more than the {room} this model was made for.")
    return tuple(notes)
