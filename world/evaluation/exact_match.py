"""Decide with one forward pass whether greedy decoding gives exactly the expected answer.

Greedy decoding gives the expected tokens if, and only if, each of them is the most likely token after the
prompt and the expected tokens before it; a single forward pass over prompt and answer shows that. Questions
that keep the same visual tokens of a scene share a prompt prefix, which is read once. The texts behind it are
padded on the right, where causal attention never looks. The forward pass and its precision are the model's
own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from rediprune import Explainer
from rediprune.models.transformers_names import cache_argument
from rediprune.tokens import split_indices

from .cases import EvalQuestion, EvalSet

MAX_BATCH_TOKENS = 1_200  # tokens per forward pass: what fits the caches of one core is fastest


class PrefixGroup(NamedTuple):
    """Questions about one scene that keep the same visual tokens.

    Attributes:
        scene: index into EvalSet.encodings.
        kept: int64 [K], flat indices of the kept tokens.
        questions: indices into EvalSet.questions.
    """

    scene: int
    kept: Tensor
    questions: list[int]


@torch.no_grad()
def exact_match(
    explainer: Explainer, eval_set: EvalSet, kept: Sequence[Tensor], original_positions: bool = False
) -> np.ndarray:
    """Return for each question whether the greedy answer is the expected one, bool [Q].

    Args:
        explainer: the model.
        eval_set: the questions; the first Q of them are answered.
        kept: for each question the flat indices int64 [K] of its kept tokens, ascending.
        original_positions: keep the position ids of the unpruned prompt.

    Raises:
        ValueError: two questions of one batch keep different numbers of tokens.
    """
    is_correct = np.zeros(len(kept), dtype=bool)
    for batch in _make_batches(eval_set, _group_by_prefix(eval_set, kept)):
        embeds, positions, next_position = _embed_prefixes(explainer, eval_set, batch, original_positions)
        questions = [[eval_set.questions[i] for i in group.questions] for group in batch]
        order = [i for group in batch for i in group.questions]
        is_correct[order] = _match_answers(explainer, questions, embeds, positions, next_position)
    return is_correct


def _group_by_prefix(eval_set: EvalSet, kept: Sequence[Tensor]) -> list[PrefixGroup]:
    """Group the questions that share a scene and its kept tokens."""
    groups: dict[tuple[int, bytes], PrefixGroup] = {}
    for i, kept_tokens in enumerate(kept):
        scene = eval_set.questions[i].scene
        key = (scene, kept_tokens.numpy().tobytes())
        groups.setdefault(key, PrefixGroup(scene, kept_tokens, [])).questions.append(i)
    return list(groups.values())


def _make_batches(eval_set: EvalSet, groups: list[PrefixGroup]) -> Iterator[list[PrefixGroup]]:
    """Yield batches of about MAX_BATCH_TOKENS tokens; a larger group is a batch of its own."""
    n_text = len(eval_set.prompt_head) - eval_set.n_visual
    batch: list[PrefixGroup] = []
    batch_tokens = 0
    for group in groups:
        questions = [eval_set.questions[i] for i in group.questions]
        n_question_tokens = sum(len(q.tail_ids) + len(q.answer_ids) for q in questions)
        group_tokens = n_text + len(group.kept) + n_question_tokens
        if batch and batch_tokens + group_tokens > MAX_BATCH_TOKENS:
            yield batch
            batch = []
            batch_tokens = 0
        batch.append(group)
        batch_tokens += group_tokens
    if batch:
        yield batch


def _embed_prefixes(
    explainer: Explainer, eval_set: EvalSet, batch: list[PrefixGroup], original_positions: bool
) -> tuple[Tensor, Tensor | None, int]:
    """Embed everything that stands before the questions, once per group.

    Returns:
        The embeddings [B, P', D]; their position ids, or None where they are 0, 1, 2, ...; the position that
        follows them.
    """
    ids = eval_set.prompt_head.repeat(len(batch), 1)
    encodings = [eval_set.encodings[group.scene] for group in batch]
    items = [item for encoding in encodings for item in encoding.items]
    kept = [
        item_kept
        for encoding, group in zip(encodings, batch, strict=True)
        for item_kept in split_indices(group.kept, [item.vision for item in encoding.items])
    ]
    prompt = explainer.adapter.splice(ids, torch.ones_like(ids), items, kept, original_positions)
    if not prompt.mask.all():
        raise ValueError(
            "these questions keep different numbers of tokens: measure them one number at a time"
        )
    next_position = len(eval_set.prompt_head) if original_positions else prompt.embeds.shape[1]
    return prompt.embeds, prompt.position_ids, next_position


def _match_answers(
    explainer: Explainer,
    questions: list[list[EvalQuestion]],
    embeds: Tensor,
    positions: Tensor | None,
    next_position: int,
) -> list[bool]:
    """Return for each question whether its expected answer is the greedy one.

    Args:
        explainer: the model.
        questions: the questions behind each prefix, B lists with Q questions in all.
        embeds: [B, P', D], the prefixes.
        positions: position ids of the prefixes; None for 0, 1, 2, ...
        next_position: the position id of the first token behind the prefix.
    """
    model = explainer.model.model.language_model
    flat = [question for group in questions for question in group]
    prefix_length = embeds.shape[1]
    if positions is None:
        positions = torch.arange(prefix_length)[None]

    # Read each prefix once, then repeat its cache row for every question behind it: B rows become Q rows.
    cache = DynamicCache(config=model.config)
    mask = torch.ones(len(embeds), prefix_length, dtype=torch.long)
    model(
        inputs_embeds=embeds, attention_mask=mask, position_ids=positions.expand(len(embeds), -1),
        **cache_argument(cache), use_cache=True,
    )  # fmt: skip
    prefix_of_question = torch.tensor([row for row, group in enumerate(questions) for _ in group])
    if len(prefix_of_question) != len(embeds):
        cache.batch_select_indices(prefix_of_question)

    # Question and answer as ids [Q, L], padded on the right. `expected` [Q, L] holds, at each place whose
    # next token belongs to the answer, that token; -1 elsewhere.
    longest = max(len(question.tail_ids) + len(question.answer_ids) for question in flat) - 1
    ids = torch.zeros(len(flat), longest, dtype=torch.long)
    expected = torch.full_like(ids, -1)
    for row, question in enumerate(flat):
        text = (*question.tail_ids, *question.answer_ids)
        ids[row, : len(text) - 1] = torch.tensor(text[:-1])
        expected[row, len(question.tail_ids) - 1 : len(text) - 1] = torch.tensor(question.answer_ids)
    states = model(
        inputs_embeds=explainer.model.get_input_embeddings()(ids),
        attention_mask=torch.ones(len(flat), prefix_length + longest, dtype=torch.long),
        position_ids=(next_position + torch.arange(longest)).expand(len(flat), -1),
        **cache_argument(cache), use_cache=True,
    ).last_hidden_state  # fmt: skip

    # Compare the most likely next token with the expected one, only at the answer places; bool [Q, L] -> [Q].
    is_answer = expected >= 0
    is_wrong = torch.zeros_like(is_answer)
    predicted = explainer.model.get_output_embeddings()(states[is_answer]).argmax(-1)
    is_wrong[is_answer] = predicted != expected[is_answer]
    return (~is_wrong.any(1)).tolist()
