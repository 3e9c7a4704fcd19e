"""On ZeroGPU all that needs the model, and nothing else, runs where the GPU is; what crosses is pickles."""

import math
import os
import threading

import pytest
import torch

from app.model.zero_gpu import LONGEST, SHORTEST, ZeroGpuExplainer, seconds_needed
from rediprune import Explainer, PruneConfig
from rediprune.evaluation.sweep import sweep
from rediprune.explainer.model_card import Card
from rediprune.models import ModelError
from rediprune.query.question import QuestionError
from tests.support import tiny
from tests.support.fake_spaces import Refused, Spaces

QUESTION = "What color is the star?"
CONFIG = PruneConfig(keep_ratio=0.25)
TOWER = PruneConfig(keep_ratio=0.25, query="text-tower", pointing="value")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Runs its model here."""
    tower = f"local-dir:{tiny.save_clip(tmp_path_factory.mktemp('clip'))}"
    return Explainer(tiny.model(), tiny.processor(), "tiny", Card(text_tower=tower))


@pytest.fixture
def spaces():
    return Spaces()


@pytest.fixture
def lent(plain, spaces):
    """Its model refuses to run in this process."""
    here = os.getpid()
    model = tiny.model()

    def elsewhere(module, args):
        assert os.getpid() != here, f"{type(module).__name__} ran in the page's own process"

    for module in model.modules():
        module.register_forward_pre_hook(elsewhere)
    return ZeroGpuExplainer(Explainer(model, tiny.processor(), "tiny", plain.card), spaces.GPU, Refused)


def same_answer(one, other):
    return (one.text, one.token_ids, one.n_visual, one.n_text) == (
        other.text,
        other.token_ids,
        other.n_visual,
        other.n_text,
    )


@pytest.mark.parametrize("config", [CONFIG, TOWER], ids=["prompt-tail", "text-tower"])
def test_a_whole_run_is_the_same_as_here_and_only_model_work_is_lent(plain, lent, spaces, config):
    expected, found = (one.run(tiny.image(), QUESTION, config, 6) for one in (plain, lent))
    assert same_answer(found.full, expected.full) and same_answer(found.pruned, expected.pruned)
    assert torch.equal(found.kept, expected.kept)
    assert torch.equal(found.selection.order, expected.selection.order)
    assert found.agreement == expected.agreement
    assert found.savings == expected.savings
    assert len(set(spaces.decorated)) == 1  # each decorated function would have weights of its own
    assert len(spaces.calls) == 5  # look, ask, two answers, agreement: choosing and estimating need no GPU


def test_what_methods_and_sweeps_need_of_the_model_is_lent_too(plain, lent):
    for method in ("divprune", "cls-attention"):
        config, orders = PruneConfig(0.25, method=method), []
        for one in (plain, lent):
            look = one.look(tiny.image())
            orders.append(one.select(look, one.ask(look, QUESTION, config), config).order)
        assert torch.equal(*orders)
    (expected,), (found,) = (
        list(sweep(one, one.look(tiny.image()), QUESTION, ["random"], [0.25], seeds=1, max_new_tokens=3))
        for one in (plain, lent)
    )
    assert found.probability == expected.probability and found.kl_first == expected.kl_first
    assert found.runs[0].text == expected.runs[0].text


def test_a_clip_crosses_too(plain, lent):
    clip = [tiny.image(seed) for seed in range(3)]
    expected, found = (one.run(clip, QUESTION, CONFIG, 3) for one in (plain, lent))
    assert same_answer(found.pruned, expected.pruned)
    assert torch.equal(found.vision.features, expected.vision.features)


def test_a_picture_and_a_question_are_borrowed_for_once(lent, spaces):
    look = lent.look(tiny.image())
    asked = lent.ask(look, QUESTION, CONFIG)
    assert lent.look(tiny.image().copy()) is look and lent.ask(look, QUESTION, CONFIG) is asked
    assert len(spaces.calls) == 2 and lent.encodes == 1


def test_an_answer_streams(plain, lent):
    def told(explainer):
        look, texts = explainer.look(tiny.image()), []
        answer = explainer.answer(look, explainer.ask(look, QUESTION), on_text=texts.append, max_new_tokens=6)
        return answer, texts

    (expected, every), (found, texts) = told(plain), told(lent)
    assert same_answer(found, expected) and found.seconds >= found.first_token_seconds > 0
    assert texts[-1] == every[-1] and set(texts) <= set(every)


def test_a_stopped_answer_ends_where_it_stands(lent):
    look, stop = lent.look(tiny.image()), threading.Event()
    asked, texts = lent.ask(look, QUESTION), []

    def on_text(text):
        texts.append(text)
        stop.set()

    found = lent.answer(look, asked, on_text=on_text, stop=stop, max_new_tokens=400)
    assert texts == [found.text] and found.seconds >= found.first_token_seconds > 0
    assert found.n_visual == tiny.N and found.token_ids == ()


def test_what_was_stopped_before_it_began_borrows_nothing(lent, spaces):
    look, stop = lent.look(tiny.image()), threading.Event()
    asked = lent.ask(look, QUESTION)
    stop.set()
    found = lent.answer(look, asked, stop=stop)
    assert found.text == "" and math.isnan(found.seconds) and len(spaces.calls) == 2


def test_both_prompts_are_timed_in_one_lease(lent, spaces):
    look = lent.look(tiny.image())
    asked = lent.ask(look, QUESTION, CONFIG)
    kept = lent.select(look, asked, CONFIG).kept()
    before = len(spaces.calls)
    full, pruned = lent.time_both(look, asked, kept, repeats=2)
    assert full.repeats == pruned.repeats == 2 and full.prefill > 0 and len(spaces.calls) == before + 1
    assert lent.time(look, asked, kept, repeats=1, warmup=0, steps=1).prefill > 0


def test_the_librarys_sentences_come_back_whole(lent, spaces):
    look = lent.look(tiny.image())
    with pytest.raises(QuestionError, match="empty"):
        lent.ask(look, " ")
    assert len(spaces.calls) == 1  # no GPU was needed to say so
    asked = lent.ask(look, QUESTION)
    with pytest.raises(ValueError, match="positions='magic' is unknown"):
        lent.answer(look, asked, positions="magic")


def test_no_gpu_is_one_sentence(lent, spaces):
    spaces.refusal = "You have exceeded your free ZeroGPU quota."
    with pytest.raises(ModelError, match="lent GPU: You have exceeded your free ZeroGPU quota"):
        lent.look(tiny.image())


def test_what_goes_wrong_over_there_has_a_name_here(lent):
    look = lent.look(tiny.image())
    asked = lent.ask(look, QUESTION)
    with pytest.raises(ModelError, match="TypeError"):
        lent.time(look, asked, magic=1)


def test_seconds_follow_tokens_and_weights_within_bounds():
    assert seconds_needed(0) == SHORTEST
    assert seconds_needed(14_000_000_000, read=3000, written=48) == 5 + 7 + 3 + 5
    assert seconds_needed(0, read=1000, written=100) < seconds_needed(0, read=9000, written=100)
    assert seconds_needed(0, pictures=32) > seconds_needed(0, pictures=16)
    assert seconds_needed(10**12) == LONGEST


def test_a_longer_answer_asks_for_more_seconds(lent, spaces):
    look = lent.look(tiny.image())
    asked = lent.ask(look, QUESTION)
    for length in (2, 70):
        lent.answer(look, asked, max_new_tokens=length)
    (_, short), (_, long) = spaces.calls[-2:]
    assert SHORTEST == short < long <= LONGEST
