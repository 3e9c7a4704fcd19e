"""Held-out questions about stills or clips, and what the encoder gave of what they ask about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from torch import Tensor

from rediprune import Explainer
from rediprune.explainer.encode import Look

from .. import ClipWithQuestions, SceneWithQuestions
from ..text.packing import PagePacker
from ..text.scene_questions import Question


@dataclass(frozen=True)
class EvalQuestion:
    """One question.

    Attributes:
        scene: the index of what it is about in EvalSet.looks.
        question: with its answer, and the tokens that hold it.
        tail: the prompt's token ids behind the last visual token.
        answer: the token ids of the expected answer, its end token included.
    """

    scene: int
    question: Question
    tail: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True)
class EvalSet:
    """Questions and what they are about.

    Attributes:
        seeds: of the scenes or clips.
        looks: one for each seed.
        prompt_head: [P] token ids of every prompt up to its last visual token, a placeholder for each.
        questions: scene by scene.
    """

    seeds: tuple[int, ...]
    looks: tuple[Look, ...]
    prompt_head: Tensor
    questions: tuple[EvalQuestion, ...]

    @property
    def n_visual(self) -> int:
        """Visual tokens of one scene or clip."""
        return self.looks[0].n_visual

    @property
    def n_frames(self) -> int:
        return self.looks[0].vision.shape[0]


def build_eval_set(
    explainer: Explainer,
    made: Callable[[int], SceneWithQuestions | ClipWithQuestions],
    first_seed: int,
    n_questions: int,
) -> EvalSet:
    """The first `n_questions` about what is `made`, by make_scene or make_clip, from `first_seed` up."""
    packer = PagePacker(explainer.processor.tokenizer)
    seeds, looks, found = [], [], []
    for seed in count(first_seed):
        if len(found) == n_questions:
            break
        one = made(seed)
        looks.append(explainer.look(one.image if isinstance(one, SceneWithQuestions) else one.images))
        seeds.append(seed)
        found += [
            EvalQuestion(
                len(looks) - 1, q, tuple(packer.question_ids(q.text)), tuple(packer.answer_ids(q.answer))
            )
            for q in one.questions[: n_questions - len(found)]
        ]
    ids = explainer.ask(looks[0], found[0].question.text).inputs["input_ids"][0]
    last = int(explainer.adapter.is_placeholder(ids).nonzero()[-1])
    return EvalSet(tuple(seeds), tuple(looks), ids[: last + 1].clone(), tuple(found))
