"""Pack several texts behind one image or clip, so that the visual tokens are read once for all texts.

A page is one sequence: the prompt before the first frame, the kept visual tokens of every frame with a
separator between frames, then one text after another. With a block mask and positions that restart behind
the last frame, each text sees the visual tokens and itself, and no other text: for each of them the page
equals the prompt that the processor makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .scene_questions import Question
from .tokenizer import IMAGE_TOKEN, format_prompt

VISUAL_TOKEN = -1  # stands for a visual token among token ids
# Segments of a page; text j of a page is segment j + 1.
_IMAGE_SEGMENT = 0
_PADDING_SEGMENT = -1


@dataclass(frozen=True)
class PackedPage:
    """A batch of B pages with P tokens each: prompt, visual tokens, texts and padding.

    Attributes:
        ids: int64 [B, P], VISUAL_TOKEN at the visual tokens.
        segment: int64 [B, P], 0 up to the last frame, 1, 2, ... for the texts, -1 for padding.
        answers: bool [B, P], the tokens of the answers with their end tokens, which the loss is about.
        positions: int64 [B, P], restarting behind the last frame with every text.
        mask: [B, 1, P, P], 0 where a token may attend, the lowest bfloat16 value elsewhere.
    """

    ids: Tensor
    segment: Tensor
    answers: Tensor
    positions: Tensor
    mask: Tensor


class _PackedTexts(NamedTuple):
    """All texts of one page, one after another; every field has one entry per token.

    Attributes:
        ids: token ids.
        segment: 1, 2, ... for the first, second, ... text.
        is_answer: whether the token belongs to an answer.
        offset: place in its text, counted from the first token behind the image.
    """

    ids: list[int]
    segment: list[int]
    is_answer: list[bool]
    offset: list[int]


class PagePacker:
    """Pack texts into pages in the prompt format of the model, and cache the tokens of every text.

    Args:
        tokenizer: of the LLM, with the token <image>.

    Attributes:
        prefix_ids: the token ids before the first frame.
        separator_ids: the token ids between two frames.
    """

    def __init__(self, tokenizer) -> None:
        self.tokenizer = tokenizer
        image_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        ids = tokenizer.encode(format_prompt(frames=2).format(question="?"))
        self._behind_image = ids.index(image_id) + 1
        self.prefix_ids = ids[: self._behind_image - 1]
        self.separator_ids = ids[self._behind_image : ids.index(image_id, self._behind_image)]
        self._questions: dict[str, list[int]] = {}
        self._answers: dict[str, list[int]] = {}

    def question_ids(self, text: str) -> list[int]:
        """Return the token ids that follow the image in a prompt with the question."""
        if text not in self._questions:
            ids = self.tokenizer.encode(format_prompt().format(question=text))
            self._questions[text] = ids[self._behind_image :]
        return self._questions[text]

    def answer_ids(self, text: str) -> list[int]:
        """Return the token ids of an answer, with its end token."""
        if text not in self._answers:
            ids = self.tokenizer.encode(" " + text, add_special_tokens=False)
            self._answers[text] = [*ids, self.tokenizer.eos_token_id]
        return self._answers[text]

    def pack(self, questions: list[list[Question]], frame: Tensor, n_frames: int = 1) -> PackedPage:
        """Pack one page per image or clip.

        Args:
            questions: the texts of each page.
            frame: int64 [B, K], the frame of each visual token, ascending.
            n_frames: frames of a clip, T; a frame without a kept token still has its separator.
        """
        texts_of_page = [self._concatenate_texts(texts) for texts in questions]
        n_pages, n_kept = frame.shape
        n_prefix = len(self.prefix_ids)
        n_separator = len(self.separator_ids)
        text_start = n_prefix + n_kept + n_separator * (n_frames - 1)
        length = text_start + max(len(texts.ids) for texts in texts_of_page)
        ids = torch.full((n_pages, length), self.tokenizer.pad_token_id)
        segment = torch.full((n_pages, length), _PADDING_SEGMENT)
        answers = torch.zeros(n_pages, length, dtype=torch.bool)
        positions = torch.arange(length).repeat(n_pages, 1)

        # The part that all texts see, ids [B, text_start]: prefix, then visual tokens with a separator behind
        # every frame but the last.
        ids[:, :n_prefix] = torch.tensor(self.prefix_ids)
        ids.scatter_(1, n_prefix + torch.arange(n_kept) + n_separator * frame, VISUAL_TOKEN)
        for t in range(n_frames - 1):
            n_visual_before = (frame <= t).sum(1, keepdim=True)
            place = n_prefix + n_visual_before + n_separator * t + torch.arange(n_separator)
            ids.scatter_(1, place, torch.tensor(self.separator_ids).expand(n_pages, n_separator))
        segment[:, :text_start] = _IMAGE_SEGMENT

        # The texts of each page; positions restart at text_start with every text.
        for page, texts in enumerate(texts_of_page):
            end = text_start + len(texts.ids)
            ids[page, text_start:end] = torch.tensor(texts.ids)
            segment[page, text_start:end] = torch.tensor(texts.segment)
            answers[page, text_start:end] = torch.tensor(texts.is_answer)
            positions[page, text_start:end] = text_start + torch.tensor(texts.offset)

        # bool [B, P, P] -> additive mask [B, 1, P, P]: a token attends to earlier tokens of its own segment
        # and of the image.
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        same_segment = segment[:, :, None] == segment[:, None, :]
        may_attend = same_segment | (segment[:, None, :] == _IMAGE_SEGMENT)
        mask = torch.where(may_attend & causal, 0.0, torch.finfo(torch.bfloat16).min)[:, None]
        return PackedPage(ids, segment, answers, positions, mask)

    def _concatenate_texts(self, questions: list[Question]) -> _PackedTexts:
        texts = _PackedTexts([], [], [], [])
        for j, question in enumerate(questions, start=1):
            question_ids = self.question_ids(question.text)
            answer_ids = self.answer_ids(question.answer)
            n = len(question_ids) + len(answer_ids)
            texts.ids.extend(question_ids + answer_ids)
            texts.segment.extend([j] * n)
            texts.is_answer.extend([False] * len(question_ids) + [True] * len(answer_ids))
            texts.offset.extend(range(n))
        return texts
