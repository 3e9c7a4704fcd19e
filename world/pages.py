"""Several texts behind one image: every text sees the image and itself, none sees another.

A page is one sequence: what stands before the image, K visual tokens, then text after text. A block mask and
positions that start again behind the image make it, for each text, the prompt that the processor would make;
but the image is read once for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .language import IMAGE_TOKEN, PROMPT
from .questions import Question

_IMAGE, _PADDING = 0, -1  # segments; text j of a page is segment j + 1


@dataclass(frozen=True)
class Page:
    """A batch of pages. L counts all text tokens, padding included; P = L + K.

    Attributes:
        ids: [B, L], without the visual tokens, which go in at `n_before`.
        n_before: how many tokens stand before the image.
        full_ids: [B, P], with -1 at the visual tokens.
        segment: [B, P], 0 for the image and what stands before it, 1, 2, ... for the texts, -1 for padding.
        answers: bool [B, P], the tokens of the answers with their end: what the loss is about.
        positions: [B, P], restarting behind the image with every text.
        mask: [B, 1, P, P], 0 where a token may look, the lowest bfloat16 where not.
    """

    ids: Tensor
    n_before: int
    full_ids: Tensor
    segment: Tensor
    answers: Tensor
    positions: Tensor
    mask: Tensor


class Pages:
    """Lays out pages in the prompt format; remembers the tokens of every text it has seen."""

    def __init__(self, tokenizer) -> None:
        self.tokenizer = tokenizer
        image_id = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        ids = tokenizer.encode(PROMPT.format(question="?"))
        self._cut = ids.index(image_id) + 1
        self.before = ids[: self._cut - 1]
        self._questions: dict[str, list[int]] = {}
        self._answers: dict[str, list[int]] = {}

    def question_ids(self, text: str) -> list[int]:
        """What follows the image in a prompt with this question."""
        if text not in self._questions:
            self._questions[text] = self.tokenizer.encode(PROMPT.format(question=text))[self._cut :]
        return self._questions[text]

    def answer_ids(self, text: str) -> list[int]:
        """What the LLM should say, its end token included."""
        if text not in self._answers:
            ids = self.tokenizer.encode(" " + text, add_special_tokens=False)
            self._answers[text] = [*ids, self.tokenizer.eos_token_id]
        return self._answers[text]

    def lay_out(self, questions: list[list[Question]], k: int) -> Page:
        """One page per image, for `k` visual tokens each; `questions` has the texts of each page."""
        before = len(self.before)
        pages = [self._texts(asked) for asked in questions]
        n, length = len(pages), before + max(len(ids) for ids, *_ in pages)
        ids = torch.full((n, length), self.tokenizer.pad_token_id)
        segment = torch.full((n, length + k), _PADDING)
        answers = torch.zeros(n, length + k, dtype=torch.bool)
        positions = torch.arange(length + k).repeat(n, 1)
        ids[:, :before] = torch.tensor(self.before)
        segment[:, : before + k] = _IMAGE
        for b, (text_ids, text_segment, is_answer, place) in enumerate(pages):
            end = before + len(text_ids)
            ids[b, before:end] = torch.tensor(text_ids)
            segment[b, before + k : end + k] = torch.tensor(text_segment)
            answers[b, before + k : end + k] = torch.tensor(is_answer)
            positions[b, before + k : end + k] = before + k + torch.tensor(place)
        full = torch.cat([ids[:, :before], torch.full((n, k), -1), ids[:, before:]], dim=1)
        causal = torch.ones(length + k, length + k, dtype=torch.bool).tril()
        may_look = (segment[:, :, None] == segment[:, None, :]) | (segment[:, None, :] == _IMAGE)
        mask = torch.where(may_look & causal, 0.0, torch.finfo(torch.bfloat16).min)[:, None]
        return Page(ids, before, full, segment, answers, positions, mask)

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
