"""Held-out questions about stills or clips, and what the encoder gave of what they ask about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from torch import Tensor

from rediprune import Explainer
from rediprune.explainer.encode import Encoding

from .. import AskedClip, AskedScene
from ..text.packing import Pages
from ..text.scene_questions import Question


@dataclass(frozen=True)
class Case:
    """One question.

    Attributes:
        scene: the index of what it is about in Cases.looks.
        question: with its answer, and the tokens that hold it.
        tail: the prompt's token ids behind the last visual token.
        answer: the token ids of the expected answer, its end token included.
    """

    scene: int
    question: Question
    tail: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True)
class Cases:
    """Questions and what they are about.

    Attributes:
        seeds: of the scenes or clips.
        looks: one for each seed.
        before: [P] token ids of every prompt up to its last visual token, a placeholder for each of these.
        cases: scene by scene.
    """

    seeds: tuple[int, ...]
    looks: tuple[Encoding, ...]
    before: Tensor
    cases: tuple[Case, ...]

    @property
    def n_visual(self) -> int:
        """Visual tokens of one scene or clip."""
        return self.looks[0].n_visual

    @property
    def frames(self) -> int:
        return self.looks[0].vision.shape[0]


def cases(
    explainer: Explainer, made: Callable[[int], AskedScene | AskedClip], first_seed: int, n_questions: int
) -> Cases:
    """The first `n_questions` about what is `made`, by make_scene or make_clip, from `first_seed` up."""
    pages = Pages(explainer.processor.tokenizer)
    seeds, looks, found = [], [], []
    for seed in count(first_seed):
        if len(found) == n_questions:
            break
        one = made(seed)
        looks.append(explainer.look(one.image if isinstance(one, AskedScene) else one.images))
        seeds.append(seed)
        found += [
            Case(len(looks) - 1, q, tuple(pages.question_ids(q.text)), tuple(pages.answer_ids(q.answer)))
            for q in one.questions[: n_questions - len(found)]
        ]
    ids = explainer.ask(looks[0], found[0].question.text).inputs["input_ids"][0]
    last = int(explainer.adapter.is_placeholder(ids).nonzero()[-1])
    return Cases(tuple(seeds), tuple(looks), ids[: last + 1].clone(), tuple(found))
