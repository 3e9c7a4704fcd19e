"""Build sets of held-out questions about stills or clips, with the encoding of each still or clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from torch import Tensor

from rediprune import Explainer
from rediprune.explainer.encode import Encoding

from .. import ClipWithQuestions, SceneWithQuestions
from ..text.packing import PagePacker
from ..text.scene_questions import Question


@dataclass(frozen=True)
class EvalQuestion:
    """One held-out question, tokenized.

    Attributes:
        scene: index into EvalSet.encodings: the scene or clip that the question is about.
        question: the text, the expected answer, and the visual tokens that hold the answer.
        tail_ids: the token ids of the prompt behind the last visual token.
        answer_ids: the token ids of the expected answer, its end token included.
    """

    scene: int
    question: Question
    tail_ids: tuple[int, ...]
    answer_ids: tuple[int, ...]


@dataclass(frozen=True)
class EvalSet:
    """Held-out questions and the encodings of what they are about.

    Attributes:
        seeds: the seed of each scene or clip.
        encodings: what the vision encoder gave for each seed.
        prompt_head: int64 [P], the token ids of every prompt up to its last visual token, with one
            placeholder per visual token.
        questions: in the order of their scenes.
    """

    seeds: tuple[int, ...]
    encodings: tuple[Encoding, ...]
    prompt_head: Tensor
    questions: tuple[EvalQuestion, ...]

    @property
    def n_visual(self) -> int:
        """Return the number of visual tokens of one scene or clip."""
        return self.encodings[0].n_visual

    @property
    def n_frames(self) -> int:
        """Return the number of frames of one clip; 1 for stills."""
        return self.encodings[0].vision.shape[0]


def build_eval_set(
    explainer: Explainer,
    make: Callable[[int], SceneWithQuestions | ClipWithQuestions],
    first_seed: int,
    n_questions: int,
) -> EvalSet:
    """Encode scenes or clips from `first_seed` upwards until they give `n_questions` questions.

    Args:
        explainer: the model that encodes them.
        make: make_scene or make_clip of the package world.
        first_seed: the first seed used.
        n_questions: how many questions, at least 1; of the last scene only the first ones may be used.
    """
    packer = PagePacker(explainer.processor.tokenizer)
    seeds: list[int] = []
    encodings: list[Encoding] = []
    questions: list[EvalQuestion] = []
    for seed in count(first_seed):
        if len(questions) == n_questions:
            break
        scene_or_clip = make(seed)
        is_scene = isinstance(scene_or_clip, SceneWithQuestions)
        seeds.append(seed)
        encodings.append(explainer.look(scene_or_clip.image if is_scene else scene_or_clip.images))
        for question in scene_or_clip.questions[: n_questions - len(questions)]:
            tail_ids = tuple(packer.question_ids(question.text))
            answer_ids = tuple(packer.answer_ids(question.answer))
            questions.append(EvalQuestion(len(encodings) - 1, question, tail_ids, answer_ids))
    prompt_ids = explainer.ask(encodings[0], questions[0].question.text).inputs["input_ids"][0]
    last_visual = int(explainer.adapter.is_placeholder(prompt_ids).nonzero()[-1])
    prompt_head = prompt_ids[: last_visual + 1].clone()
    return EvalSet(tuple(seeds), tuple(encodings), prompt_head, tuple(questions))
