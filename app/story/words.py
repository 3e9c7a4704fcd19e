"""Join tokens into the words that they spell: a tokenizer cuts unknown words into letters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

# "don't" is one word, "?" is another.
WORD = re.compile(r"\w+(?:['’-]\w+)*|\n|[^\w\s]")
VISIBLE = re.compile(r"[\S\n]")
LINE_BREAK = "⏎"


@dataclass(frozen=True)
class Word:
    """Hold one word of a text.

    Attributes:
        start, stop: its tokens, [start, stop).
        blank: how many of them, at its start, are nothing but white space.
    """

    text: str
    start: int
    stop: int
    blank: int = 0

    @property
    def n_tokens(self) -> int:
        """Return how many tokens spell it."""
        return self.stop - self.start


def split_into_words(tokens: Sequence[str]) -> list[Word]:
    """Return the words that tokens spell; every token belongs to one of them.

    Args:
        tokens: texts that, joined, read as the text does (see question.split_text). One that spells several
            words stays whole; white space alone belongs to the word behind it, but a line break is a word of
            its own.
    """
    begins = {match.start() for match in WORD.finditer("".join(tokens))}
    starts: list[int] = []  # of every word, the index of its first token
    waiting: int | None = None  # the first of the tokens of white space whose word has not come yet
    at = 0
    for i, token in enumerate(tokens):
        visible = VISIBLE.search(token)
        if visible is None:
            waiting = i if waiting is None else waiting
        elif not starts or at + visible.start() in begins:
            starts.append(i if waiting is None else waiting)
            waiting = None
        else:
            waiting = None
        at += len(token)
    edges = [0, *starts[1:], len(tokens)] if tokens else []
    return [
        Word("".join(tokens[start:stop]).strip() or LINE_BREAK, start, stop, _blank(tokens[start:stop]))
        for start, stop in pairwise(edges)
    ]


def _blank(tokens: Sequence[str]) -> int:
    """Count the tokens at the start that show nothing."""
    return sum(1 for _ in takewhile(lambda token: not VISIBLE.search(token), tokens))
