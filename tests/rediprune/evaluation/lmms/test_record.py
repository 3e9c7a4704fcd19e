"""Check lmms.record and lmms.provenance: nothing is lost or kept twice, and it says what made it."""

import hashlib
import json
from pathlib import Path

import pytest

from rediprune.evaluation.lmms.provenance import versions, weights_sha256
from rediprune.evaluation.lmms.record import (
    Record,
    RecordError,
    count_visual_tokens,
    hash_description,
    read_lines,
)

RUN = {"model": "tiny", "config": {"keep_ratio": 0.15}}


def line(key: str, **more) -> dict:
    return {"key": key, "task": "t", "doc_id": 1, "n_visual": 100, "n_kept": 15} | more


def test_answers_are_there_again_whoever_wrote_them(tmp_path):
    for rank in range(2):
        record = Record(tmp_path, RUN, rank)
        record.add([line(f"a{rank}"), line(f"b{rank}", answer="grün\n")])
        record.close()
    again = Record(tmp_path, RUN, 0)
    assert again.found == 4 and again.answers["b1"]["answer"] == "grün\n"
    assert again.answers.keys() == {"a0", "b0", "a1", "b1"}
    again.close()


def test_another_run_in_the_same_folder_has_other_answers(tmp_path):
    first = Record(tmp_path, RUN)
    first.add([line("a")])
    other = Record(tmp_path, RUN | {"config": {"keep_ratio": 0.2}})
    assert other.name != first.name and other.found == 0
    assert hash_description(RUN) == hash_description(dict(reversed(RUN.items())))


@pytest.mark.parametrize("torn", [b'{"key": "b"', b'{"key": "b", "answer": "\xc3', b"\x00"])
def test_half_a_line_is_dropped_and_written_over(tmp_path, torn):
    record = Record(tmp_path, RUN)
    record.add([line("a")])
    record.close()
    (file,) = tmp_path.glob("*.jsonl")
    whole = file.read_bytes()
    file.write_bytes(whole + torn)
    again = Record(tmp_path, RUN)
    assert again.answers.keys() == {"a"} and file.read_bytes() == whole
    again.add([line("b")])
    again.close()
    assert [made["key"] for made in read_lines(file)] == ["a", "b"]


def test_half_a_line_of_another_process_is_left_to_it(tmp_path):
    other = Record(tmp_path, RUN, 1)
    other.add([line("a")])
    file = tmp_path / f"rediprune-{other.name}.rank1.jsonl"
    before = file.read_bytes() + b'{"key":'
    file.write_bytes(before)
    assert Record(tmp_path, RUN, 0).answers.keys() == {"a"}
    assert file.read_bytes() == before


def test_a_broken_line_in_the_middle_is_said(tmp_path):
    record = Record(tmp_path, RUN)
    record.add([line("a")])
    record.close()
    (file,) = tmp_path.glob("*.jsonl")
    file.write_bytes(b"[]\n" + file.read_bytes())
    with pytest.raises(RecordError, match=r"line 1 of .*rank0\.jsonl is no answer"):
        Record(tmp_path, RUN)


def test_a_file_that_is_being_written_is_not_opened_a_second_time(tmp_path):
    held = Record(tmp_path, RUN)
    with pytest.raises(RecordError, match="is being written by another process"):
        Record(tmp_path, RUN)  # the lock belongs to the opened file, so it holds within a process too
    held.close()
    Record(tmp_path, RUN).close()


def test_an_answer_is_on_the_disk_when_add_returns(tmp_path):
    record = Record(tmp_path, RUN)
    record.add([line("a")])
    assert record.read_answers().keys() == {"a"}  # read from the file, which is still open
    record.close()


def test_the_description_says_what_was_observed(tmp_path):
    answers = [line("a"), line("b", n_visual=200, n_kept=20), line("c", task="u", n_kept=100)]
    record = Record(tmp_path, RUN)
    path = record.describe(complete=True, observed=count_visual_tokens(answers))
    description = json.loads(path.read_text())
    assert description["config"] == RUN["config"] and description["run"] == record.name
    assert description["observed"] == {
        "t": {"samples": 2, "visual_tokens": 300, "kept": 35, "share": 35 / 300, "share_range": [0.1, 0.15]},
        "u": {"samples": 1, "visual_tokens": 100, "kept": 100, "share": 1.0, "share_range": [1.0, 1.0]},
    }
    assert [file.suffix for file in tmp_path.iterdir() if file.suffix == ".part"] == []
    record.close()


def test_weights_are_named_by_their_content(tmp_path):
    def folder(name: str, content: bytes) -> Path:
        made = tmp_path / name
        made.mkdir()
        (made / "model.safetensors").write_bytes(content)
        return made

    names = [weights_sha256(folder(*one)) for one in (("a", b"x"), ("b", b"x"), ("c", b"y"))]
    assert names[0] == names[1] != names[2]
    # As the Hub's cache keeps them: a link to a file that is called by its SHA-256.
    blob = tmp_path / hashlib.sha256(b"x").hexdigest()
    blob.write_bytes(b"x")
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "model.safetensors").symlink_to(blob)
    assert weights_sha256(linked) == names[0]


def test_versions_name_what_answers_depend_on():
    assert {"python", "torch", "transformers"} <= versions().keys()
