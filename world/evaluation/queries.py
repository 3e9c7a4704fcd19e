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

from ..text.packing import Pages
from .arms import (
    ARBITRARY,
    FLIPPED,
    OTHER_TAIL,
    OTHER_TOWER,
    PUBLISHED,
    QUERIES,
    QUESTION,
    TEMPLATE,
    TOWER,
)
from .cases import Case, Cases


class Asking:
    """Makes queries for the questions of a model, and measures relevance against them."""

    def __init__(self, explainer: Explainer) -> None:
        self.explainer = explainer
        self.embedding = explainer.model.get_input_embeddings()
        self.tower = TextTower.load(explainer.card.text_tower, device=explainer.adapter.device)
        self._template = _template(explainer)

    @torch.no_grad()
    def relevance(self, found: Cases, i: int, name: str, behind: Tensor | None = None) -> Tensor:
        """[T, N] of question i; measured of `behind` [T, N, D], the projected tokens, where it is given and
        the query is made of the LLM's embeddings."""
        features = found.looks[found.cases[i].scene].vision.features
        query = self.query(found, i, name)
        return relevance(features if behind is None or query.keys is not None else behind, query)

    def query(self, found: Cases, i: int, name: str) -> Query:
        """The query of that name (see arms) for question i.

        Another question is the one half of all questions further on, so of another scene.
        """
        case = found.cases[i]
        other = found.cases[(i + len(found.cases) // 2) % len(found.cases)]
        features = found.looks[case.scene].vision.features
        first, last = self._template
        if name == PUBLISHED:
            return self._of(case.tail)
        if name in QUERIES:
            return self._towered(case, features, QUERIES[name][1])
        if name == FLIPPED:
            return replace(self._of(case.tail), sign=-1)
        if name == QUESTION:
            return self._of(case.tail[first:-last])
        if name == TEMPLATE:
            return self._of(case.tail[:first] + case.tail[-last:])
        if name == OTHER_TAIL:
            return self._of(other.tail)
        if name == OTHER_TOWER:
            return self._towered(other, features, QUERIES[TOWER][1])
        if name == ARBITRARY:
            source = torch.Generator().manual_seed(found.seeds[case.scene] * 100 + i)
            return Query(name, torch.randn(self.embedding.embedding_dim, generator=source))
        raise ValueError(f"query={name!r} is unknown: world.evaluation.arms names all that there are")

    def _of(self, ids: tuple[int, ...]) -> Query:
        return prompt_tail(self.embedding(torch.tensor(ids)))

    def _towered(self, case: Case, features: Tensor, pointing: str) -> Query:
        path = self.explainer.adapter.value_path if pointing == "value" else None
        return text_tower_query(self.tower, case.question.text, features, pointing, path)


def _template(explainer: Explainer) -> tuple[int, int]:
    """How many of a tail's tokens stand before and behind those of the question."""
    pages = Pages(explainer.processor.tokenizer)
    one, two = (pages.question_ids(text) for text in ("star", "heart"))
    first = next(i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b)
    last = next(i for i, (a, b) in enumerate(zip(one[::-1], two[::-1], strict=False)) if a != b)
    return first, last
