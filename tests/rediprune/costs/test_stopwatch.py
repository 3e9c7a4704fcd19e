"""Check on a simulated clock what the stopwatch discards, when it reads the clock, and what it reports."""

import math

import pytest
import torch

from rediprune.costs.stopwatch import (
    Timing,
    contradiction,
    find_doubt,
    measure_until_sound,
    pool_timings,
    synchronise_function,
    time_run,
)


class Machine:
    """Simulate an accelerator: time passes only in wait(), and every run has a cost of its own."""

    def __init__(self, prefill_costs):
        self.now, self.queued, self.costs, self.log = 0.0, 0.0, list(prefill_costs), []

    def clock(self):
        return self.now

    def wait(self):
        self.now, self.queued = self.now + self.queued, 0.0

    def prefill(self):
        self.queued += self.costs.pop(0)
        self.log.append("prefill")
        return len(self.costs)

    def step(self, state):
        self.queued += 0.5
        self.log.append(("step", state))

    def time(self, **how):
        return time_run(self.prefill, clock=self.clock, synchronise=self.wait, **how)


def test_warm_up_is_thrown_away_and_the_median_survives_an_outlier():
    timing = Machine([100, 90, 1, 2, 80, 3, 4]).time(repeats=5, warmup=2)
    assert timing.prefill == 3
    assert timing.prefill_spread == (1, 80)
    assert (timing.repeats, timing.warmup) == (5, 2)
    assert all(map(math.isnan, (timing.per_token, *timing.per_token_spread)))


def test_queued_work_is_charged_to_the_part_that_queued_it():
    machine = Machine([7, 7])
    timing = machine.time(step=machine.step, steps=4, repeats=1, warmup=1)
    assert timing.prefill == 7
    assert timing.per_token == 0.5


def test_the_time_per_token_has_its_spread_over_the_runs_that_count():
    machine, costs = Machine([1] * 5), iter([9, 9, 3, 1, 2, 2, 5, 7, 1, 1])  # two steps a run, one warm-up

    def step(_):
        machine.queued += next(costs)

    timing = machine.time(step=step, steps=2, repeats=4, warmup=1)
    assert (timing.per_token, timing.per_token_spread) == (2, (1, 6))


def test_every_run_decodes_from_its_own_prefill():
    machine = Machine([1, 1, 1])
    machine.time(step=machine.step, steps=2, repeats=2, warmup=1)
    assert machine.log == [entry for s in (2, 1, 0) for entry in ("prefill", ("step", s), ("step", s))]


def test_the_device_is_named_and_its_own_synchronise_is_used(monkeypatch):
    seen = []
    monkeypatch.setattr(torch.cuda, "synchronize", seen.append)
    synchronise_function("cuda:1")()
    assert seen == [torch.device("cuda:1")]
    monkeypatch.setattr(torch.mps, "synchronize", lambda: seen.append("mps"))
    synchronise_function("mps")()
    assert seen[-1] == "mps"
    assert synchronise_function("cpu")() is None
    assert time_run(lambda: None, repeats=1, warmup=0).device == "cpu"


@pytest.mark.parametrize("field", ["steps", "repeats", "warmup"])
def test_counts_out_of_range_are_refused(field):
    with pytest.raises(ValueError, match=f"{field}=-1"):
        time_run(lambda: None, **{field: -1})


def test_a_real_clock_gives_positive_seconds():
    timing = time_run(lambda: sum(range(10_000)), step=lambda s: s + 1, repeats=3, warmup=1)
    assert 0 < timing.prefill_spread[0] <= timing.prefill <= timing.prefill_spread[1]
    assert timing.per_token > 0


def test_single_runs_pool_to_what_one_timing_of_all_of_them_says():
    costs = [3.0, 1.0, 2.0, 7.0, 5.0]
    singles = [Machine([cost]).time(repeats=1, warmup=0) for cost in costs]
    assert pool_timings(singles) == Machine(costs).time(repeats=5, warmup=0)


def test_medians_cannot_be_pooled_again():
    with pytest.raises(ValueError, match="one repeat each"):
        pool_timings([Machine([1.0, 2.0]).time(repeats=2, warmup=0)])
    with pytest.raises(ValueError, match="at least one"):
        pool_timings([])


def timing(prefill: float, fastest: float | None = None, slowest: float | None = None) -> Timing:
    spread = (prefill if fastest is None else fastest, prefill if slowest is None else slowest)
    return Timing(prefill, spread, math.nan, (math.nan, math.nan), 5, 1, "cpu")


@pytest.mark.parametrize(
    ("full", "pruned", "why"),
    [
        (timing(0.016), timing(0.008), ""),
        (timing(10.0), timing(2.0), ""),
        (timing(0.004), timing(0.009), ""),  # so short that a scheduler decides
        (timing(0.926, 0.016, 2.0), timing(0.008), "most runs"),
        (timing(1.059), timing(0.026), "farther apart than the work"),
        (timing(0.026), timing(1.059), "fewer tokens"),
    ],
)
def test_a_pair_of_times_that_cannot_both_be_right_is_doubted(full, pruned, why):
    said = find_doubt(full, pruned, ratio=5.4)
    assert why in said and bool(said) == bool(why)


@pytest.mark.parametrize(
    ("prefill", "seconds", "first", "wrong"),
    [
        (timing(0.016, 0.015, 0.018), 0.042, 0.032, ""),
        (timing(0.926), 0.040, 0.030, "prefill"),
        (timing(0.016), 0.950, 0.926, "answer"),
        (timing(0.016), math.nan, math.nan, ""),  # never began
    ],
)
def test_an_answer_and_its_prefill_that_contradict_each_other_are_told_apart(prefill, seconds, first, wrong):
    assert contradiction(prefill, seconds, first) == wrong


def test_what_is_doubtful_is_measured_again_after_a_rest_and_not_for_ever():
    found, slept = iter([5, 4, 3, 2, 1]), []

    def measure() -> int:
        return next(found)

    assert measure_until_sound(measure, lambda x: x > 4, (0.5, 1.5), slept.append) == 4 and slept == [0.5]
    slept.clear()
    assert measure_until_sound(measure, lambda x: True, (0.5, 1.5), slept.append) == 1 and slept == [
        0.5,
        1.5,
    ]


def test_a_measurement_that_takes_long_is_not_repeated_on_a_machine_that_is_busy():
    now = iter([0.0, 11.0])
    assert measure_until_sound(lambda: 1, lambda _: True, (0.5,), None, 10.0, lambda: next(now)) == 1
