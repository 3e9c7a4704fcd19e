"""views: what the page says of times and of how far two answers agree."""

import math

import pytest

from app.views import cards
from rediprune.trace import Agreement, Answer


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0042, "4.2 ms"), (0.0123, "12 ms"), (0.9996, "1.0 s"), (12.34, "12.3 s"), (math.nan, "–")],
)
def test_seconds_in_words(value, words):
    assert cards.format_seconds(value) == words


@pytest.mark.parametrize(
    ("same", "probability", "words"),
    [
        (True, 0.99, "Same answer. Its probability: 99% from all tokens, 40% from those kept"),
        (True, 0.34, "Same answer, but a guess. Its probability: 34% from all"),
        (False, 0.99, "Different answer. The unpruned one's probability: 99% from all"),
        (False, 0.34, "Different answer, and a guess. The unpruned one's probability: 34% from all"),
        (True, math.nan, "Same answer. Its probability: unknown from all"),
    ],
)
def test_an_answer_that_the_model_itself_finds_unlikely_is_called_a_guess(same, probability, words):
    log = math.log(probability)
    found = Agreement(log, math.log(0.4), log, log, kl_first=0.25, same_text=same)
    assert cards.agreement_line(found).startswith(words) and cards.agreement_line(found).endswith(
        "KL 0.250 nats."
    )


@pytest.mark.parametrize(("first", "second", "busy"), [(0.9, 0.4, False), (0.04, 0.93, True)])
def test_single_runs_that_contradict_each_other_are_said_to_be_unreliable(first, second, busy):
    full, pruned = (Answer("yes", (1,), 9, 9, 2 * took, took) for took in (first, second))
    assert cards.single_timing_line(full, pruned, False).endswith(cards.BUSY if busy else "one run each")
