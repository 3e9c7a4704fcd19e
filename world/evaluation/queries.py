"""Relevance of every visual token to every question, by every query: the library's own and made-up ones."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rediprune import Explainer
from rediprune.query.prompt_tail import prompt_tail
from rediprune.query.text_tower import TextTower, text_tower_query
from rediprune.selection.greedy import relevance
from rediprune.trace import Query

from ..text.packing import PagePacker
from .arms import (
    FLIPPED_QUERY,
    OTHER_TAIL_QUERY,
    OTHER_TOWER_QUERY,
    PUBLISHED_QUERY,
    QUERIES,
    QUESTION_ONLY_QUERY,
    RANDOM_QUERY,
    TEMPLATE_ONLY_QUERY,
    TOWER_QUERY,
)
from .cases import EvalQuestion, EvalSet


class QueryBuilder:
    """Makes queries for the questions of a model, and measures relevance against them."""

    def __init__(self, explainer: Explainer) -> None:
        self.explainer = explainer
        self.embedding = explainer.model.get_input_embeddings()
        self.tower = TextTower.load(explainer.card.text_tower, device=explainer.adapter.device)
        self._template = _template(explainer)

    @torch.no_grad()
    def compute_relevance(self, found: EvalSet, i: int, name: str, behind: Tensor | None = None) -> Tensor:
        """[T, N] of question i; measured of `behind` [T, N, D], the projected tokens, where it is given and
        the query is made of the LLM's embeddings."""
        features = found.looks[found.questions[i].scene].vision.features
        query = self.build(found, i, name)
        return relevance(features if behind is None or query.keys is not None else behind, query)

    def build(self, found: EvalSet, i: int, name: str) -> Query:
        """The query of that name (see arms) for question i.

        Another question is the one half of all questions further on, so of another scene.
        """
        case = found.questions[i]
        other = found.questions[(i + len(found.questions) // 2) % len(found.questions)]
        features = found.looks[case.scene].vision.features
        first, last = self._template
        if name == PUBLISHED_QUERY:
            return self._of(case.tail)
        if name in QUERIES:
            return self._towered(case, features, QUERIES[name][1])
        if name == FLIPPED_QUERY:
            return replace(self._of(case.tail), sign=-1)
        if name == QUESTION_ONLY_QUERY:
            return self._of(case.tail[first:-last])
        if name == TEMPLATE_ONLY_QUERY:
            return self._of(case.tail[:first] + case.tail[-last:])
        if name == OTHER_TAIL_QUERY:
            return self._of(other.tail)
        if name == OTHER_TOWER_QUERY:
            return self._towered(other, features, QUERIES[TOWER_QUERY][1])
        if name == RANDOM_QUERY:
            source = torch.Generator().manual_seed(found.seeds[case.scene] * 100 + i)
            return Query(name, torch.randn(self.embedding.embedding_dim, generator=source))
        raise ValueError(f"query={name!r} is unknown: world.evaluation.arms names all that there are")

    def _of(self, ids: tuple[int, ...]) -> Query:
        return prompt_tail(self.embedding(torch.tensor(ids)))

    def _towered(self, case: EvalQuestion, features: Tensor, pointing: str) -> Query:
        path = self.explainer.adapter.value_path if pointing == "value" else None
        return text_tower_query(self.tower, case.question.text, features, pointing, path)


def _template(explainer: Explainer) -> tuple[int, int]:
    """How many of a tail's tokens stand before and behind those of the question."""
    packer = PagePacker(explainer.processor.tokenizer)
    one, two = (packer.question_ids(text) for text in ("star", "heart"))
    first = next(i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b)
    last = next(i for i, (a, b) in enumerate(zip(one[::-1], two[::-1], strict=False)) if a != b)
    return first, last
