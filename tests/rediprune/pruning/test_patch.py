"""A prune block and what stands around it: threads, copies, wrappers, caches, calls that go past it."""

import contextlib
import copy
import functools
import pickle
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import DynamicCache

from rediprune.config import PruneConfig, kept_count
from rediprune.models import ModelError, adapter_for
from rediprune.models.transformers_names import CACHE, cache_argument, cache_of
from rediprune.pruning.patch import GeneratePatch
from rediprune.pruning.prune import prune
from rediprune.pruning.report import PruneError
from tests.support import tiny

FEW, ALL = PruneConfig(keep_ratio=0.15), PruneConfig(keep_ratio=1)
K = kept_count(tiny.N, 0.15)
ROW = ("What color is the star?", [tiny.image(1)])
BRIEF = {"max_new_tokens": 3, "do_sample": False}


@pytest.fixture
def model():
    return tiny.model()


@pytest.fixture
def inputs():
    return tiny.inputs(ROW)


# Calls that would go past it ------------------------------------------------------------------------------


def test_pixels_given_to_the_model_itself_are_refused_and_taken_again_afterwards(model, inputs):
    with prune(model, FEW):
        model.generate(**inputs, **BRIEF)
        for call in (
            lambda: model(**inputs, labels=inputs["input_ids"]),
            lambda: model(inputs["input_ids"], inputs["pixel_values"]),
            lambda: type(model).generate(model, **inputs, **BRIEF),
        ):
            with pytest.raises(PruneError, match="the model itself was given an image"):
                call()
        text = torch.tensor([[1, 5, 6]])
        model(input_ids=text, labels=text).loss.backward()
    assert model.get_input_embeddings().weight.grad is not None
    model(**inputs)


@pytest.mark.parametrize(
    ("use", "says"),
    [
        (lambda block: None, "no effect by itself, so nothing is pruned"),
        (lambda block: block.__enter__(), "dropped without being left, so nothing is pruned any more"),
    ],
    ids=["made", "entered"],
)
def test_a_block_that_is_dropped_says_that_nothing_is_pruned(model, inputs, use, says):
    full = model.generate(**inputs, **BRIEF)
    with pytest.warns(UserWarning, match=says):
        use(prune(model, FEW))
    assert "generate" not in vars(model) and not model._forward_pre_hooks
    assert torch.equal(model.generate(**inputs, **BRIEF), full)


def test_a_decorated_function_is_pruned_at_every_call_and_may_never_be_called(model, inputs):
    @prune(model, FEW)
    def ask():
        return model.generate(**inputs, **BRIEF)

    with prune(model, FEW):
        expected = model.generate(**inputs, **BRIEF)
    assert torch.equal(ask(), expected) and torch.equal(ask(), expected)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        prune(model, FEW)(lambda: None)  # a function that nobody calls
    assert not said


# What comes out of it -------------------------------------------------------------------------------------


def test_an_output_carries_no_cache_of_a_pruned_prompt(model, inputs):
    told = BRIEF | {"return_dict_in_generate": True, "output_logits": True}
    with prune(model, FEW):
        few = model.generate(**inputs, **told)
    assert cache_of(few) is None and CACHE not in few
    assert few.sequences.shape[1] == inputs["input_ids"].shape[1] + 3 and len(few.logits) == 3
    with prune(model, ALL):
        every = model.generate(**inputs, **told)
    # Another call may go on.
    assert cache_of(every).get_seq_length() == inputs["input_ids"].shape[1] + 2


def test_a_second_turn_with_the_cache_of_the_first_is_told_why_not(model, inputs):
    cache = DynamicCache(config=model.config.text_config)
    with prune(model, FEW):
        ids = model.generate(**inputs, **BRIEF, **cache_argument(cache))
        with pytest.raises(ModelError, match=f"{CACHE} already holds tokens"):
            model.generate(input_ids=ids, **BRIEF, **cache_argument(cache))


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_a_copy_inside_would_run_the_original_and_is_refused(model, inputs, copied):
    with prune(model, FEW):
        model.generate(**inputs, **BRIEF)
        with pytest.raises(PruneError, match="copy or pickle it outside"):
            copied(model)
    copied(model)


# Wrappers around the model --------------------------------------------------------------------------------


class Peft:
    """As PEFT wraps a model."""

    def __init__(self, model):
        self.model = model

    def get_base_model(self):
        return self.model

    def __getattr__(self, name):
        return getattr(self.model, name)


@pytest.mark.parametrize(
    "wrapped", [Peft, lambda model: torch.compile(model, backend="eager")], ids=["peft", "torch.compile"]
)
def test_a_wrapped_model_is_pruned_and_left_as_it_was(model, inputs, wrapped):
    full, outside = model.generate(**inputs, **BRIEF), wrapped(model)
    with prune(model, FEW):
        expected = model.generate(**inputs, **BRIEF)
    with prune(outside, FEW) as report:
        assert torch.equal(outside.generate(**inputs, **BRIEF), expected)
    assert report.n_kept == K and "generate" not in vars(model)
    assert torch.equal(model.generate(**inputs, **BRIEF), full)


def test_a_wrapper_that_was_put_on_inside_stays_and_prunes_no_more(model, inputs):
    full, calls = model.generate(**inputs, **BRIEF), []
    with prune(model, FEW) as report:
        inner = model.generate

        def counting(**kwargs):
            calls.append(kwargs)
            return inner(**kwargs)

        model.generate = counting
        model.generate(**inputs, **BRIEF)
    assert model.generate is counting and report.n_kept == K
    assert torch.equal(model.generate(**inputs, **BRIEF), full) and len(calls) == 2


@pytest.mark.parametrize("kept", [lambda generate: generate, functools.partial], ids=["itself", "partial"])
def test_what_was_taken_out_of_a_block_is_the_plain_generate_and_hinders_nothing(model, inputs, kept):
    full = model.generate(**inputs, **BRIEF)
    with prune(model, FEW):
        model.generate(**inputs, **BRIEF)
        saved = kept(model.generate)
    model.generate = saved
    assert torch.equal(model.generate(**inputs, **BRIEF), full)
    copy.deepcopy(model)
    with prune(model, FEW) as report:
        model.generate(**inputs, **BRIEF)
    assert report.n_kept == K and model.generate is saved


# Threads --------------------------------------------------------------------------------------------------


def test_calls_at_once_have_numbers_and_random_masks_of_their_own(model, inputs):
    meet = threading.Barrier(4)

    def ask(_):
        meet.wait(timeout=30)
        model.generate(**inputs, max_new_tokens=1)

    with prune(model, PruneConfig(0.15, method="random")) as report, ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))
    assert sorted(image.call for image in report.images) == list(range(report.calls)) == [0, 1, 2, 3]
    assert len({tuple(image.kept.tolist()) for image in report.images}) == 4


def test_a_second_thread_is_told_that_the_block_may_be_anothers(model, inputs):
    with prune(model, FEW):
        model.generate(**inputs, **BRIEF)
        with ThreadPoolExecutor(1) as pool, pytest.raises(PruneError, match="perhaps another thread's"):
            pool.submit(lambda: prune(model, FEW).__enter__()).result()


def test_of_threads_that_enter_at_the_same_moment_one_is_refused(model, inputs, monkeypatch):
    within, left, entered = threading.Barrier(2), threading.Barrier(2), []

    class Meeting(GeneratePatch):
        """Lets a second thread come as far as this, if anything does."""

        def __init__(self, *given):
            with contextlib.suppress(threading.BrokenBarrierError):
                within.wait(timeout=0.5)
            super().__init__(*given)

    monkeypatch.setattr(sys.modules[prune.__module__], "GeneratePatch", Meeting)

    def enter(_):
        try:
            with prune(model, FEW):
                entered.append(True)
                left.wait(timeout=30)
                model.generate(**inputs, max_new_tokens=1)
        except PruneError:
            left.wait(timeout=30)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(enter, range(2)))
    assert entered == [True] and "generate" not in vars(model)


# Arguments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"question": 5}, "question must be text, or one text per prompt, not 5"),
        ({"question": b"red?"}, "question must be text"),
        ({"question": ["red?", 1]}, "question must be text"),
        ({"text_tower": "ViT-B-32/openai"}, r"text_tower must be a TextTower, such as TextTower\.load"),
        ({"config": 0.2}, r"such as PruneConfig\(keep_ratio=0\.15\), not 0\.2"),
    ],
    ids=str,
)
def test_what_is_no_question_tower_or_config_is_said_at_once(model, settings, sentence):
    with pytest.raises(TypeError, match=sentence):
        prune(model, **{"config": PruneConfig(query="text-tower")} | settings)


def test_a_mask_that_does_not_fit_or_hides_everything_is_refused(model, inputs):
    mask = inputs["attention_mask"]
    for given, sentence in (
        (mask[:, :-1], r"attention_mask has shape \(1, \d+\), but input_ids \(1, \d+\)"),
        (mask * 0, "attention_mask hides a whole prompt"),
    ):
        with pytest.raises(ModelError, match=sentence), prune(model, FEW):
            model.generate(**inputs | {"attention_mask": given})


@pytest.mark.parametrize(
    ("name", "value"), [("encoder_repetition_penalty", 1.5), ("encoder_no_repeat_ngram_size", 2)]
)
def test_settings_that_read_the_prompt_of_an_encoder_are_refused_unless_idle(model, inputs, name, value):
    with pytest.raises(ModelError, match=f"{name} cannot be combined with pruning"), prune(model, FEW):
        model.generate(**inputs, **{name: value})
    with prune(model, FEW):
        model.generate(**inputs, **BRIEF, encoder_repetition_penalty=1.0)


def test_the_adapter_is_that_of_the_model_itself(model):
    assert adapter_for(Peft(model)).model is model
