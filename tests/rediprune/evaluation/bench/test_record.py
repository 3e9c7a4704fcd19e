"""Check the bench's records: written and read back, timed in turns, formatted for readers."""

import platform
import time
from dataclasses import asdict

import pytest

from rediprune.evaluation.bench import record
from rediprune.evaluation.bench.machine import Machine
from rediprune.evaluation.bench.record import BenchRun, Estimate, Figure


def figure(what="greedy", **case) -> Figure:
    return Figure(what, case or {"T": 1, "N": 576}, "s", 0.0123, 0.01, 0.02, "cpu", "float32", 1, 3)


def run(**changes) -> BenchRun:
    estimated = [Estimate("prefill", {"K": 86}, "FLOP", 1.77e12, "savings")]
    return BenchRun(
        Machine.here(), "cpu", **({"quick": True, "measured": [figure()], "estimated": estimated} | changes)
    )


def test_what_is_saved_is_loaded_again_and_a_part_is_replaced_alone(tmp_path):
    path, first, second = tmp_path / "bench.json", run(), run(seconds=4.5, measured=[figure(N=144)])
    record.save({"selection": first, "models": first}, path)
    assert record.load(path) == {"selection": first, "models": first}
    record.save(record.load(path) | {"models": second}, path)
    assert record.load(path) == {"selection": first, "models": second}


def test_where_there_is_no_file_there_are_no_runs_and_another_file_is_refused(tmp_path):
    assert record.load(tmp_path / "none.json") == {}
    for content in ('{"format": 99}', "[]", "not JSON"):
        (tmp_path / "other.json").write_text(content)
        with pytest.raises(ValueError, match="no record of the bench in format 1"):
            record.load(tmp_path / "other.json")


def test_calls_that_are_compared_take_turns_and_their_warm_up_does_not_count():
    made = []

    def call(name, slow_rounds):
        def work():
            made.append(name)
            time.sleep(0.05 if made.count(name) <= slow_rounds else 0.001)

        return work

    a, b = record.time_calls({"a": call("a", 1), "b": call("b", 0)}, {"N": 3}, warmup=1, repeats=3)
    assert made == ["a", "b"] * 4
    assert (a.what, b.what, a.case, a.unit, a.repeats, a.warmup) == ("a", "b", {"N": 3}, "s", 3, 1)
    assert 0.001 <= a.low <= a.median <= a.high < 0.05


def test_a_figure_is_found_by_as_much_of_its_case_as_names_it_alone():
    mine = run(measured=[figure(N=144, T=8), figure(N=144, T=32), figure("loop", N=144, T=8)])
    assert mine.figure("greedy", T=32) is mine.measured[1]
    assert mine.estimate("prefill").value == 1.77e12
    for case in ({"N": 144}, {"T": 9}):
        with pytest.raises(KeyError, match="expected one"):
            mine.figure("greedy", **case)


@pytest.mark.parametrize(
    ("value", "unit", "says"),
    [
        (0.0123456, "s", "12.3 ms"), (1.0, "s", "1.00 s"), (123.4, "s", "123 s"), (4e-7, "s", "0.400 µs"),
        (313 * 2**20, "bytes", "313 MiB"), (1536, "bytes", "1.50 KiB"), (0, "bytes", "0 bytes"),
        (8.3137e12, "FLOP", "8.31 TFLOP"), (5.129, "x", "5.13x"), (43_210, "s", "43,200 s"),
    ],
)  # fmt: skip
def test_numbers_for_readers_have_three_digits_and_a_prefix(value, unit, says):
    assert record.format_number(value, unit) == says


def test_a_machine_says_what_it_is_and_not_whose():
    here = Machine.here()
    assert here.cpu and here.cores >= 1 and here.threads >= 1 and here.gpu is None
    assert here.torch and here.transformers in str(here)
    assert platform.node() not in asdict(here).values()
