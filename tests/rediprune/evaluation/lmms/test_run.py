"""Run lmms-eval itself on the embedded model and a task over the rendered world, as `make lmms` does.

Every run is a process of its own, started as a user starts it. The figures go to docs/lmms-proof.md.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from world.evaluation.intervals import wilson_interval

pytestmark = pytest.mark.lmms

ROOT = Path(__file__).resolve().parents[4]
SCENES, CLIPS_PLAN = 16, 3
BOTH = "rediprune_world,world_yes_no"
KEEP = 0.15
PROOF = ROOT / "docs" / "lmms-proof.md"


@dataclass(frozen=True)
class Done:
    """Hold a run that came to its end."""

    folder: Path
    description: dict
    answers: dict[tuple, list[dict]]
    samples: dict[str, dict[int, dict]]
    scores: dict

    @property
    def count_questions(self) -> int:
        return len(self.samples["rediprune_world"])

    def lines(self, task: str = "rediprune_world") -> list[dict]:
        """Return the answers of a task, in which every question has exactly one."""
        assert all(len(each) == 1 for each in self.answers.values())
        return [each[0] for (of, *_), each in self.answers.items() if of == task]


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    from world.exports.lmms_task import NAME, generate_documents, write_task

    folder = tmp_path_factory.mktemp("world")
    docs = list(generate_documents(folder, SCENES, CLIPS_PLAN))
    write_task(folder, NAME, docs)
    # The same questions, as far as they are of yes and no, by likelihood.
    yes_no = folder / "yes-no"
    path = write_task(yes_no, "world_yes_no", [doc for doc in docs if doc["answer"] in ("yes", "no")])
    text = path.read_text().replace("generate_until", "multiple_choice")
    text = re.sub("(?ms)^(process_results:.*?$|generation_kwargs:.*?(?=^metric))", "", text)
    path.write_text(text.replace("exact_match", "acc") + "doc_to_choice: ['yes', 'no']\n")
    return folder


def command(world: Path, record: Path, task: str, processes: int = 1, **args: object) -> list[str]:
    # Not --cpu: with it, accelerate 1.15 starts one process whatever --num_processes says.
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes)]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"]
    launch += ["--main_process_port", "0"]
    dials = ",".join(f"{k}={v}" for k, v in {"record": record, "device": "cpu", **args}.items())
    return [
        sys.executable,
        *(launch if processes > 1 else []),
        *("-m", "lmms_eval", "--model", "rediprune", "--model_args", dials, "--include_path", str(world)),
        *("--tasks", task, "--log_samples", "--output_path", str(record)),
    ]


def environment(tmp: Path) -> dict[str, str]:
    offline = {"HF_HOME": str(tmp / "hf"), "HF_HUB_OFFLINE": "1"}
    return os.environ | offline | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}


def run(world: Path, record: Path, processes: int = 1, flags: tuple[str, ...] = (), **args) -> Done:
    line = [*command(world, record, BOTH, processes, **args), *flags]
    made = subprocess.run(line, cwd=ROOT, env=environment(world), capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-4000:]
    return done(record)


def done(record: Path) -> Done:
    (description,) = record.glob("rediprune-*.json")
    answers: dict[tuple, list[dict]] = {}
    for file in sorted(record.glob("*.rank*.jsonl")):
        for line in file.read_text().splitlines():
            made = json.loads(line)
            answers.setdefault((made["task"], made["doc_id"], made.get("continuation")), []).append(made)
    samples: dict[str, dict[int, dict]] = {}
    for task in BOTH.split(","):
        written = [json.loads(line) for line in max(record.rglob(f"*_samples_{task}.jsonl")).open()]
        samples[task] = {sample["doc_id"]: sample for sample in written}
        assert len(samples[task]) == len(written)
    scores = json.loads(max(record.rglob("*_results.json")).read_text())["results"]
    return Done(record, json.loads(description.read_text()), answers, samples, scores)


@pytest.fixture(scope="session")
def single(world, tmp_path_factory) -> Done:
    return run(world, tmp_path_factory.mktemp("single"), keep_ratio=KEEP)


@pytest.fixture(scope="session")
def proof(single):
    """Collect rows of measured figures; they are written down once every test of this file has passed."""
    measured: dict[str, str] = {}
    yield measured
    if len(measured) == 7:
        rows = "\n".join(f"| {what} | {found} |" for what, found in measured.items())
        with_what = ", ".join(f"{name} {version}" for name, version in single.description["versions"].items())
        PROOF.write_text(
            "# The plug-in for lmms-eval, measured\n\n"
            "Written by `make lmms` (tests/rediprune/evaluation/lmms/test_run.py), on CPU, with the embedded "
            f"model and {SCENES} held-out scenes and {CLIPS_PLAN} clips.\n\n{with_what}; weights SHA-256 "
            f"{single.description['weights_sha256'][:16]}...\n\n| what | measured |\n|---|---|\n{rows}\n"
        )


def same(one: Done, other: Done) -> bool:
    """Compare every answer and score; standard errors up to rounding, which the samples' order changes."""
    scores = [
        {f"{task} {name}": value for task, of in run.scores.items() for name, value in of.items()}
        for run in (one, other)
    ]
    return one.samples == other.samples and all(
        scores[1][name] == (pytest.approx(value, rel=1e-9) if "stderr" in name and value != "N/A" else value)
        for name, value in scores[0].items()
    )


def shown(value: float) -> str:
    return f"{100 * value:.1f}%"


def share(value: float, n: int) -> str:
    """Format a share with its 95% Wilson interval."""
    low, high = wilson_interval(value * n, n)
    return f"{shown(value)} [{100 * low:.1f}, {100 * high:.1f}]"


def compared(before: Done, after: Done, out: Path) -> tuple[list[dict], str]:
    """Run `compare` on two runs; return its differences, and the first of them as a line."""
    line = [
        sys.executable,
        "-m",
        "rediprune.evaluation.lmms",
        "compare",
        str(before.folder),
        str(after.folder),
    ]
    subprocess.run([*line, "--json", str(out)], cwd=ROOT, check=True)
    differences = json.loads(out.read_text())["differences"]
    found = differences[0]
    low, high = found["interval"]
    return differences, (
        f"n = {found['n']} about {found['groups']} pictures: {shown(found['mean_a'])} -> "
        f"{shown(found['mean_b'])}, {100 * found['mean']:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
    )


def test_every_sample_is_answered_once_and_really_pruned(single, proof):
    lines = single.lines()
    assert len(lines) == single.n and all(0 < line["n_kept"] < line["n_visual"] for line in lines)
    seen = single.description["observed"]["rediprune_world"]
    assert seen["samples"] == single.n and abs(seen["share"] - KEEP) < 0.01
    assert single.description["complete"] and single.description["config"]["keep_ratio"] == KEEP
    assert re.fullmatch("[0-9a-f]{64}", single.description["weights_sha256"])
    assert {"lmms_eval", "transformers", "torch"} <= single.description["versions"].keys()
    score = single.scores["rediprune_world"]["exact_match,none"]
    kept = f"{seen['kept']:,} of {seen['visual_tokens']:,} visual tokens read ({shown(seen['share'])})"
    proof["one process"] = f"n = {single.n}, exact match {share(score, single.n)}, {kept}"


def test_the_answers_are_those_of_our_own_explainer(single, proof):
    from rediprune import Explainer
    from rediprune.evaluation.lmms.local import score
    from world import make_clip, make_scene
    from world.exports.lmms_task import FIRST_SEED

    explainer = Explainer.from_pretrained()
    config = replace(explainer.defaults, keep_ratio=KEEP)
    scenes, clips = (
        [make(FIRST_SEED + i) for i in range(n)]
        for make, n in ((make_scene, SCENES), (make_clip, CLIPS_PLAN))
    )
    asked = [(s.image, s.questions) for s in scenes] + [(c.images, c.questions) for c in clips]
    expected, right = [], []
    for media, questions in asked:  # as they were drawn, not as the files hold them
        look = explainer.look(media)
        for question in questions:
            put = explainer.ask(look, question.text, config)
            kept = explainer.select(look, put, config).kept()
            made = explainer.answer(look, put, kept, max_new_tokens=16)
            expected.append((made.text, len(kept)))
            right.append(score({"options": [], "answer": question.answer}, [made.text])["exact_match"])
    lines = sorted(single.lines(), key=lambda line: line["doc_id"])
    assert [(line["answer"], line["n_kept"]) for line in lines] == expected
    assert single.scores["rediprune_world"]["exact_match,none"] == pytest.approx(sum(right) / len(right))
    proof["against Explainer"] = f"n = {len(expected)}, every answer and every kept count equal"


def test_a_choice_by_likelihood_is_the_likelier_answer(single, proof):
    losses: dict[int, dict[str, float]] = {}
    for line in single.lines("world_yes_no"):
        losses.setdefault(line["doc_id"], {})[line["continuation"].strip()] = line["loss"]
    samples = single.samples["world_yes_no"]
    chosen = {doc: min(of, key=of.get) for doc, of in losses.items()}
    assert {doc: sample["acc"] for doc, sample in samples.items()} == {
        doc: float(chosen[doc] == sample["target"]) for doc, sample in samples.items()
    }
    right = sum(sample["acc"] for sample in samples.values()) / len(samples)
    assert single.scores["world_yes_no"]["acc,none"] == pytest.approx(right)
    proof["choice by likelihood"] = (
        f"n = {len(samples)}, accuracy {share(right, len(samples))}, two losses a sample"
    )


def test_two_processes_give_what_one_gives(world, single, tmp_path, proof):
    two = run(world, tmp_path / "two", processes=2, keep_ratio=KEEP)
    assert same(two, single)
    # What pads the second process is not on record.
    assert {line["rank"] for line in two.lines()} == {0, 1} and len(two.lines()) == two.n
    proof["two processes"] = f"n = {two.n}, every answer and score equal to one process"


def test_a_killed_run_goes_on_without_losing_or_repeating_anything(world, single, tmp_path, proof):
    record = tmp_path / "killed"
    line = command(world, record, BOTH, keep_ratio=KEEP)
    running = subprocess.Popen(
        line, cwd=ROOT, env=environment(world), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    seen = ""
    while not (found := re.findall(r"rediprune:[^\r]*?(\d+)/", seen)) or int(found[-1]) < 12:
        part = running.stderr.read(80)
        assert part, f"it ended before it was killed: {seen[-2000:]}"
        seen += part
    os.killpg(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    (file,) = record.glob("*.rank0.jsonl")
    before = file.read_bytes()
    first = before[: before.rfind(b"\n") + 1].splitlines()
    assert 12 <= len(first) < single.n
    file.write_bytes(before + first[0][:40])  # as a kill in the middle of a write leaves it
    resumed = run(world, record, processes=2, keep_ratio=KEEP)
    assert file.read_bytes().splitlines()[: len(first)] == first  # not asked again
    assert len(resumed.lines()) == single.n
    assert same(resumed, single)
    proof["killed, resumed by two processes"] = (
        f"killed after {len(first)} of {single.n} answers, half a line behind them: no sample lost or asked "
        "twice, every answer and score equal"
    )


def test_two_runs_are_compared_sample_by_sample(world, single, tmp_path, proof):
    whole = run(world, tmp_path / "whole", flags=("--batch_size", "4"), keep_ratio=1)
    assert 4 in {line["batch"] for line in whole.lines()}
    assert all(line["n_kept"] == line["n_visual"] for line in whole.lines())
    (found, by_choice), line = compared(whole, single, tmp_path / "difference.json")
    assert (found["task"], by_choice["task"], by_choice["metric"]) == (*BOTH.split(","), "acc")
    before, after = (one.samples["rediprune_world"] for one in (whole, single))
    gain = [after[doc]["exact_match"] - before[doc]["exact_match"] for doc in before]
    assert found["mean"] == pytest.approx(sum(gain) / len(gain)) and found["n"] == len(gain)
    low, high = found["interval"]
    assert low <= found["mean"] <= high and found["groups"] == SCENES + CLIPS_PLAN
    proof["unpruned -> 15% kept"] = line


def test_random_tokens_are_the_baseline(world, single, tmp_path, proof):
    random = run(world, tmp_path / "random", keep_ratio=KEEP, method="random")
    assert random.description["config"]["method"] == "random"
    counts = [{line["doc_id"]: line["n_kept"] for line in one.lines()} for one in (random, single)]
    assert counts[0] == counts[1]
    _, line = compared(random, single, tmp_path / "difference.json")
    proof["15% at random -> 15% kept"] = line


def test_a_run_that_prunes_nothing_says_so(world, tmp_path):
    line = command(world, tmp_path / "everything", "rediprune_world", keep_ratio=0.999)
    made = subprocess.run(line, cwd=ROOT, env=environment(world), capture_output=True, text=True)
    assert made.returncode == 0
    assert re.search(r"keep_ratio=0\.999 keeps all \d+ visual tokens, so nothing was pruned", made.stderr)
    assert list(tmp_path.rglob("*_results.json"))


def test_what_model_args_cannot_mean_ends_the_process():
    from lmms_eval.models import get_model

    with pytest.raises(SystemExit, match=r"keep_ration=0\.2, which rediprune does not know: did you mean"):
        get_model("rediprune").create_from_arg_string("keep_ration=0.2", {"batch_size": 1})


def test_lmms_eval_has_every_task_that_the_documentation_names_and_all_it_asks_for_is_honoured():
    from lmms_eval.tasks import TaskManager
    from lmms_eval.utils import load_yaml_config

    from rediprune.evaluation.lmms import decoding

    page = (ROOT / "docs" / "benchmarks.md").read_text()
    table = page[page.index("## All tasks") : page.index("Of every task named here")]
    rows = [line.split("|")[2] for line in table.splitlines() if line.startswith("|") and "ours" not in line]
    named = [name for row in rows for name in re.findall("`([^`]+)`", row)]
    index = TaskManager("ERROR").task_index
    assert len(named) > 30 and [name for name in named if name not in index] == []
    for name in named:
        asked = load_yaml_config(index[name]["yaml_path"], mode="simple")
        decoding.read_decoding(asked.get("generation_kwargs") or {}, name)
        assert asked["output_type"] in ("generate_until", "multiple_choice")
    ours = load_yaml_config(str(ROOT / "rediprune/evaluation/lmms/tasks/local.yaml"), mode="full")
    assert callable(ours["process_results"]) and callable(ours["doc_to_visual"])
