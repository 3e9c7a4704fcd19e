"""The command line: a whole run on a tiny model; one sentence and exit code 2 for everything senseless."""

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from rediprune import load_video
from rediprune.__main__ import main
from tests.support import tiny
from tests.support.footage import write, write_sound

ROOT = Path(__file__).resolve().parents[3]
QUESTION = "what color is the star"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(tiny.save(tmp_path_factory.mktemp("model")))


@pytest.fixture
def image(tmp_path):
    tiny.image(size=(120, 90)).save(tmp_path / "scene.png")
    return str(tmp_path / "scene.png")


def answer(tmp_path, image, model, *more):
    quick = ["--max-new-tokens", "4", "--repeats", "1"]
    return main(
        ["answer", image, QUESTION, "--model", model, "--out", str(tmp_path / "o.png"), *quick, *more]
    )


def test_answer_prints_both_answers_and_writes_picture_and_record(tmp_path, image, model, capsys):
    code = answer(tmp_path, image, model, "--keep-ratio", "0.25", "--json", str(tmp_path / "run.json"))
    out = capsys.readouterr().out
    run = json.loads((tmp_path / "run.json").read_text())
    assert code == 0
    assert "Kept 9 of 36 tokens: method rediprune, alpha 0.5 (weight 0.33), query prompt-tail\n" in out
    for name in ("full", "pruned"):
        assert run["answers"][name]["text"]
        assert run["answers"][name]["text"] in out
    estimated, measured = out.index("Estimated from"), out.index("Measured on cpu, median of 1")
    ratio = run["estimated"]["end_to_end"]
    for name, part in (("prefill", "prefill"), ("per token", "per_token")):
        timed = [run["measured"][which]["medians"] for which in ("full", "pruned")]
        shown = [(t[part], *t[f"{part}_spread"]) for t in timed]
        texts = [f"{mid * 1e3:.1f} ms ({low * 1e3:.1f}..{high * 1e3:.1f})" for mid, low, high in shown]
        assert f"  {name:<11} {texts[0]} -> {texts[1]}\n" in out
    assert estimated < out.index(f"{ratio:.2f}x") < measured < out.index("Agreement")
    with Image.open(tmp_path / "o.png") as picture:
        assert min(picture.size) > 100
    assert len(run["kept"]) == 9
    assert sorted(run["selection"]["order"][0][:9]) == run["kept"]
    assert run["selection"]["distance"][0][0] is None  # the first pick has no distance: NaN is not JSON
    assert run["measured"]["pruned"]["medians"]["prefill"] > 0
    assert run["frames"][0]["image_size"] == [120, 90]


def test_the_settings_reach_the_run(tmp_path, image, model, capsys):
    record = tmp_path / "run.json"
    more = ("--weight", "1", "--method", "relevance", "--seed", "3", "--tau", "0.5", "--json", str(record))
    assert answer(tmp_path, image, model, *more) == 0
    config = json.loads(record.read_text())["config"]
    assert (config["alpha"], config["weight"], config["seed"], config["tau"]) == ("inf", 1, 3, 0.5)
    assert "Kept 5 of 36 tokens: method relevance, query prompt-tail\n" in capsys.readouterr().out


def test_a_ratio_that_keeps_everything_by_rounding_is_said(tmp_path, image, model, capsys):
    said = "Note: keep_ratio=0.999 keeps all 36 visual tokens, so nothing was pruned"
    assert answer(tmp_path, image, model, "--keep-ratio", "0.999", "--repeats", "0") == 0
    assert said in capsys.readouterr().out
    more = ["--model", model, "--methods", "grid", "--ratios", "0.999", "--seeds", "1"]
    assert main(["sweep", image, QUESTION, *more, "--max-new-tokens", "2"]) == 0
    assert said in capsys.readouterr().out


def test_a_sweep_prints_its_points_and_writes_them_as_csv(tmp_path, image, model, capsys):
    settings = ["--methods", "divprune,grid", "--ratios", "0.25,1", "--seeds", "2", "--max-new-tokens", "3"]
    more = ["--model", model, "--csv", str(tmp_path / "out.csv")]
    assert main(["sweep", image, QUESTION, *settings, *more]) == 0
    out, rows = capsys.readouterr().out, list(csv.DictReader((tmp_path / "out.csv").open(newline="")))
    assert [(row["method"], row["kept"]) for row in rows] == [
        (method, kept) for kept in ("9", "36") for method in ("divprune", "grid", "random")
    ]
    assert [row["runs"] for row in rows[:3]] == ["1", "1", "2"]
    for row in rows:
        assert f"{float(row['probability']):.3f}" in out and f"{float(row['estimated_prefill']):.2f}x" in out
    assert "Smallest ratio from which on" in out and f"Wrote {tmp_path / 'out.csv'}\n" in out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--methods", "grid,magic"], "method='magic' is unknown"),
        (["--ratios", "0.1,2"], "keep_ratio=2.0 is out of range"),
        (["--ratios", "a,b"], "--ratios=a,b must be numbers with commas between them"),
        (["--weights", "0,-1"], "weight=-1.0"),
        (["--seeds", "0"], "--seeds=0 is out of range"),
        (["--csv", "/no/such/folder/out.csv"], "there is no folder /no/such/folder"),
        (["--csv", "/tmp"], "/tmp is a folder: name a file in it"),
        (["--weights", "0,1", "--methods", "grid"], "are of rediprune: name it in --methods"),
        (["--methods", ""], "method='' is unknown"),
        (["--frames", "0"], "--frames=0 is out of range"),
        (["--query", "text-tower"], "use the prompt-tail query"),
    ],
)
def test_a_senseless_sweep_is_one_sentence_and_exit_code_2(image, model, capsys, more, says):
    assert main(["sweep", image, QUESTION, "--model", model, *more]) == 2
    assert_one_sentence(capsys.readouterr(), says)


@pytest.fixture
def video(tmp_path):
    return str(write(tmp_path / "clip.mp4", n=40, images=[tiny.image(t // 5, (120, 80)) for t in range(40)]))


def test_a_clip_is_answered_with_a_film_strip_and_written_as_a_clip(tmp_path, video, model, capsys):
    more = ["--frames", "4", "--budget", "shared", "--positions", "original", "--keep-ratio", "0.25"]
    files = ["--clip", str(tmp_path / "film.mp4"), "--json", str(tmp_path / "run.json")]
    assert answer(tmp_path, video, model, *more, *files) == 0
    run, out = json.loads((tmp_path / "run.json").read_text()), capsys.readouterr().out
    counts = [sum(i // tiny.N == t for i in run["kept"]) for t in range(4)]
    assert sum(counts) == len(run["kept"]) == tiny.N
    assert (
        f"Kept 36 of 144 tokens ({' + '.join(map(str, counts))}): method rediprune, alpha 0.5 (weight 0.33), "
        "query prompt-tail, budget shared by all frames, original positions\n"
    ) in out
    assert run["seconds"] == [0, 1.3, 2.6, 3.9] and run["config"]["positions"] == "original"
    film = load_video(tmp_path / "film.mp4", 4)
    assert len(film.frames) == 4 and film.frames[0].size == (
        640,
        428,
    )  # 427, and one more: H.264 wants even sides
    assert film.seconds == pytest.approx([0, 0.5, 1, 1.5])  # at least 2 a second
    assert f"Wrote {tmp_path / 'film.mp4'}\n" in out


def test_a_frame_of_an_animation_counts_as_much_as_one_of_a_video(tmp_path, model):
    frames = [tiny.image(t) for t in range(3)]
    frames[0].save(tmp_path / "dance.gif", save_all=True, append_images=frames[1:], duration=250)
    assert answer(tmp_path, str(tmp_path / "dance.gif"), model, "--clip", str(tmp_path / "film.gif")) == 0
    film = load_video(tmp_path / "film.gif", 8)
    assert film.seconds == pytest.approx([0, 0.25, 0.5]) and film.frames[0].size == (640, 640)


def test_the_picking_is_written_as_a_film_or_as_a_sheet(tmp_path, image, model, capsys):
    for name in ("picking.gif", "picking.png"):
        assert answer(tmp_path, image, model, "--repeats", "0", "--picking", str(tmp_path / name)) == 0
        assert f"Wrote {tmp_path / name}\n" in capsys.readouterr().out
    assert load_video(tmp_path / "picking.gif", 4).duration == pytest.approx(7.5)
    with Image.open(tmp_path / "picking.png") as sheet:
        assert sheet.width == 3 * (480 + 32)  # five moments: 1, 2, 3, 4 and 5 of 5 picks


def test_nothing_is_timed_when_no_run_is_asked_for(tmp_path, image, model, capsys):
    assert answer(tmp_path, image, model, "--repeats", "0") == 0
    assert "Measured on" not in capsys.readouterr().out


def test_what_a_picture_lost_is_noted(tmp_path, model, capsys):
    path = tmp_path / "clear.png"
    Image.new("RGBA", (90, 90), (255, 0, 0, 0)).save(path)
    assert answer(tmp_path, str(path), model) == 0
    assert "Note: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--keep-ratio", "0"], "keep_ratio=0.0 is out of range"),
        (["--keep-ratio", "nan"], "keep_ratio=nan"),
        (["--keep-ratio", "lots"], "invalid float value"),
        (["--weight", "2"], "weight=2.0"),
        (["--alpha", "-1"], "alpha=-1.0"),
        (["--alpha", "1", "--weight", "1"], "not allowed with"),
        (["--method", "magic"], "invalid choice"),
        (["--quantise", "int3"], "argument --quantise: invalid choice: 'int3'"),
        (["--max-new-tokens", "0"], "--max-new-tokens=0 is out of range"),
        (["--repeats", "-1"], "--repeats=-1 is out of range"),
        (["--out", "picture.docx"], "no known picture ending"),
        (["--json", "/no/such/folder/run.json"], "there is no folder /no/such/folder"),
        (["--model", "/no/such/model"], "there is no folder /no/such/model"),
        (["--device", "abacus"], "device='abacus'"),
        (["--query", "text-tower"], "use the prompt-tail query"),
        (["--unheard-of"], "unrecognized arguments"),
        (["--budget", "magic"], "invalid choice"),
        (["--positions", "magic"], "invalid choice"),
        (["--clip", "film.avi"], "no known ending of a clip"),
        (["--clip", "/no/such/folder/film.mp4"], "there is no folder /no/such/folder"),
        (["--clip", "film.mp4"], "is a still picture"),
        (["--picking", "film.avi"], "no known ending"),
        (["--picking", "o.png", "--out", "./o.png"], "are the same file"),
        (["--json", "/dev/null/run.json"], "there is no folder"),
        (["--picking", "/no/such/folder/film.mp4"], "there is no folder /no/such/folder"),
    ],
)
def test_bad_settings_are_one_sentence_and_exit_code_2(tmp_path, image, model, capsys, more, says):
    assert answer(tmp_path, image, model, *more) == 2
    assert_one_sentence(capsys.readouterr(), says)
    assert not (tmp_path / "o.png").exists()


@pytest.mark.parametrize(
    ("question", "says"),
    [("", "question is empty"), ("a" * 10_000, "10,000"), ("<image>", "contains <image>")],
)
def test_bad_questions_are_one_sentence_and_exit_code_2(image, model, capsys, question, says):
    assert main(["answer", image, question, "--model", model]) == 2
    assert_one_sentence(capsys.readouterr(), says)


def test_a_file_that_is_no_picture_is_one_sentence_and_exit_code_2(tmp_path, model, capsys):
    (tmp_path / "not.png").write_text("hello")
    write_sound(tmp_path / "song.wav", "pcm_s16le")
    for name in ("not.png", "missing.png", "song.wav"):
        assert main(["answer", str(tmp_path / name), QUESTION, "--model", model]) == 2
        assert_one_sentence(capsys.readouterr(), name)


def test_an_installed_package_has_no_built_in_model_and_says_so(tmp_path, image, monkeypatch, capsys):
    monkeypatch.setattr("rediprune.explainer.explainer.DEFAULT_MODEL", tmp_path / "tiny-llava")
    assert main(["answer", image, QUESTION, "--out", str(tmp_path / "o.png")]) == 2
    says = "the built-in model comes with the repository, not with the package: pass --model / name_or_dir"
    assert_one_sentence(capsys.readouterr(), says)


def test_a_defect_of_ours_is_not_passed_off_as_bad_input(tmp_path, image, model, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("shape mismatch deep inside")

    monkeypatch.setattr("rediprune.explainer.explainer.Explainer.run", broken)
    with pytest.raises(RuntimeError, match="deep inside"):
        answer(tmp_path, image, model)


def test_no_command_is_one_sentence(capsys):
    assert main([]) == 2
    assert_one_sentence(capsys.readouterr(), "COMMAND")


def test_the_program_itself_ends_with_code_2_and_no_traceback():
    argv = [sys.executable, "-m", "rediprune", "answer", "nothing.png", "what"]
    ran = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith("rediprune: ")
    assert ran.stderr.count("\n") == 1


def assert_one_sentence(captured, says):
    refusal = captured.err.strip().splitlines()[-1]
    assert refusal.startswith("rediprune: ")
    assert says in refusal
    assert "Traceback" not in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("command", ["answer", "check"])
def test_where_there_is_no_quantisation_it_is_one_sentence(image, model, monkeypatch, capsys, command):
    reason = "int8 and int4 need bitsandbytes: pip install bitsandbytes"
    monkeypatch.setattr("rediprune.models.checkpoints.placement.why_not_quantised", lambda device: reason)
    words = {"answer": [image, "What?", "--model", model], "check": [model]}[command]
    assert main([command, *words, "--quantise", "int4"]) == 2
    assert capsys.readouterr().err == f"rediprune: {reason}\n"


def other_names(image, folder):
    """The same file by another spelling, a symbolic link and a hard link."""
    path = Path(image)
    (folder / "link.png").symlink_to(path)
    (folder / "hard.png").hardlink_to(path)
    (folder / "sub").mkdir()
    return [path, folder / "sub" / ".." / path.name, folder / "link.png", folder / "hard.png"]


def test_no_result_is_written_over_the_picture_that_is_asked_about(tmp_path, image, model, capsys):
    before = Path(image).read_bytes()
    for name in other_names(image, tmp_path):
        for words in (
            ["answer", image, QUESTION, "--model", model, "--out", str(name)],
            ["answer", image, QUESTION, "--model", model, "--out", "o.png", "--picking", str(name)],
            ["answer", image, QUESTION, "--model", model, "--out", "o.png", "--json", str(name)],
            ["sweep", image, QUESTION, "--model", model, "--csv", str(name)],
        ):
            assert main(words) == 2
            assert_one_sentence(capsys.readouterr(), "would overwrite")
    assert main(["bench", "--part", "conventions", "--quick", "--out", image]) == 2
    assert_one_sentence(capsys.readouterr(), "is no record of the bench")
    assert Path(image).read_bytes() == before


def test_a_trace_is_not_written_over_a_picture_in_the_library_either(tmp_path, image):
    from rediprune import PruneConfig, save_trace
    from rediprune.explainer.explainer import Explainer

    trace = Explainer(tiny.model(), tiny.processor()).run(Image.open(image), QUESTION, PruneConfig(0.25))
    before = Path(image).read_bytes()
    with pytest.raises(ValueError, match="is no JSON"):
        save_trace(trace, image)
    assert Path(image).read_bytes() == before
    path = save_trace(trace, tmp_path / "run.json")
    assert save_trace(trace, path) == path  # one trace may take the place of another


@pytest.mark.parametrize("command", ["sweep", "answer", "check", "bench"])
def test_an_interrupt_ends_the_program_at_once(tmp_path, image, command):
    """With 130, within two seconds of the call in progress, and without a word from C++."""
    words, first = {
        "sweep": ([image, QUESTION], "Question"),
        "answer": ([image, QUESTION, "--repeats", "200", "--out", str(tmp_path / "o.png")], "Loading"),
        "check": ([], "tiny-llava"),
        "bench": (["--part", "selection", "--out", str(tmp_path / "bench.json")], "selection"),
    }[command]
    argv = [sys.executable, "-u", "-m", "rediprune", command, *words]
    # A job in a shell's background has SIGINT ignored and hands that on: these tests would wait in vain.
    with subprocess.Popen(
        argv,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as ran:
        try:
            next(line for line in ran.stdout if first in line)
            time.sleep(0.5)
            ran.send_signal(signal.SIGINT)
            began = time.perf_counter()
            assert ran.wait(timeout=30) == 130
            took = time.perf_counter() - began
            said = ran.stdout.read()
        finally:
            ran.kill()
    assert took < 4  # below 1 where nothing else runs
    assert "terminate called" not in said and "Traceback" not in said
    assert not list(tmp_path.glob(".rediprune-*"))
