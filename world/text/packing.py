"""Several texts behind one image or clip: every text sees it and itself, none sees another.

A page is one sequence: what stands before the first frame, the kept visual tokens of every frame with a new
line between frames, then text after text. A block mask and positions that start again behind the last frame
make it, for each text, the prompt that the processor would make; but the frames are read once for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .scene_questions import Question
from .tokenizer import IMAGE_TOKEN, format_prompt

VISUAL_TOKEN = -1  # stands for a visual token among token ids
_IMAGE, _PADDING = 0, -1  # segments; text j of a page is segment j + 1


@dataclass(frozen=True)
class PackedPage:
    """A batch of pages. P counts all tokens: K visual ones, those of the texts, padding.

    Attributes:
        ids: [B, P], VISUAL_TOKEN at the visual tokens.
        segment: [B, P], 0 up to the last frame, 1, 2, ... for the texts, -1 for padding.
        answers: bool [B, P], the tokens of the answers with their end: what the loss is about.
        positions: [B, P], restarting behind the last frame with every text.
        mask: [B, 1, P, P], 0 where a token may look, the lowest bfloat16 where not.
    """

    ids: Tensor
    segment: Tensor
    answers: Tensor
    positions: Tensor
    mask: Tensor


class PagePacker:
    """Lays out pages in the prompt format; remembers the tokens of every text it has seen."""

    def __init__(self, tokenizer) -> None:
        self.tokenizer = tokenizer
        image_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        ids = tokenizer.encode(format_prompt(frames=2).format(question="?"))
        self._cut = ids.index(image_id) + 1
        self.prefix_ids = ids[: self._cut - 1]
        self.separator_ids = ids[self._cut : ids.index(image_id, self._cut)]
        self._questions: dict[str, list[int]] = {}
        self._answers: dict[str, list[int]] = {}

    def question_ids(self, text: str) -> list[int]:
        """What follows the image in a prompt with this question."""
        if text not in self._questions:
            self._questions[text] = self.tokenizer.encode(format_prompt().format(question=text))[self._cut :]
        return self._questions[text]

    def answer_ids(self, text: str) -> list[int]:
        """What the LLM should say, its end token included."""
        if text not in self._answers:
            ids = self.tokenizer.encode(" " + text, add_special_tokens=False)
            self._answers[text] = [*ids, self.tokenizer.eos_token_id]
        return self._answers[text]

    def pack(self, questions: list[list[Question]], frame: Tensor, n_frames: int = 1) -> PackedPage:
        """One page per image or clip.

        Args:
            questions: the texts of each page.
            frame: int64 [B, K], the frame of each visual token, ascending.
            n_frames: T; frames without a token still have their new line.
        """
        pages = [self._texts(asked) for asked in questions]
        n, k = frame.shape
        before, gap = len(self.prefix_ids), len(self.separator_ids)
        start = before + k + gap * (n_frames - 1)  # of the texts
        length = start + max(len(ids) for ids, *_ in pages)
        ids = torch.full((n, length), self.tokenizer.pad_token_id)
        segment = torch.full((n, length), _PADDING)
        answers = torch.zeros(n, length, dtype=torch.bool)
        positions = torch.arange(length).repeat(n, 1)
        ids[:, :before] = torch.tensor(self.prefix_ids)
        ids.scatter_(1, before + torch.arange(k) + gap * frame, VISUAL_TOKEN)
        for t in range(n_frames - 1):
            place = before + (frame <= t).sum(1, keepdim=True) + gap * t + torch.arange(gap)
            ids.scatter_(1, place, torch.tensor(self.separator_ids).expand(n, gap))
        segment[:, :start] = _IMAGE
        for b, (text_ids, text_segment, is_answer, place) in enumerate(pages):
            end = start + len(text_ids)
            ids[b, start:end] = torch.tensor(text_ids)
            segment[b, start:end] = torch.tensor(text_segment)
            answers[b, start:end] = torch.tensor(is_answer)
            positions[b, start:end] = start + torch.tensor(place)
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        may_look = (segment[:, :, None] == segment[:, None, :]) | (segment[:, None, :] == _IMAGE)
        mask = torch.where(may_look & causal, 0.0, torch.finfo(torch.bfloat16).min)[:, None]
        return PackedPage(ids, segment, answers, positions, mask)

    def _texts(self, asked: list[Question]) -> tuple[list[int], list[int], list[bool], list[int]]:
        """All texts of one page after another: ids, segment, whether answer, place counted from the image."""
        ids, segment, is_answer, place = [], [], [], []
        for j, q in enumerate(asked, start=1):
            prompt, answer = self.question_ids(q.text), self.answer_ids(q.answer)
            n = len(prompt) + len(answer)
            ids += prompt + answer
            segment += [j] * n
            is_answer += [False] * len(prompt) + [True] * len(answer)
            place += range(n)
        return ids, segment, is_answer, place
