"""Is the greedy answer the expected one? One forward instead of a decoding loop.

Greedy decoding says exactly the expected tokens if, and only if, each of them is the most likely one after
the prompt and those before it: a single forward over prompt and answer tells. Questions that share what is
kept share its prefix too, which is read once; the tails behind it are padded on the right, where causal
attention never looks. All of it is the model's own forward, in its own precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from rediprune import Explainer
from rediprune.models.transformers_names import cache_argument
from rediprune.tokens import split_indices

from .cases import Case, Cases

TOKENS_A_BATCH = 1_200  # that are read at once; what fits the caches of one core is quickest

Group = tuple[int, Tensor, list[int]]  # a scene, its kept tokens, and the questions that share both


@torch.no_grad()
def hits(
    explainer: Explainer, found: Cases, kept: Sequence[Tensor], original_positions: bool = False
) -> np.ndarray:
    """Whether each question is answered right, [Q] bool, from its kept tokens (flat indices [K] each).

    Every question must keep as many as the others.
    """
    said = np.zeros(len(kept), dtype=bool)
    for batch in _batches(found, _groups(found, kept)):
        embeds, positions, after = _prefixes(explainer, found, batch, original_positions)
        said[[i for *_, mine in batch for i in mine]] = _tails(
            explainer, [[found.cases[i] for i in mine] for *_, mine in batch], embeds, positions, after
        )
    return said


def _groups(found: Cases, kept: Sequence[Tensor]) -> list[Group]:
    """Questions of one scene that keep the same tokens, together."""
    groups: dict[tuple[int, bytes], Group] = {}
    for i, mine in enumerate(kept):
        scene = found.cases[i].scene
        groups.setdefault((scene, mine.numpy().tobytes()), (scene, mine, []))[2].append(i)
    return list(groups.values())


def _batches(found: Cases, groups: list[Group]) -> Iterator[list[Group]]:
    batch, size = [], 0
    for group in groups:
        _, kept, mine = group
        texts = sum(len(found.cases[i].tail) + len(found.cases[i].answer) for i in mine)
        longer = len(found.before) - found.n_visual + len(kept) + texts
        if batch and size + longer > TOKENS_A_BATCH:
            yield batch
            batch, size = [], 0
        batch, size = [*batch, group], size + longer
    if batch:
        yield batch


def _prefixes(
    explainer: Explainer, found: Cases, batch: list[Group], original_positions: bool
) -> tuple[Tensor, Tensor | None, int]:
    """Embeddings [B, P', D] of what stands before the questions, its positions where they are not 0, 1, 2,
    ..., and the position that follows."""
    ids = found.before.repeat(len(batch), 1)
    looks = [found.looks[scene] for scene, *_ in batch]
    kept = [
        part
        for look, (_, mine, _) in zip(looks, batch, strict=True)
        for part in split_indices(mine, [one.vision for one in look.items])
    ]
    seen = [one for look in looks for one in look.items]
    prompt = explainer.adapter.splice(ids, torch.ones_like(ids), seen, kept, original_positions)
    if not prompt.mask.all():
        raise ValueError(
            "these questions keep different numbers of tokens: measure them one number at a time"
        )
    after = len(found.before) if original_positions else prompt.embeds.shape[1]
    return prompt.embeds, prompt.position_ids, after


def _tails(
    explainer: Explainer, asked: list[list[Case]], embeds: Tensor, positions: Tensor | None, after: int
) -> list[bool]:
    """Whether the expected answer is the greedy one, for the questions behind each prefix [B, P', D]."""
    model, cases = explainer.model.model.language_model, [case for mine in asked for case in mine]
    length = embeds.shape[1]
    if positions is None:
        positions = torch.arange(length)[None]
    cache = DynamicCache(config=model.config)
    mask = torch.ones(len(embeds), length, dtype=torch.long)
    model(
        inputs_embeds=embeds, attention_mask=mask, position_ids=positions.expand(len(embeds), -1),
        **cache_argument(cache), use_cache=True,
    )  # fmt: skip
    owner = torch.tensor([row for row, mine in enumerate(asked) for _ in mine])
    if len(owner) != len(embeds):
        cache.batch_select_indices(owner)
    longest = max(len(case.tail) + len(case.answer) for case in cases) - 1
    ids = torch.zeros(len(cases), longest, dtype=torch.long)
    wanted = torch.full_like(ids, -1)  # at every place the token that has to follow, where one has to
    for row, case in enumerate(cases):
        text = (*case.tail, *case.answer)
        ids[row, : len(text) - 1] = torch.tensor(text[:-1])
        wanted[row, len(case.tail) - 1 : len(text) - 1] = torch.tensor(case.answer)
    states = model(
        inputs_embeds=explainer.model.get_input_embeddings()(ids),
        attention_mask=torch.ones(len(cases), length + longest, dtype=torch.long),
        position_ids=(after + torch.arange(longest)).expand(len(cases), -1),
        **cache_argument(cache), use_cache=True,
    ).last_hidden_state  # fmt: skip
    where = wanted >= 0
    wrong = torch.zeros_like(where)
    wrong[where] = explainer.model.get_output_embeddings()(states[where]).argmax(-1) != wanted[where]
    return (~wrong.any(1)).tolist()
