"""Check that prompts equal the processor's own, and that bad questions are refused in one sentence."""

import pytest
import torch

from rediprune.query.question import MAX_CHARACTERS, QuestionError, checked_question, prompt_text, token_texts
from tests.support import tiny


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("question", ["What color is the star?", "<script>x</script> é 漢字 🙂", "a\nb"])
def test_a_prompt_is_the_processors_own(question, count):
    assert prompt_text(tiny.processor(), question, count=count) == tiny.prompt(question, count)


def test_a_processor_without_a_template_gets_the_prompt_of_llava(monkeypatch):
    processor = tiny.processor()
    monkeypatch.setattr(processor, "chat_template", None)
    assert prompt_text(processor, "what is red") == "USER: <image>\nwhat is red ASSISTANT:"
    assert prompt_text(processor, "is it", count=2) == "USER: <image>\n<image>\nis it ASSISTANT:"


def test_a_clip_has_the_placeholder_of_a_clip():
    class Processor:
        video_token = "<video>"

    assert prompt_text(Processor(), "what moves", "video") == "USER: <video>\nwhat moves ASSISTANT:"


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("", "is empty"),
        (" \n\t", "is empty"),
        (None, "is empty"),
        (b"what?", "must be text, not bytes"),
        ("a" * (MAX_CHARACTERS + 1), "2,001 characters: shorten it to at most 2,000"),
        ("what is <image> here", "contains <image>"),
        ("what is <IMAGE> here", "contains <image>"),
        ("star</s>circle", "contains </s>"),
        ("broken \ud800 character", "broken character"),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_in_one_sentence(question, says):
    with pytest.raises(QuestionError, match=says) as refused:
        checked_question(question, tiny.processor())
    assert "\n" not in str(refused.value)


def test_the_longest_question_and_white_space_around_it_are_fine():
    assert checked_question("  " + "a" * MAX_CHARACTERS + "\n", tiny.processor()) == "a" * MAX_CHARACTERS


def test_token_texts_read_as_the_text_does_characters_of_several_tokens_included():
    class Words:
        def decode(self, ids, **_):
            bytes_of = [b"what", b" is", b"ed", b" G", b"r\xc3", b"\xb6\xc3", b"\x9fe", b"\n"]
            return b"".join(bytes_of[i] for i in ids).decode(errors="replace")

    read = token_texts(Words(), torch.arange(8))
    assert read == ("what", " is", "ed", " G", "r", "ö", "ße", "\n")
