"""Check lmms.settings and lmms.decoding: what a command line and a task may ask, and what is refused."""

import math
from pathlib import Path

import pytest

from rediprune.evaluation.lmms import decoding, settings
from rediprune.evaluation.lmms.decoding import MAX_NEW_TOKENS, Decoding


def test_every_dial_of_a_prune_config_can_be_said():
    made = settings.read_settings(
        dict(
            pretrained="llava-hf/llava-1.5-7b-hf",
            keep_ratio=0.15,
            alpha="inf",
            method="random",
            seed=3,
            budget="shared",
            positions="original",
            n_frames=16,
            record="runs/a",
            batch_size="4",
            max_batch_size=None,
            device=None,
        )
    )
    assert made.prune_settings == {
        "keep_ratio": 0.15,
        "alpha": math.inf,
        "method": "random",
        "seed": 3,
        "budget": "shared",
        "positions": "original",
    }
    assert (made.pretrained, made.n_frames, made.batch_size) == ("llava-hf/llava-1.5-7b-hf", 16, 4)
    assert made.record == Path("runs/a") and made.device == settings.Settings.device


def test_without_a_word_the_embedded_model_answers_one_by_one():
    made = settings.read_settings({})
    assert Path(made.pretrained).name == "tiny-llava" and made.prune_settings == {} and made.batch_size == 1


@pytest.mark.parametrize(
    ("args", "expected_text"),
    [
        (dict(keep_ration=0.2), "keep_ration=0.2.*did you mean keep_ratio"),
        (dict(zzz=1), "it knows alpha, batch_size, budget"),
        (dict(keep_ratio=1.5), "keep_ratio=1.5 is out of range"),
        (dict(method="magic"), "method='magic' is unknown"),
        (dict(n_frames=0), "n_frames=0 is out of range"),
        (dict(batch_size="auto"), "batch_size='auto' is out of range"),
    ],
)
def test_what_means_nothing_is_refused(args, expected_text):
    with pytest.raises(ValueError, match=expected_text):
        settings.read_settings(args)


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        # lmms-eval 0.7.3: POPE, GQA and MME; TextVQA and VizWiz; NExT-QA, which says nothing; MMBench.
        (
            dict(max_new_tokens=128, temperature=0.0, top_p=0, num_beams=1, do_sample=False, until=["\n\n"]),
            Decoding(128, 1, ("\n\n",)),
        ),
        (dict(until=["ASSISTANT:"]), Decoding(MAX_NEW_TOKENS, 1, ("ASSISTANT:",))),
        (dict(until=["\n\n"], do_sample=False), Decoding(MAX_NEW_TOKENS, 1, ("\n\n",))),
        (dict(until="x", max_new_tokens=1024, temperature=0, num_beams=3), Decoding(1024, 3, ("x",))),
        (dict(until=None, temperature=None, num_beams=None), Decoding()),
    ],
)
def test_what_tasks_ask_for_is_honoured(kwargs, expected):
    assert decoding.read_decoding(kwargs) == expected


@pytest.mark.parametrize(
    ("kwargs", "expected_text"),
    [
        (dict(do_sample=True), "pope ask for sampling .do_sample=True"),
        (dict(temperature=0.7), "sampling .temperature=0.7"),
        (dict(num_beams=0), "num_beams=0: it must be"),
        (dict(max_new_tokens=2.5), "max_new_tokens=2.5: it must be"),
        (dict(best_of=2), "best_of=2, which rediprune does not know"),
        (dict(repetition_penalty=1.2), "will not ignore"),
    ],
)
def test_what_cannot_be_honoured_is_refused_aloud(kwargs, expected_text):
    with pytest.raises(ValueError, match=expected_text):
        decoding.read_decoding(kwargs, "pope")


def test_how_llava_prepares_pictures_plays_no_part_and_that_is_said():
    with pytest.warns(UserWarning, match="activitynetqa say image_aspect_ratio='original', which has no"):
        made = decoding.read_decoding(
            {"image_aspect_ratio": "original", "max_new_tokens": 64}, "activitynetqa"
        )
    assert made == Decoding(64)


def test_an_answer_ends_before_its_first_stop_string():
    assert Decoding(until=("\n\n", "ASSISTANT:")).cut(" red ASSISTANT: blue\n\nx") == "red"
    assert Decoding(until=("\n\n",)).cut(" red \n") == "red"
    assert Decoding().cut("red\n\nblue") == "red\n\nblue"
