"""Question -> the text of the prompt: what is refused and why, and how tokens read to a person."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

MAX_CHARACTERS = 2000
CONTEXT = 8  # tokens before one that decide how it is spelled: spaces, and bytes of the same character
MAX_TOKENS = 640  # 2,000 characters of English are some 450; of emoji, 8,000


class QuestionError(ValueError):
    """A question that cannot be asked; the message is one sentence for the person who asked it."""


def checked_question(
    question: str, processor, longest: int = MAX_CHARACTERS, most_tokens: int | None = MAX_TOKENS
) -> str:
    """The question without surrounding white space, once it is safe to put into a prompt.

    What a tokenizer reads as a control token (`<image>`, `</s>`, ... in upper or lower case) is refused, not
    rewritten: a second placeholder would shift every visual token, an end token would end the prompt, and a
    silent change would answer another question than the one asked. Anything else, script tags and emoji
    included, is plain text to the model.

    Characters do not say how long the model reads: an emoji may be four tokens and a word one. So the tokens
    are counted too; `most_tokens` None leaves that out.

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
    """The same as far as it needs no model: some text, without surrounding white space, and not too long."""
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
    """Strings that the tokenizer does not read as text: its special tokens and the placeholders."""
    tokenizer = processor.tokenizer
    added = {str(t) for t in tokenizer.added_tokens_decoder.values() if t.special}
    found = {*tokenizer.all_special_tokens, *added, processor.image_token, placeholder(processor, "video")}
    return tuple(sorted((t for t in found if t), key=len, reverse=True))


def prompt_text(processor, question: str, kind: str = "image", count: int = 1) -> str:
    """The model's own chat prompt for `count` images or videos and a question, one placeholder for each."""
    if getattr(processor, "chat_template", None):
        content = [{"type": kind}] * count + [{"type": "text", "text": question}]
        return processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
    # The prompt of LLaVA-1.5, for processors saved without a template.
    return f"USER: {f'{placeholder(processor, kind)}{chr(10)}' * count}{question} ASSISTANT:"


def placeholder(processor, kind: str) -> str:
    """What stands for an image or a video in a prompt's text; empty where the processor has no such thing."""
    return getattr(processor, f"{kind}_token", None) or ""


def unknown_words(tokenizer, question: str) -> tuple[str, ...]:
    """What of the question the tokenizer has no token for, each once; empty for byte-level vocabularies."""
    if tokenizer.unk_token_id is None or not tokenizer.is_fast:
        return ()
    read = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True)
    spans = zip(read["input_ids"], read["offset_mapping"], strict=True)
    return tuple(dict.fromkeys(question[a:b] for i, (a, b) in spans if i == tokenizer.unk_token_id))


def token_texts(tokenizer, ids: Tensor) -> tuple[str, ...]:
    """Return what each id of [L] adds to the text, special tokens included; see `split_text`."""
    return split_text(
        lambda some: tokenizer.decode(some, skip_special_tokens=False, clean_up_tokenization_spaces=False),
        ids.tolist(),
    )


def split_text(decode: Callable[[list[int]], str], ids: Sequence[int]) -> tuple[str, ...]:
    """Return what each token adds to the decoded text, so that the pieces joined read as the text does.

    A space between two words belongs to one of their pieces. A character whose bytes are spread over several
    tokens is the piece of the last of them; the pieces of the others are empty.
    """
    found = []
    for i in range(len(ids)):
        window = list(ids[max(0, i - CONTEXT) : i + 1])
        before = decode(window[:-1]).rstrip("\ufffd")
        after = decode(window)
        if i + 1 < len(ids):
            after = after.rstrip("\ufffd")  # bytes whose character is not complete yet
        found.append(after[len(before) :] if after.startswith(before) else decode([ids[i]]))
    return tuple(found)
