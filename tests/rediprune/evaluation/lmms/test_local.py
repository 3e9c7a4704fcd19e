"""Check benchmarks from files, in the form that lmms-eval reads: local, intentqa, star, rendered world."""

import ast
import csv
import json
import re
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from rediprune.evaluation.lmms import local
from rediprune.evaluation.lmms.__main__ import main
from rediprune.evaluation.lmms.samples import Segment, load_sample_media
from world import make_clip, make_scene
from world.exports.lmms_task import FIRST_SEED
from world.exports.lmms_task import main as world_benchmark

OPTIONS = ["a red star", "a blue star", "no star at all"]


class Loader(yaml.SafeLoader):
    """Read `!function a.b.c` as lmms-eval does where there is no such file: by importing it."""


def _function(loader, node):
    module, _, name = loader.construct_scalar(node).rpartition(".")
    return getattr(import_module(module), name)


Loader.add_constructor("!function", _function)


def task(folder: Path, name: str) -> tuple[dict, list[dict]]:
    made = yaml.load((folder / f"{name}.yaml").read_text(), Loader)
    file = folder / made["dataset_kwargs"]["data_files"]["test"]
    return made, [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("B", 1),
        ("B.", 1),
        ("(B) a blue star", 1),
        ("B. a blue star", 1),
        ("a blue star.", 1),
        ("A blue star", 1),
        ("A dog", 0),
        ("C", 0),
        ("D", 0),
        ("", 0),
        ("Because it is blue", 0),
        ("I do not know", 0),
    ],
)
def test_an_answer_names_an_option_by_letter_or_by_its_words(answer, expected):
    doc = {"options": OPTIONS, "answer": "B"}
    assert local.score(doc, [answer]) == {"exact_match": float(expected)}


def test_an_open_answer_is_its_words_whatever_their_case():
    doc = {"options": [], "answer": "top left"}
    assert local.score(doc, [" Top left "])["exact_match"] == 1
    assert local.score(doc, ["left"])["exact_match"] == 0


def test_options_are_part_of_the_prompt():
    asked = local.text({"question": "What is it?", "options": OPTIONS})
    assert asked.splitlines() == [
        "What is it?",
        "A. a red star",
        "B. a blue star",
        "C. no star at all",
        local.INSTRUCTION,
    ]
    assert local.text({"question": "What is it?", "options": []}) == "What is it?"


def test_the_world_is_a_task_of_lossless_pictures(tmp_path, capsys):
    world_benchmark([str(tmp_path), "--scenes", "2", "--clips", "1"])
    assert "--tasks rediprune_world" in capsys.readouterr().out
    made, docs = task(tmp_path, "rediprune_world")
    scenes, clip = [make_scene(FIRST_SEED + i) for i in range(2)], make_clip(FIRST_SEED)
    asked = [q for one in (*scenes, clip) for q in one.questions]
    assert [(d["question"], d["answer"]) for d in docs] == [(q.text, q.answer) for q in asked]
    still, moving = (load_sample_media(made["doc_to_visual"](doc), 8) for doc in (docs[0], docs[-1]))
    assert still.frames[0].tobytes() == scenes[0].image.tobytes() and not still.clip
    assert [f.tobytes() for f in moving.frames] == [f.tobytes() for f in clip.images] and moving.clip
    assert made["process_results"](docs[0], [docs[0]["answer"]]) == {"exact_match": 1.0}
    assert made["doc_to_target"](docs[0]) == docs[0]["answer"]


def test_world_questions_are_held_out():
    from world.evaluation import evaluate
    from world.training import scene_store

    first = {evaluate.FIRST_SEED, evaluate.VALIDATION_SEED, scene_store.FIRST_TRAINING_SEED}
    assert max(evaluate.FIRST_SEED, evaluate.VALIDATION_SEED) + 50_000 < FIRST_SEED
    assert FIRST_SEED + 50_000 < scene_store.FIRST_TRAINING_SEED and FIRST_SEED not in first


def test_intentqa_from_the_files_of_its_authors(tmp_path, capsys):
    names = "video_id,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4,action,lemma,lemma_id"
    row = ["42", "853", "640", "360", "why does she wave ", "4", "1", "CW", "jump", "nod", "push", "play"]
    row += ["to say goodbye", "wave", "wave", "7"]
    with (tmp_path / "test.csv").open("w", newline="") as file:
        csv.writer(file).writerows([names.split(","), row])
    (tmp_path / "videos" / "1150").mkdir(parents=True)
    (tmp_path / "videos" / "1150" / "42.mp4").touch()
    where = [str(tmp_path / part) for part in ("test.csv", "videos", "out")]
    assert main(["intentqa", *where]) == 0
    made, (doc,) = task(tmp_path / "out", "intentqa")
    assert made["task"] == "intentqa" and doc["answer"] == "E" and doc["id"] == "42_1"
    assert made["doc_to_visual"](doc) == [str(tmp_path / "videos" / "1150" / "42.mp4")]
    assert made["doc_to_text"](doc).splitlines()[5] == "E. to say goodbye"
    (tmp_path / "videos" / "1150" / "42.mp4").unlink()
    assert main(["intentqa", *where]) == 2
    assert "lacks 1 of 1 videos, such as 42.mp4" in capsys.readouterr().err


def test_star_from_the_files_of_its_authors(tmp_path, capsys):
    choices = [{"choice_id": 1, "choice": "The closet."}, {"choice_id": 0, "choice": "The door."}]
    row = {"question_id": "Interaction_T1_13", "question": "Which object was opened?", "video_id": "6H78U"}
    row |= {"start": 11.1, "end": 19.6, "answer": "The closet.", "choices": choices, "situations": {}}
    (tmp_path / "STAR_val.json").write_text(json.dumps([row]))
    (tmp_path / "6H78U.mp4").touch()
    assert main(["star", str(tmp_path / "STAR_val.json"), str(tmp_path), str(tmp_path / "out")]) == 0
    made, (doc,) = task(tmp_path / "out", "star")
    assert (doc["options"], doc["answer"], doc["kind"]) == (["The door.", "The closet."], "B", "Interaction")
    assert made["doc_to_visual"](doc) == [Segment(str(tmp_path / "6H78U.mp4"), 11.1, 19.6)]
    del row["answer"]  # as in the test split
    (tmp_path / "STAR_val.json").write_text(json.dumps([row]))
    assert main(["star", str(tmp_path / "STAR_val.json"), str(tmp_path), str(tmp_path / "out")]) == 2
    assert "no split of STAR with answers" in capsys.readouterr().err


def test_a_task_without_documents_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no documents"):
        local.write_task(tmp_path, "x", [])
    with pytest.raises(ValueError, match="document 0 has the fields"):
        local.write_task(tmp_path, "x", [{"id": 1}])
    with pytest.raises(ValueError, match="q7 has more options than the letters ABCDE"):
        local.write_task(tmp_path, "x", [dict.fromkeys(local.FIELDS) | {"id": "q7", "options": [*"abcdef"]}])


def test_the_plug_in_ships_and_is_found():
    root = Path(__file__).parents[4]
    project = tomllib.loads((root / "pyproject.toml").read_text())
    (name, where), *_ = project["project"]["entry-points"]["lmms_eval.models"].items()
    module, function = where.split(":")
    assert name == "rediprune" and callable(getattr(import_module(module), function))
    listed = re.search(r'"rediprune\.evaluation\.lmms": (\[.*\])', (root / "setup.py").read_text())[1]
    globs = ast.literal_eval(listed)
    assert local.TEMPLATE in [file for glob in globs for file in local.TEMPLATE.parents[1].glob(glob)]


def test_the_requirements_name_the_release_that_the_documentation_names():
    root = Path(__file__).parents[4]
    pinned = re.search(r"lmms-eval==([\d.]+)", (root / "requirements-lmms.txt").read_text())[1]
    assert f"lmms-eval {pinned}" in (root / "docs" / "benchmarks.md").read_text()
