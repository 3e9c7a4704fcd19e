"""Check a question, put it into the text of a prompt, and show tokens as text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

MAX_CHARACTERS = 2000
CONTEXT = 8  # earlier tokens that decide how a token is spelled: spaces, and bytes of the same character
MAX_TOKENS = 640  # 2,000 characters are about 450 tokens in English, and 8,000 as emoji


class QuestionError(ValueError):
    """Report a question that cannot be used; the message is one sentence for the person who asked it."""


def checked_question(
    question: str, processor, longest: int = MAX_CHARACTERS, most_tokens: int | None = MAX_TOKENS
) -> str:
    """Return the question without surrounding white space, if it is safe to put into a prompt.

    Text that a tokenizer reads as a control token (`<image>`, `</s>`, ... in upper or lower case) is refused
    and not rewritten: a second placeholder would shift every visual token, an end token would end the prompt,
    and a silent change would answer another question. Anything else, script tags and emoji included, is plain
    text to the model.

    Args:
        question: what a person typed.
        processor: the model's processor; its tokenizer names the control tokens.
        longest: characters allowed.
        most_tokens: tokens allowed, since an emoji may be four tokens and a word one; None: not counted.

    Raises:
        QuestionError: no text, empty, over `longest` characters or `most_tokens` tokens, not encodable, or a
            control token in it.
    """
    question = checked_text(question, longest)
    lowered = question.casefold()
    for token in control_tokens(processor):
        if token.casefold() in lowered:
            raise QuestionError(
                f"The question contains {token}, which the model reads as a control token: leave it out."
            )
    if most_tokens is not None:
        count = len(processor.tokenizer(question, add_special_tokens=False)["input_ids"])
        if count > most_tokens:
            raise QuestionError(
                f"The question has {count:,} tokens, as this model reads it: shorten it to at most "
                f"{most_tokens:,}."
            )
    return question


def checked_text(question: str, longest: int = MAX_CHARACTERS) -> str:
    """Check a question as far as this needs no model; return it without surrounding white space.

    Raises:
        QuestionError: no text, empty, over `longest` characters, or not encodable.
    """
    if not isinstance(question, str | None):
        raise QuestionError(f"The question must be text, not {type(question).__name__}.")
    if not (question and question.strip()):
        raise QuestionError("The question is empty: write one.")
    question = question.strip()
    if len(question) > longest:
        raise QuestionError(
            f"The question has {len(question):,} characters: shorten it to at most {longest:,}."
        )
    try:
        question.encode()
    except UnicodeEncodeError:
        raise QuestionError(
            "The question holds a broken character (half of a pair): type it again."
        ) from None
    return question


def control_tokens(processor) -> tuple[str, ...]:
    """List the strings that the tokenizer does not read as text: special tokens and placeholders."""
    tokenizer = processor.tokenizer
    added = {str(t) for t in tokenizer.added_tokens_decoder.values() if t.special}
    strings = {*tokenizer.all_special_tokens, *added, processor.image_token, placeholder(processor, "video")}
    return tuple(sorted((t for t in strings if t), key=len, reverse=True))


def prompt_text(processor, question: str, kind: str = "image", count: int = 1) -> str:
    """Write the model's chat prompt for `count` images or videos and a question, one placeholder for each."""
    if getattr(processor, "chat_template", None):
        content = [{"type": kind}] * count + [{"type": "text", "text": question}]
        return processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
    # The prompt of LLaVA-1.5, for processors saved without a template.
    return f"USER: {f'{placeholder(processor, kind)}{chr(10)}' * count}{question} ASSISTANT:"


def placeholder(processor, kind: str) -> str:
    """Return the text that stands for an image or a video in a prompt; "" where the processor has none."""
    return getattr(processor, f"{kind}_token", None) or ""


def unknown_words(tokenizer, question: str) -> tuple[str, ...]:
    """List the words that the tokenizer has no token for, each once; () for byte-level vocabularies."""
    if tokenizer.unk_token_id is None or not tokenizer.is_fast:
        return ()
    read = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)
    spans = zip(read["input_ids"], read["offset_mapping"], strict=True)
    return tuple(dict.fromkeys(question[a:b] for i, (a, b) in spans if i == tokenizer.unk_token_id))


def token_texts(tokenizer, ids: Tensor) -> tuple[str, ...]:
    """Return the text that each id of [L] adds, special tokens included; see `split_text`."""
    return split_text(
        lambda part: tokenizer.decode(part, skip_special_tokens=False, clean_up_tokenization_spaces=False),
        ids.tolist(),
    )


def split_text(decode: Callable[[list[int]], str], ids: Sequence[int]) -> tuple[str, ...]:
    """Split the decoded text by token: piece i is the text that token i adds; joined, they are the text.

    A space between two words belongs to one of their pieces. A character whose bytes are spread over several
    tokens belongs to the last of them, and the pieces of the others are empty.
    """
    pieces = []
    for i in range(len(ids)):
        window = list(ids[max(0, i - CONTEXT) : i + 1])
        before = decode(window[:-1]).rstrip("\ufffd")
        after = decode(window)
        if i + 1 < len(ids):
            after = after.rstrip("\ufffd")  # bytes whose character is not complete yet
        pieces.append(after[len(before) :] if after.startswith(before) else decode([ids[i]]))
    return tuple(pieces)
