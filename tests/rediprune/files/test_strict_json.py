"""Check that readers of JSON answer damaged or hostile files with one sentence, never a traceback."""

import json
import re
from pathlib import Path

import pytest

import rediprune
from rediprune.evaluation.bench import record, report
from rediprune.explainer.model_card import read_card
from rediprune.files.strict_json import JsonError, parse_json, read_object
from world.evaluation.results import read_evaluation, unpack_bits

ROOT = Path(rediprune.__file__).parents[1]
HOSTILE = {
    "nothing": "",
    "half": '{"format": 1, "parts": {',
    "NaN": '{"format": NaN}',
    "Infinity": '{"format": -Infinity}',
    "digits": '{"format": ' + "9" * 4000 + "}",
    "twice": '{"format": 1, "format": 1}',
    "deep": '{"a":' * 50_000,
    "list": "[1, 2]",
    "bytes": "\xff\xfe\x00",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_in_a_few_words(name, tmp_path):
    path = tmp_path / "given.json"
    path.write_text(HOSTILE[name], encoding="latin-1")
    with pytest.raises(JsonError) as error:
        read_object(path)
    assert str(error.value).startswith(("it ", "a part ")) and len(str(error.value)) < 80


def test_plain_values_come_as_they_are():
    values = {"a": [1, -2.5, None, True, "é"], "seed": 2**64 - 1, "b": {}}
    assert parse_json(json.dumps(values)) == values


def test_a_file_beyond_its_limit_is_not_read(tmp_path):
    (tmp_path / "a.json").write_text("{}" + " " * 100)
    assert read_object(tmp_path / "a.json") == {}
    with pytest.raises(JsonError, match="larger than"):
        read_object(tmp_path / "a.json", most_bytes=50)


def sentence(read, path, text):
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ValueError) as error:
        read(path)
    assert "\n" not in str(error.value) and str(path.name) in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize("name", HOSTILE)
def test_every_reader_says_so_in_one_sentence(name, tmp_path):
    sentence(record.load, tmp_path / "bench.json", HOSTILE[name])
    sentence(read_evaluation, tmp_path / "evaluation.json", HOSTILE[name])
    sentence(lambda path: read_card(path.parent), tmp_path / "rediprune.json", HOSTILE[name])


def bench():
    return json.loads((ROOT / "docs" / "bench.json").read_text(encoding="utf-8"))


def changed(change):
    found = bench()
    run = found["parts"]["selection"]
    change(found, run, run["measured"][0], run["estimated"][0])
    return json.dumps(found)


@pytest.mark.parametrize(
    "change",
    [
        lambda found, run, figure, estimate: found.pop("parts"),
        lambda found, run, figure, estimate: found.update(parts=[1]),
        lambda found, run, figure, estimate: run.pop("machine"),
        lambda found, run, figure, estimate: run.update(machine={"cpu": 1}),
        lambda found, run, figure, estimate: run.update(measured={"a": 1}),
        lambda found, run, figure, estimate: run.update(unheard=1),
        lambda found, run, figure, estimate: run.update(seconds="x"),
        lambda found, run, figure, estimate: figure.update(median="1"),
        lambda found, run, figure, estimate: figure.update(median=-1),
        lambda found, run, figure, estimate: figure.update(low=None),
        lambda found, run, figure, estimate: figure.update(unit="miles"),
        lambda found, run, figure, estimate: figure.update(case=[]),
        lambda found, run, figure, estimate: figure.pop("high"),
        lambda found, run, figure, estimate: estimate.update(value=True),
    ],
)
def test_a_record_of_the_bench_that_does_not_fit_is_one_sentence(change, tmp_path):
    sentence(record.load, tmp_path / "bench.json", changed(change))


def test_the_record_in_the_repository_is_read(tmp_path):
    assert set(record.load(ROOT / "docs" / "bench.json")) == set(bench()["parts"])


def test_tables_of_a_record_full_of_zeros_are_refused_in_one_sentence(tmp_path):
    found = bench()
    for run in found["parts"].values():
        for figure in run["measured"]:
            figure.update(median=0, low=0, high=0)
    (tmp_path / "bench.json").write_text(json.dumps(found))
    page = tmp_path / "speed.md"
    page.write_bytes((ROOT / "docs" / "speed.md").read_bytes())
    with pytest.raises(SystemExit) as ended:
        report.main(
            ["--record", str(tmp_path / "bench.json"), "--page", str(page), "--figures", str(tmp_path / "f")]
        )
    assert re.search("run the bench again", str(ended.value.code))
    assert page.read_bytes() == (ROOT / "docs" / "speed.md").read_bytes()


def test_too_few_digits_are_not_filled_with_wrong_answers():
    assert unpack_bits("ff", 8).all()
    with pytest.raises(ValueError, match="measure again"):
        unpack_bits("ff", 9)
