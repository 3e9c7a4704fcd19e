"""Two questions are two queries, wherever they stand: held with every family's own chat template."""

import warnings

import numpy as np
import pytest
import torch

from rediprune.config import PruneConfig
from rediprune.explainer.ask import prepare_question
from rediprune.explainer.encode import as_media_input, encode
from rediprune.models import adapter_for
from rediprune.models.query_text import query_text
from rediprune.pruning.prune import prune
from rediprune.query.prompt_tail import prompt_tail
from rediprune.query.question import placeholder
from tests.families import families
from tests.support import tiny

FEW = PruneConfig(keep_ratio=0.2)
QUESTIONS = ("what color is the star", "how many dog and cat are there")
IMAGE, END, BREAK, CLOSE = 99, 2, 7, 98  # ids of a made-up tokenizer
CASES = {(family.name, kind): (family, kind) for family in families() for kind in family.kinds}


def chosen(ids: list[int], closing=(), n_closing: int = 0):
    tokens = torch.tensor(ids)
    found = query_text(tokens, tokens == IMAGE, {END}, closing, n_closing)
    return found.part, found.ids.tolist()


def test_text_behind_the_image_is_the_published_query():
    assert chosen([1, 5, IMAGE, IMAGE, 30, 31, END, BREAK, 6]) == ("tail", [30, 31, END, BREAK, 6])
    assert chosen([1, 5, IMAGE, 30, 31, 32, 33, 34, 35, 36]) == ("tail", [30, 31, 32, 33, 34, 35, 36])


@pytest.mark.parametrize("named", [True, False], ids=["named", "counted"])
@pytest.mark.parametrize("between", [[], [CLOSE], [CLOSE, BREAK]])
def test_a_tail_of_the_template_alone_gives_way_to_the_whole_turn(between, named):
    system, turn = [1, 40, 41, END, BREAK], [5, 30, 31, IMAGE, IMAGE, *between, END, BREAK, 6]
    how = {"closing": {CLOSE}} if named else {"n_closing": len(between[:1])}
    part, ids = chosen(system + turn, **how)
    assert part == "turn"
    assert ids == [token for token in [BREAK, *turn] if token != IMAGE]


def test_a_prompt_that_ends_with_its_image_is_read_whole():
    assert chosen([1, 5, 30, 31, IMAGE]) == ("turn", [1, 5, 30, 31])


def test_a_question_of_a_later_turn_is_in_the_tail():
    ids = [5, 30, IMAGE, END, BREAK, 6, 50, END, BREAK, 5, 31, END, BREAK, 6]
    assert chosen(ids) == ("tail", ids[3:])


def test_a_short_tail_without_an_end_of_turn_is_doubted():
    assert chosen([1, 5, 30, 31, 32, 33, IMAGE, 6, 8])[0] == "doubt"
    assert chosen([1, IMAGE, 30, 6, 8])[0] == "tail"  # nothing in front that could be a question


def prompt(family, kind: str, question: str, question_first: bool) -> str:
    """What the family's own template makes of a question in front of the image, or behind it."""
    content = [{"type": kind}, {"type": "text", "text": question}]
    messages = [{"role": "user", "content": content[::-1] if question_first else content}]
    return family.processor().apply_chat_template(messages, add_generation_prompt=True)


def processed(family, kind: str, text: str) -> dict:
    if kind == "image":
        return family.processed([text], images=family.pictures(0))
    return family.processed([text], videos=[family.pictures(10, family.n_frames)])


def with_ends(family):
    """The model as its public checkpoint is: it ends an answer at the template's end of turn."""
    model, vocab = family.model(torch.float32), family.processor().tokenizer.get_vocab()
    ends = [model.generation_config.eos_token_id, vocab.get("<|im_end|>")]
    model.generation_config.eos_token_id = [end for end in ends if end is not None]
    return model


@pytest.mark.parametrize("question_first", [False, True], ids=["behind", "in front"])
@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_two_questions_never_share_a_query(case, question_first):
    family, kind = CASES[case]
    model, vectors = with_ends(family), []
    for question in QUESTIONS:
        inputs = processed(family, kind, prompt(family, kind, question, question_first))
        with warnings.catch_warnings(), prune(model, FEW) as report:
            warnings.simplefilter("ignore")
            model.generate(**inputs, max_new_tokens=1, do_sample=False)
        vectors.append(report.images[0].query.vector)
        behind = prompt(family, kind, question, True) == prompt(family, kind, question, False)
        assert bool(report.notes) == (question_first and not behind)
    assert not torch.allclose(vectors[0], vectors[1])


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_a_question_written_in_front_without_an_end_of_turn_is_warned_of(case):
    family, kind = CASES[case]
    model, shown = family.model(torch.float32), placeholder(family.processor(), kind)
    if "Qwen" in family.name:
        shown = f"<|vision_start|>{shown}<|vision_end|>"
    inputs = processed(family, kind, f"user: {QUESTIONS[1]} {shown} assistant:")
    with pytest.warns(UserWarning, match="put it behind it"), prune(model, FEW) as report:
        model.generate(**inputs, max_new_tokens=1, do_sample=False)
    (note,) = report.notes
    assert "query='text-tower'" in note


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_the_explainer_finds_the_question_in_the_tail_or_in_the_turn(case, monkeypatch):
    family, kind = CASES[case]
    adapter, processor = adapter_for(with_ends(family)), family.processor()
    media = family.pictures(0)[0] if kind == "image" else family.pictures(10, family.n_frames)
    look = encode(adapter, processor, as_media_input(media), "key")

    def asked(question):
        return prepare_question(adapter, processor, look, question, PruneConfig(), lambda: None)

    one, two = (asked(question) for question in QUESTIONS)
    assert not torch.allclose(one.query.vector, two.query.vector)
    assert one.notes == two.notes == ()
    ids = one.inputs["input_ids"][0]
    published = prompt_tail(adapter.prompt_tail_embeddings(ids)[0])
    assert torch.equal(one.query.vector, published.vector)

    def question_first(_, question, kind, count):
        media = processor.apply_chat_template([{"role": "user", "content": [{"type": kind}] * count}])
        return f"user {question} {media}"

    monkeypatch.setattr("rediprune.explainer.encode.prompt_text", question_first)
    first, second = (asked(question) for question in QUESTIONS)
    assert not torch.allclose(first.query.vector, second.query.vector)
    assert any("whole turn" in note for note in first.notes)


def test_llava_of_one_word_behind_the_image_is_not_doubted():
    model = tiny.model()
    with warnings.catch_warnings(), prune(model, FEW) as report:
        warnings.simplefilter("error")
        model.generate(**tiny.inputs(("Where?", [tiny.image(1)])), max_new_tokens=1)
    assert report.notes == []


def test_each_note_comes_once_a_block():
    model = tiny.model()
    text = f"user: {QUESTIONS[0]} <image> assistant:"
    inputs = dict(tiny.processor()(images=[tiny.image(1)], text=[text], return_tensors="pt"))
    with warnings.catch_warnings(record=True) as said, prune(model, FEW) as report:
        warnings.simplefilter("always")
        for _ in range(3):
            model.generate(**inputs, max_new_tokens=1)
    assert len(report.notes) == 1
    assert np.sum(["put it behind it" in str(one.message) for one in said]) == 1
