"""Build the query of every question, by the library's own rules and by those of the ablations."""

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
    """Build the queries of a model for given questions, and score tokens against them.

    Args:
        explainer: the model; its card must name a text tower.
    """

    def __init__(self, explainer: Explainer) -> None:
        self.explainer = explainer
        self.embedding = explainer.model.get_input_embeddings()
        self.tower = TextTower.load(explainer.card.text_tower, device=explainer.adapter.device)
        self._template_lengths = _measure_template(explainer)

    @torch.no_grad()
    def compute_relevance(
        self, eval_set: EvalSet, i: int, name: str, projected: Tensor | None = None
    ) -> Tensor:
        """Return the relevance [T, N] of every visual token to question i.

        Args:
            eval_set: holds the question and the visual tokens.
            i: index of the question.
            name: a query of arms.QUERIES or arms.ABLATION_QUERIES.
            projected: [T, N, D], the projected tokens. If given, a query made of the LLM's embeddings is
                compared with them; a query of the text tower still uses the tokens of the vision tower.
        """
        query = self.build(eval_set, i, name)
        if projected is not None and query.keys is None:
            return relevance(projected, query)
        features = eval_set.encodings[eval_set.questions[i].scene].vision.features
        return relevance(features, query)

    def build(self, eval_set: EvalSet, i: int, name: str) -> Query:
        """Build the query called `name` for question i.

        "Another question" is the one that stands half of all questions further on, hence about another scene.

        Raises:
            ValueError: there is no query of that name.
        """
        question = eval_set.questions[i]
        n_questions = len(eval_set.questions)
        other = eval_set.questions[(i + n_questions // 2) % n_questions]
        features = eval_set.encodings[question.scene].vision.features
        n_before, n_behind = self._template_lengths
        if name == PUBLISHED_QUERY:
            return self._build_prompt_tail(question.tail_ids)
        if name in QUERIES:
            return self._build_text_tower(question, features, QUERIES[name][1])
        if name == FLIPPED_QUERY:
            return replace(self._build_prompt_tail(question.tail_ids), sign=-1)
        if name == QUESTION_ONLY_QUERY:
            return self._build_prompt_tail(question.tail_ids[n_before:-n_behind])
        if name == TEMPLATE_ONLY_QUERY:
            return self._build_prompt_tail(question.tail_ids[:n_before] + question.tail_ids[-n_behind:])
        if name == OTHER_TAIL_QUERY:
            return self._build_prompt_tail(other.tail_ids)
        if name == OTHER_TOWER_QUERY:
            return self._build_text_tower(other, features, QUERIES[TOWER_QUERY][1])
        if name == RANDOM_QUERY:
            source = torch.Generator().manual_seed(eval_set.seeds[question.scene] * 100 + i)
            return Query(name, torch.randn(self.embedding.embedding_dim, generator=source))
        raise ValueError(f"query={name!r} is unknown: world.evaluation.arms names all that there are")

    def _build_prompt_tail(self, ids: tuple[int, ...]) -> Query:
        return prompt_tail(self.embedding(torch.tensor(ids)))

    def _build_text_tower(self, question: EvalQuestion, features: Tensor, pointing: str) -> Query:
        path = self.explainer.adapter.value_path if pointing == "value" else None
        return text_tower_query(self.tower, question.question.text, features, pointing, path)


def _measure_template(explainer: Explainer) -> tuple[int, int]:
    """Count the template's tokens before and behind the question in the prompt tail.

    Two one-word questions are compared: what their prompts share at either end belongs to the template.
    """
    packer = PagePacker(explainer.processor.tokenizer)
    ids = packer.question_ids("star")
    other_ids = packer.question_ids("heart")

    def count_shared(sequence: list[int], other: list[int]) -> int:
        return next(i for i, (a, b) in enumerate(zip(sequence, other, strict=False)) if a != b)

    return count_shared(ids, other_ids), count_shared(ids[::-1], other_ids[::-1])
