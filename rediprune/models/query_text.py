"""Which tokens of a prompt the prompt-tail query is made of.

Published is the text behind the last image, which holds the question where the image stands first. Where the
question stands in front of it, only what the chat template writes by itself is left behind the image ("end
of turn, assistant:"), and any two questions would have the same query. Such a tail is told by its end of
turn, or by the question where that is known, and the query is made of the text of the whole turn instead.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch
from torch import Tensor

# "\nASSISTANT:" takes 6 tokens of LLaVA's tokenizer, "[/INST]" 4; a question and either of them take more.
LONGEST_TEMPLATE = 6

TURN_NOTE = (
    "Behind the last image stands nothing but what the chat template writes, so the query is made of the "
    "text of the whole turn, in front of the image too."
)
DOUBT_NOTE = (
    "Behind the last image stand {n} token(s), no more than a chat template writes by itself, and the "
    "published query is made of them alone: if the question stands in front of the image, put it behind it, "
    "or use query='text-tower'."
)


@dataclass(frozen=True)
class QueryText:
    """The tokens that the prompt-tail query is made of.

    Attributes:
        ids: [L'] int64.
        part: "tail", the published text behind the last image; "turn", the text of the whole last turn,
            because the tail holds template text only; "doubt", the tail, which may hold template text only.
        note: a sentence for the reader; empty for "tail".
    """

    ids: Tensor
    part: str = "tail"
    note: str = ""


def query_text(
    ids: Tensor,
    placeholders: Tensor,
    turn_ends: Collection[int],
    closing: Collection[int | None] = (),
    n_closing: int = 0,
    holds_question: Callable[[Tensor], bool] | None = None,
) -> QueryText:
    """Choose the tokens of one prompt that its query is made of.

    Args:
        ids: [L], padding already taken off.
        placeholders: [L] bool, which of them stand for something seen; at least one does.
        turn_ends: ids that end a turn of the chat, as far as the model says so.
        closing: ids that close an image, as far as the model says so.
        n_closing: how many tokens that are not among them the processor writes to close an image.
        holds_question: whether tokens [n] spell the question, for whoever knows it; decides where given.
    """
    last = int(placeholders.nonzero()[-1])
    tail = ids[last + 1 :]
    ends = [i for i, token in enumerate(ids.tolist()) if token in turn_ends]
    start = max((i + 1 for i in ends if i < last), default=0)
    turn = ids[start:][~placeholders[start:]]
    if holds_question is not None:
        in_front = holds_question(turn) and not holds_question(tail)
        return QueryText(turn, "turn", TURN_NOTE) if in_front else QueryText(tail)
    if len(tail) == len(turn):
        return QueryText(tail)
    behind = [i - last - 1 for i in ends if i > last]
    if len(tail) == 0 or (len(behind) == 1 and _only_closes(tail.tolist(), behind[0], closing, n_closing)):
        return QueryText(turn, "turn", TURN_NOTE)
    n_text = sum(token not in closing for token in tail.tolist()) - n_closing
    n_front = int((~placeholders[:last]).sum())
    if not behind and n_text <= LONGEST_TEMPLATE and n_front > len(tail):
        return QueryText(tail, "doubt", DOUBT_NOTE.format(n=len(tail)))
    return QueryText(tail)


def _only_closes(tail: list[int], end: int, closing: Collection[int | None], n_closing: int) -> bool:
    """Whether in front of the end of turn stands nothing but what closes the image, and line breaks."""
    # Templates that write a line break behind the end of a turn tell by that which token it is.
    line_break = tail[end + 1] if end + 1 < len(tail) else None
    return all(token == line_break or token in closing for token in tail[n_closing:end])


def turn_ends(model: torch.nn.Module) -> frozenset[int]:
    """Return the ids that end an answer, and with it a turn of the chat, as the model's configs name them."""
    configs = (model.generation_config, model.config, model.config.get_text_config())
    found: set[int] = set()
    for config in configs:
        named = getattr(config, "eos_token_id", None)
        found |= set(named) if isinstance(named, list | tuple) else {named}
    return frozenset(found - {None})
