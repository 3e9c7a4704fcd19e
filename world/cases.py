"""Held-out questions, what every arm keeps for each, and whether the model then answers right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice

import torch
from PIL import Image
from torch import Tensor

from rediprune import Explainer, PruneConfig
from rediprune.models import Seen
from rediprune.trace import parted

from . import make_clip, make_scene
from .arms import QUERIES, Arm
from .questions import Question

Query = tuple[str, str]  # (query, pointing)
MAX_NEW_TOKENS = 6  # the longest answer has two words


@dataclass(frozen=True)
class Case:
    """One question, with what every arm would keep of its image or clip.

    Attributes:
        seed: which scene or clip it is about.
        question: with its answer, and the tokens that hold it.
        input_ids: [L], the prompt with its image placeholders.
        seen: what the encoder gave of the scene, or of every frame.
        kept: per arm and keep ratio, flat token indices, ascending.
        relevance: per query, [N] by token, all frames one behind the other.
    """

    seed: int
    question: Question
    input_ids: Tensor
    seen: tuple[Seen, ...]
    kept: dict[tuple[Arm, float], Tensor]
    relevance: dict[Query, Tensor]

    @property
    def all(self) -> Tensor:
        """Every token."""
        return torch.arange(sum(one.vision.n_tokens for one in self.seen))


def stills(first_seed: int) -> Iterator[tuple[int, Image.Image, Question]]:
    """Scene after scene, one question of every kind that it can answer."""
    for seed in count(first_seed):
        scene = make_scene(seed)
        yield from ((seed, scene.image, q) for q in scene.questions)


def clips(first_seed: int) -> Iterator[tuple[int, list[Image.Image], Question]]:
    """Clip after clip, one question of every kind that it can answer."""
    for seed in count(first_seed):
        clip = make_clip(seed)
        yield from ((seed, clip.images, q) for q in clip.questions)


def cases(
    explainer: Explainer,
    asked: Iterator[tuple[int, Image.Image | list[Image.Image], Question]],
    n_questions: int,
    arms: Sequence[Arm],
    ratios: Sequence[float],
) -> Iterator[Case]:
    """The first `n_questions` of `asked` with what the arms keep."""
    queries = dict.fromkeys((QUERIES[0], *((arm.query, arm.pointing) for arm in arms if arm.query)))
    for seed, media, question in islice(asked, n_questions):
        look = explainer.look(media)
        put = {q: explainer.ask(look, question.text, PruneConfig(query=q[0], pointing=q[1])) for q in queries}
        kept, relevance = {}, {}
        for arm in arms:
            config = PruneConfig(seed=seed, **arm.settings)
            chosen = explainer.select(look, put[config.query, config.pointing], config)
            kept |= {(arm, ratio): chosen.kept(ratio) for ratio in ratios}
            if arm.query:
                relevance[arm.query, arm.pointing] = chosen.relevance.flatten()
        ids = next(iter(put.values())).inputs["input_ids"][0]
        yield Case(seed, question, ids, look.seen, kept, relevance)


@torch.no_grad()
def right(explainer: Explainer, batch: list[Case], kept: list[Tensor]) -> list[bool]:
    """Whether the greedy answer from the kept tokens [K] of each case is exactly the expected one."""
    tokenizer = explainer.processor.tokenizer
    longest = max(len(c.input_ids) for c in batch)
    ids = torch.full((len(batch), longest), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, case in enumerate(batch):
        ids[row, longest - len(case.input_ids) :] = case.input_ids
        mask[row, longest - len(case.input_ids) :] = 1
    seen = [one for case in batch for one in case.seen]
    of_each = [
        part
        for case, k in zip(batch, kept, strict=True)
        for part in parted(k, [one.vision for one in case.seen])
    ]
    prompt = explainer.adapter.splice(ids, mask, seen, of_each)
    made = explainer.model.generate(
        inputs_embeds=prompt.embeds, **prompt.arguments(), max_new_tokens=MAX_NEW_TOKENS, do_sample=False
    )
    answers = tokenizer.batch_decode(made, skip_special_tokens=True)
    return [a.strip() == c.question.answer for a, c in zip(answers, batch, strict=True)]
