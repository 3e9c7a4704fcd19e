"""A file of a benchmark or of a run that is damaged, cut off or another one is refused in one sentence."""

import csv
import json
import re

import pytest

from rediprune.evaluation.lmms import intentqa, star
from rediprune.evaluation.lmms.__main__ import main
from rediprune.evaluation.lmms.local import find_videos
from rediprune.evaluation.lmms.results import RunError, read_run

QUESTION = {
    "question_id": "Interaction_T1_1",
    "question": "Which one?",
    "video_id": "V1",
    "start": 1.5,
    "end": 9.0,
    "choices": [{"choice_id": i, "choice": f"The {i}."} for i in range(4)],
    "answer": "The 2.",
}
COLUMNS = ["video_id", "question", "answer", "qid", "type", "a0", "a1", "a2", "a3", "a4"]
ROW = ["V1", "Which one?", "4", "1", "CW", "a", "b", "c", "d", "e"]


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    (folder / "V1.mp4").touch()
    return folder


def refusal(reader, content, videos, tmp_path, capsys) -> str:
    """Say what the reader and its command say of a file with this content."""
    file = tmp_path / "data"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=r".") as error:
        list(reader.documents(file, videos))
    name = reader.__name__.rpartition(".")[2]
    assert main([name, str(file), str(videos), str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert " ".join(str(error.value).split()) in said
    assert not (tmp_path / "out" / "test.jsonl").exists()
    return str(error.value)


def without(name):
    return {key: value for key, value in QUESTION.items() if key != name}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "cannot be read"),
        (json.dumps([QUESTION])[:-9], "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        ('[{"question_id": ' + "9" * 5000 + "}]", "whole number of 5,000 digits"),
        ("{}", "is no split of STAR"),
        ("[]", "is no split of STAR"),
        ("[3]", "is no split of STAR"),
        *[(json.dumps([without(name)]), "is no split of STAR") for name in QUESTION],
        *[(json.dumps([QUESTION | {name: None}]), "is no split of STAR") for name in QUESTION],
        (json.dumps([QUESTION | {"choices": [{"choice": 3}]}]), "is no split of STAR"),
        (json.dumps([QUESTION, QUESTION]), "holds the question Interaction_T1_1 2 times"),
        (json.dumps([QUESTION | {"video_id": "V2"}]), "lacks 1 of 1 videos, such as V2.mp4"),
        (json.dumps([QUESTION | {"end": 1.0}]), "ends at 1.0 s, before it begins at 1.5 s"),
        (json.dumps([QUESTION | {"answer": "Another."}]), "'Another.' is not in"),
    ],
)
def test_a_file_of_star_is_read_strictly(content, sentence, videos, tmp_path, capsys):
    assert sentence in refusal(star, content, videos, tmp_path, capsys)


def table(*rows):
    return "\n".join(",".join(row) for row in rows) + "\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is no split of IntentQA"),
        (table(COLUMNS), "is no split of IntentQA"),
        (table(COLUMNS[1:], ROW[1:]), "is no split of IntentQA"),
        (table(COLUMNS, ROW, ROW[:6]), "question 2 of .*data has too few or too many columns"),
        (table(COLUMNS, [*ROW, "more"]), "question 1 of .*data has too few or too many columns"),
        (table(COLUMNS, ROW, ROW), "holds the question V1_1 2 times"),
        (table(COLUMNS, ["V2", *ROW[1:]]), "lacks 1 of 1 videos, such as V2.mp4"),
        (table(COLUMNS, [*ROW[:2], "5", *ROW[3:]]), "its answer '5' is not 0..4"),
        (b"\xff\xfe\x00", "is no csv file, or damaged"),
        (table(COLUMNS, [*ROW[:9], '"never closed']), "is no csv file, or damaged"),
    ],
)
def test_a_file_of_intentqa_is_read_strictly(content, sentence, videos, tmp_path, capsys):

    assert re.search(sentence, refusal(intentqa, content, videos, tmp_path, capsys))


def test_whole_files_are_read(videos, tmp_path):
    (tmp_path / "star.json").write_text(json.dumps([QUESTION]))
    (one,) = star.documents(tmp_path / "star.json", videos)
    assert one["answer"] == "C"
    with (tmp_path / "split.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, ROW])
    (one,) = intentqa.documents(tmp_path / "split.csv", videos)
    assert one["answer"] == "E"


def test_two_videos_of_one_name_are_not_told_apart_by_chance(videos):
    (videos / "V1.mkv").touch()
    with pytest.raises(ValueError, match="holds two videos named V1"):
        find_videos(videos, ["V1"])


@pytest.fixture
def run(tmp_path):
    """The smallest whole run."""
    (tmp_path / "rediprune-abc.json").write_text(json.dumps({"complete": True}))
    answer = {"key": "k", "task": "t", "doc_id": 0, "media": "m"}
    (tmp_path / "rediprune-abc.rank0.jsonl").write_text(json.dumps(answer) + "\n")
    (tmp_path / "1_samples_t.jsonl").write_text(json.dumps({"doc_id": 0, "acc": 1.0}) + "\n")
    return tmp_path


def test_a_whole_run_is_read(run):
    assert read_run(run).scores("t") == {"acc": {0: 1.0}}


@pytest.mark.parametrize(
    ("file", "content", "sentence"),
    [
        ("rediprune-abc.json", "{", "cannot be read"),
        ("rediprune-abc.json", "[]", "cannot be read"),
        ("rediprune-abc.rank0.jsonl", '{"key": "k"}\n', "names no task, document or medium"),
        ("1_samples_t.jsonl", '{"doc_id": 0}\n{"doc_', "is cut off in its last line, 2"),
        ("1_samples_t.jsonl", '{"doc_id": 0}', "is cut off in its last line, 1"),
        ("1_samples_t.jsonl", '{"doc": 0}\n', "line 1 of .* is no sample with a doc_id"),
        ("1_samples_t.jsonl", "[3]\n", "line 1 of .* is no sample with a doc_id"),
        ("1_samples_t.jsonl", '{"doc_id": [0]}\n', "line 1 of .* is no sample with a doc_id"),
        ("1_samples_t.jsonl", '{"doc_id": 0}\nnonsense\n', "line 2 of .* is no sample with a doc_id"),
        ("1_samples_t.jsonl", '{"doc_id": 0}\n{"doc_id": 0}\n', "counts document 0 twice"),
    ],
)
def test_a_damaged_run_is_refused(run, file, content, sentence):
    (run / file).write_text(content)
    with pytest.raises(RunError, match=sentence):
        read_run(run)
    assert main(["compare", str(run), str(run)]) == 2
